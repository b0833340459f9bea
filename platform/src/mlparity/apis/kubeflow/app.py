"""The ASGI app: the routes of the vendor's OpenAPI document, its UI's routes for logs and artifacts, and a small page.

Nobody is asked who he is: as the vendor's server in single-user mode. Requests of web pages may only read.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import anyio.to_thread
import orjson
from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, StreamingResponse
from starlette.responses import Response as HttpResponse
from starlette.types import Receive, Scope, Send

from mlparity.apis.kubeflow import messages, nodes, pages, pipeline_versions, pipelines, routing, specs, uploads
from mlparity.apis.kubeflow.context import Kubeflow, Response
from mlparity.apis.kubeflow.errors import Code, KubeflowError, from_mlparity, invalid, not_served
from mlparity.apis.kubeflow.operations import BY_NAME, REFUSED, UPLOADS
from mlparity.apis.kubeflow.routing import Matched
from mlparity.errors import MlparityError

_LOG = logging.getLogger(__name__)
_JSON = "application/json"
_API = "/apis/"
_READING = frozenset({"GET", "HEAD"})
_LARGEST = uploads.MAX_FILE + (1 << 20)  # bytes of a request: a file in its form


class KubeflowApp:
    """Serves the operations of ``operations.OPERATIONS``, below "/apis/…" and "/pipeline/apis/…"."""

    def __init__(self, api: Kubeflow) -> None:
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        request = HttpRequest(scope, receive)
        path = scope.get("raw_path", scope["path"].encode()).decode("ascii", "replace").partition("?")[0]
        body = await _body(request)
        response = _TOO_LARGE if body is None else await anyio.to_thread.run_sync(self._answer, request, path, body)
        await response(scope, receive, send)

    def _answer(self, request: HttpRequest, path: str, body: bytes) -> HttpResponse:
        inner = routing.without_prefix(path)
        if not inner.startswith(_API) and request.method in _READING:
            return self._page(inner)
        try:
            _refuse_web_pages(request)
            return self._dispatch(routing.match(request.method, path), request, body)
        except KubeflowError as error:
            return _error(error)
        except MlparityError as error:
            return _error(from_mlparity(error))
        except Exception as error:  # noqa: BLE001 - a defect is answered and logged, not a dropped connection
            _LOG.exception("Kubeflow request failed")
            return _error(KubeflowError(Code.INTERNAL, f"mlparity failed: {error!r}"))

    def _dispatch(self, matched: Matched, request: HttpRequest, body: bytes) -> HttpResponse:
        name, path = matched.route.name, matched.path
        if name == "ReadRunLog":
            return _stream(nodes.log(self._api, path["run_id"], path["node_id"]), "text/plain")
        if name == "ReadArtifact":
            pieces = nodes.artifact(self._api, path["run_id"], path["node_id"], path["artifact_name"])
            return _stream(pieces, _JSON)
        if name in REFUSED:
            raise not_served(f"{name} ({REFUSED[name]})")
        operation = BY_NAME.get(name)
        failure = operation.failure if operation is not None else UPLOADS.get(name)
        if failure is None:
            raise not_served(name)
        try:
            query = routing.read_query(matched.route, request.url.query)
            if operation is None:
                answer = self._upload(matched, query, request.headers.get("content-type", ""), body)
            else:
                read = messages.read(matched.route.body, _json(body)) if matched.route.body else {}
                answer = operation.handler(self._api, {**query, **path, "body": read})
        except KubeflowError as error:
            raise error.within(failure) from error
        except MlparityError as error:
            raise from_mlparity(error).within(failure) from error
        return _answer(messages.write(matched.route.response, answer))

    def _upload(self, matched: Matched, query: dict[str, object], content_type: str, body: bytes) -> Response:
        filename, data = uploads.form_file(content_type, body, matched.route.file)
        spec = specs.read_file(uploads.unpack(filename, data))
        request = {**query, "tags": _tags(str(query.get("tags", "")))}
        upload = pipelines.upload if matched.route.name.endswith(".UploadPipeline") else pipeline_versions.upload
        return upload(self._api, request, spec, filename)

    def _page(self, path: str) -> HttpResponse:
        try:
            return HTMLResponse(pages.page(self._api, path))
        except KubeflowError as error:
            return HTMLResponse(pages.told(error.message), error.code.status)
        except MlparityError as error:
            return HTMLResponse(pages.told(". ".join(error.lines())), from_mlparity(error).code.status)


def _refuse_web_pages(request: HttpRequest) -> None:
    """Nobody is asked who he is, so a page in a browser must not start programs here. Raises ``KubeflowError``.

    Browsers name the page's origin with every request that may change something; the vendor's clients never do.
    """
    if request.method not in _READING and "origin" in request.headers:
        raise KubeflowError(Code.PERMISSION_DENIED, "requests of web pages may not change anything")


async def _body(request: HttpRequest) -> bytes | None:
    """The request's body; None where it is larger than any that is taken."""
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > _LARGEST:
            return None
        pieces.append(piece)
    return b"".join(pieces)


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body) if body.strip() else None
    except orjson.JSONDecodeError as error:
        raise invalid(f"proto: syntax error: {error}") from None


def _tags(text: str) -> dict[str, str]:
    try:
        tags = json.loads(text) if text else {}
    except ValueError:
        tags = None
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        raise invalid("Failed to parse tags query parameter. Expected JSON object with string keys and values")
    return tags


def _answer(document: dict[str, Any]) -> HttpResponse:
    return HttpResponse(orjson.dumps(document), 200, media_type=_JSON)


def _error(error: KubeflowError) -> HttpResponse:
    return HttpResponse(orjson.dumps(error.document()), error.code.status, media_type=_JSON)


_TOO_LARGE = _error(invalid(f"File size too large. Maximum supported size: {uploads.MAX_FILE}"))


def _stream(pieces: Iterator[str] | Iterator[bytes], media_type: str) -> HttpResponse:
    return StreamingResponse(iterate_in_threadpool(pieces), media_type=media_type)
