"""Vertex over REST: Google's transcoding of HTTP and JSON to protobuf and back.

https://google.aip.dev/127 and the rules of google.api.http; answers are JSON as protobuf writes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from typing import Any
from urllib.parse import parse_qsl

import anyio
import anyio.to_thread
import orjson
from google.protobuf.json_format import MessageToDict
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from mlparity.apis.vertex.dispatch import Dispatch
from mlparity.apis.vertex.operation import Call
from mlparity.wire.google.descriptors import VERSIONS, ApiVersion, HttpRule, Message
from mlparity.wire.google.json_reader import read_json
from mlparity.wire.google.query import read_query, set_field
from mlparity.wire.google.router import Match, Router
from mlparity.wire.google.status import Code, GoogleError, Violation, unreadable

_JSON = "application/json; charset=UTF-8"
_HTTP_BODY = "google.api.HttpBody"
_CONSOLE = "/ui/"
_THREADS = 64  # requests at a time; those that wait for an operation hold one
_RETRY_SECONDS = 2
_LARGEST = 64 * 2**20  # bytes of a body, as over gRPC


@dataclass(frozen=True)
class _Answer:
    status: int
    payload: bytes | Iterator[bytes]
    media_type: str = _JSON
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Asked:
    """One HTTP request; ``path`` is still percent-encoded."""

    verb: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes


class VertexRest:
    """The ASGI app of ``/v1/…`` and ``/v1beta1/…``. Authentication is not asked for: tokens are taken unread."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self._routers: dict[str, Router] = {}

    @cached_property
    def _limiter(self) -> anyio.CapacityLimiter:
        return anyio.CapacityLimiter(_THREADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        request = HttpRequest(scope, receive)
        try:
            body = await _body(request)
        except ClientDisconnect:
            return
        if body is None:
            text = f"Request payload size exceeds the limit: {_LARGEST} bytes."
            error = GoogleError(Code.INVALID_ARGUMENT, text)
            await Response(orjson.dumps(error.as_json()), 400, media_type=_JSON)(scope, receive, send)
            return
        asked = _Asked(
            scope["method"],
            scope["raw_path"].decode("ascii", "replace").partition("?")[0],
            tuple(parse_qsl(scope["query_string"].decode("utf-8", "replace"), keep_blank_values=True)),
            dict(request.headers.items()),
            body,
        )
        answer = await anyio.to_thread.run_sync(self._answer, asked, limiter=self._limiter)
        told = (answer.status, dict(answer.headers), answer.media_type)
        if isinstance(answer.payload, bytes):
            await Response(answer.payload, *told)(scope, receive, send)
        else:
            await StreamingResponse(answer.payload, *told)(scope, receive, send)

    def _answer(self, asked: _Asked) -> _Answer:
        try:
            return self._answered(asked)
        except GoogleError as error:
            headers = {"Retry-After": str(_RETRY_SECONDS)} if error.code is Code.UNAVAILABLE else {}
            return _Answer(error.code.http, orjson.dumps(error.as_json()), headers=headers)

    def _answered(self, asked: _Asked) -> _Answer:
        if asked.path.startswith(_CONSOLE):  # where the SDK's REST clients look for operations
            asked = replace(asked, path=f"/v1/{asked.path.removeprefix(_CONSOLE)}")
        version = asked.path.split("/")[1] if asked.path.startswith("/") else ""
        if version not in VERSIONS:
            return _nothing_there(asked.path)
        api = self._dispatch.api(version)
        match = self._router(api).match(asked.verb, asked.path)
        if match is None:
            return _nothing_there(asked.path)
        request = _request(api, match, asked)
        call = Call(api, match.method, asked.headers, body=asked.body)
        query = dict(asked.query)
        numbers = "enum-encoding=int" in query.get("$alt", "")
        if not match.method.streams_responses:
            return _plain(api, self._dispatch.call(call, request), numbers=numbers)
        return _streamed(api, self._dispatch.stream(call, request), query, numbers=numbers)

    def _router(self, api: ApiVersion) -> Router:
        if api.version not in self._routers:
            self._routers[api.version] = Router(api.methods.values())
        return self._routers[api.version]


async def _body(request: HttpRequest) -> bytes | None:
    """The body, or None where it is too large."""
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > _LARGEST:
            return None
    return bytes(content)


def _request(api: ApiVersion, match: Match, asked: _Asked) -> Message:
    """The method's request. Raises ``GoogleError`` that names everything that could not be read."""
    request = api.new(match.method.request)
    found = _read_body(api, match.rule, asked, request)
    found += read_query(api, asked.query, request)
    for path, value in match.variables.items():
        found += set_field(api, path, value, request)
    if found:
        raise unreadable(found)
    return request


def _read_body(api: ApiVersion, rule: HttpRule, asked: _Asked, request: Message) -> list[Violation]:
    raw = next((item for item in request.DESCRIPTOR.fields if _is_raw(item)), None)
    if raw is not None:
        body = getattr(request, raw.name)
        body.data = asked.body
        body.content_type = asked.headers.get("content-type", "")
        return []
    if not rule.body:
        return [Violation("", "Request body is not allowed for this method.")] if _has_content(asked.body) else []
    return _read_document(api, rule, asked.body, request) if asked.body else []


def _read_document(api: ApiVersion, rule: HttpRule, body: bytes, request: Message) -> list[Violation]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return [Violation("", f"Invalid JSON payload received. {error}")]
    if not isinstance(document, dict):
        text = 'Invalid JSON payload received. Unknown name "": Root element must be a message.'
        return [Violation("", text)]
    if rule.body == "*":
        return read_json(api, document, request)
    part = getattr(request, rule.body)
    part.SetInParent()
    return read_json(api, document, part, rule.body)


def _is_raw(item: Any) -> bool:
    return item.message_type is not None and item.message_type.full_name == _HTTP_BODY


def _has_content(body: bytes) -> bool:
    return body.strip() not in {b"", b"{}", b"null"}


def _plain(api: ApiVersion, response: Message, *, numbers: bool) -> _Answer:
    if response.DESCRIPTOR.full_name == _HTTP_BODY:
        return _Answer(200, response.data, response.content_type or "application/octet-stream")
    return _Answer(200, _json(api, response, numbers=numbers))


def _streamed(api: ApiVersion, responses: Iterator[Message], query: Mapping[str, str], *, numbers: bool) -> _Answer:
    """The stream as a JSON array, as server-sent events (``alt=sse``), or as it is (HttpBody).

    The first response is waited for, so that an error before it is an answer of its own.
    """
    first = next(responses, None)
    if first is not None and first.DESCRIPTOR.full_name == _HTTP_BODY:
        return _Answer(200, _bodies(first, responses), first.content_type or "application/octet-stream")
    documents = _documents(api, first, responses, numbers=numbers)
    if query.get("alt") == "sse":
        return _Answer(200, (b"data: " + document + b"\r\n\r\n" for document in documents), "text/event-stream")
    return _Answer(200, _array(documents))


def _documents(api: ApiVersion, first: Message | None, rest: Iterator[Message], *, numbers: bool) -> Iterator[bytes]:
    if first is None:
        return
    yield _json(api, first, numbers=numbers)
    try:
        for response in rest:
            yield _json(api, response, numbers=numbers)
    except GoogleError as error:
        yield orjson.dumps(error.as_json())


def _bodies(first: Message, rest: Iterator[Message]) -> Iterator[bytes]:
    yield first.data
    for response in rest:
        yield response.data


def _array(documents: Iterator[bytes]) -> Iterator[bytes]:
    separator = b"["
    for document in documents:
        yield separator + document
        separator = b",\n"
    yield b"]" if separator != b"[" else b"[]"


def _json(api: ApiVersion, message: Message, *, numbers: bool) -> bytes:
    document: Any = MessageToDict(message, use_integers_for_enums=numbers, descriptor_pool=api.pool)
    return orjson.dumps(document)


def _nothing_there(path: str) -> _Answer:
    """Google's front end answers a page, not JSON, for a path that no method has."""
    text = f"The requested URL <code>{escape(path)}</code> was not found on this server."
    page = f"<!DOCTYPE html>\n<html lang=en>\n<title>Error 404 (Not Found)!!1</title>\n<p><b>404.</b> {text}\n"
    return _Answer(404, page.encode(), "text/html; charset=UTF-8")
