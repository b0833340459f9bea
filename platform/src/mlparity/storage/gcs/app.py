"""The Cloud Storage endpoint: one ASGI application in front of the bucket store that S3 speaks to as well.

The event loop only moves bytes. Hashing, files and the database are worked in threads: a small request is one hop
to a thread, a large body one hop a megabyte.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import replace
from typing import Any

import orjson
from anyio import to_thread

from mlparity.clock import Clock
from mlparity.errors import MlparityError
from mlparity.ids import IdSource
from mlparity.storage.filestore import FileObjectStore
from mlparity.storage.gcs.batch import MAX_BATCH, run_batch
from mlparity.storage.gcs.errors import GcsError, from_store
from mlparity.storage.gcs.fields import select
from mlparity.storage.gcs.message import JSON_TYPE, Call, Context, GcsRequest, GcsResponse, Received, parse_request
from mlparity.storage.gcs.operations import BATCH_PATH, Route, is_xml, resolve
from mlparity.storage.gcs.signed_urls import check_signature
from mlparity.wire.answers import encoded, lifespan, send_answer
from mlparity.wire.bodies import (
    BodyTooLongError,
    ClientGoneError,
    Receiver,
    RequestBody,
    read_all,
    stream_into,
)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SMALL = 64 * 1024  # bytes; a body up to this is handled in one hop
MAX_DOCUMENT = 8 * 1024 * 1024  # bytes
_BOUNDARY_LENGTH = 24
_BODILESS = ("GET", "HEAD")
_LENGTHLESS = (204, 304)
_XML_STATUS = {"NotImplemented": 501}  # where the XML API has another than the JSON API
_log = logging.getLogger(__name__)


class GcsApp:
    """Cloud Storage over HTTP: JSON API, uploads, downloads, batches, and the objects of the XML API.

    ``project_number`` is what buckets say they belong to. ``signers`` maps service accounts to their public keys in
    PEM: signed URLs of others are refused. Any bearer token is taken, and none too.
    """

    def __init__(
        self,
        store: FileObjectStore,
        clock: Clock,
        ids: IdSource,
        project: str,
        project_number: str,
        location: str,
        signers: Mapping[str, str] | None = None,
    ) -> None:
        self._context = Context(store, clock, ids, project, project_number, location, dict(signers or {}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        body = RequestBody(scope["headers"], receive)
        try:
            response = await self._answer(scope, body)
            reusable = await body.drain()
        except ClientGoneError:
            return
        if not reusable:
            response = replace(response, headers={**response.headers, "connection": "close"})
        await _send(response, scope["method"] == "HEAD", receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> GcsResponse:
        request: GcsRequest | None = None
        try:
            request = parse_request(scope)
            if request.raw_path.startswith(BATCH_PATH):
                return await self._batch(request, receive)
            route = resolve(request)
            request = route.request
            if route.operation.receiver is not None:
                return await self._take(route, receive)
            document = b"" if request.method in _BODILESS else await _document(receive)
            return await to_thread.run_sync(self._run, route, document)
        except ClientGoneError:
            raise
        except Exception as error:  # noqa: BLE001 - every failure is answered
            return _failure(error, request, xml=request is not None and is_xml(request))

    async def _take(self, route: Route, receive: Receive) -> GcsResponse:
        call = Call(self._context, route.request)
        raw = route.request.headers.get("content-length", "")
        if raw.isdecimal() and int(raw) <= SMALL:
            body = await read_all(receive, SMALL)
            return await to_thread.run_sync(self._run_small, route, body)
        receiver = await to_thread.run_sync(_begin, route, call)
        if receiver is None:
            return await to_thread.run_sync(self._run, route, b"")
        received = await stream_into(receiver, receive)
        return await to_thread.run_sync(_finished, route, replace(call, body=received))

    async def _batch(self, request: GcsRequest, receive: Receive) -> GcsResponse:
        document = await _document(receive, MAX_BATCH)
        boundary = f"batch_{self._context.ids.token(_BOUNDARY_LENGTH)}"
        return await to_thread.run_sync(run_batch, request, document, boundary, self._run_one)

    def _run(self, route: Route, document: bytes) -> GcsResponse:
        check_signature(self._context, route.request)
        return _finished(route, Call(self._context, route.request, document))

    def _run_small(self, route: Route, body: bytes) -> GcsResponse:
        call = Call(self._context, route.request)
        receiver = _begin(route, call)
        if receiver is None:
            return _finished(route, call)
        try:
            receiver.feed(body)
            received = receiver.finish()
        except BaseException:
            receiver.discard()
            raise
        return _finished(route, replace(call, body=received))

    def _run_one(self, request: GcsRequest, document: bytes) -> GcsResponse:
        """One request of a batch: answered whatever happens."""
        try:
            return self._run(_batchable(request), document)
        except Exception as error:  # noqa: BLE001 - every failure is answered
            return _failure(error, request, xml=False)


def _batchable(request: GcsRequest) -> Route:
    if is_xml(request):
        raise GcsError(400, "badRequest", "Only requests of the JSON API can be in a batch.")
    route = resolve(request)
    if route.operation.receiver is not None or request.query.get("alt") == "media":
        raise GcsError(400, "badRequest", "Uploads and downloads cannot be in a batch.")
    return route


def _begin(route: Route, call: Call) -> Receiver[Received] | None:
    check_signature(call.context, route.request)
    make = route.operation.receiver
    return None if make is None else make(call)


def _finished(route: Route, call: Call) -> GcsResponse:
    """What the handler answers, its resource written as JSON."""
    response = route.operation.handler(call)
    if response.resource is None:
        return response
    fields = call.request.query.get("fields", "")
    resource = select(response.resource, fields) if fields else response.resource
    pretty = call.request.query.get("prettyPrint", "true").lower() != "false"
    return GcsResponse(
        response.status, {"content-type": JSON_TYPE, **response.headers}, _written(resource, pretty=pretty)
    )


def _written(resource: Mapping[str, Any], *, pretty: bool) -> bytes:
    try:
        return orjson.dumps(resource, option=orjson.OPT_INDENT_2 if pretty else None)
    except TypeError:  # bytes that S3 took as metadata and that are no UTF-8
        return json.dumps(resource).encode()


def _failure(error: Exception, request: GcsRequest | None, *, xml: bool) -> GcsResponse:
    bucket, name = (request.bucket, request.name) if request is not None else ("", "")
    if isinstance(error, GcsError):
        told = error
    elif isinstance(error, BodyTooLongError):
        told = GcsError(413, "uploadTooLarge", "Request body is too large.")
    elif isinstance(error, MlparityError):
        told = from_store(error, bucket, name)
    elif isinstance(error, OSError):
        _log.exception("%s %s failed", *_named(request))
        told = GcsError(500, "backendError", f"The data folder cannot be used: {error.strerror or error}")
    else:
        _log.error("%s %s failed", *_named(request), exc_info=error)
        told = GcsError(500, "backendError", "Backend Error")
    if told.status in _LENGTHLESS:
        return GcsResponse(told.status, told.headers)
    if xml:
        status = _XML_STATUS.get(told.code, told.status)
        return GcsResponse(status, {"content-type": "application/xml; charset=UTF-8", **told.headers}, told.xml())
    if request is not None and request.query.get("alt") == "media":  # words alone, as GCS sends to a download
        headers = {"content-type": "text/html; charset=UTF-8", **told.headers}
        return GcsResponse(told.status, headers, told.message.encode("utf-8", "replace"))
    return GcsResponse(told.status, {"content-type": JSON_TYPE, **told.headers}, told.json())


def _named(request: GcsRequest | None) -> tuple[str, str]:
    return (request.method, request.raw_path) if request is not None else ("A request", "")


async def _document(receive: Receive, limit: int = MAX_DOCUMENT) -> bytes:
    return await read_all(receive, limit)


async def _send(response: GcsResponse, head: bool, receive: Receive, send: Send) -> None:
    if response.stream is not None and response.length is None:
        await _send_unmeasured(response, send)
    else:
        await send_answer(response, head, receive, send)


async def _send_unmeasured(response: GcsResponse, send: Send) -> None:
    """A stream whose length nobody knows goes in chunks."""
    stream = response.stream
    if stream is None:
        return
    try:
        await send({"type": "http.response.start", "status": response.status, "headers": encoded(response.headers)})
        while chunk := await to_thread.run_sync(stream.read, SMALL):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        await to_thread.run_sync(stream.close)
