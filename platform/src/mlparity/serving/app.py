"""The ASGI app: a contract's routes, each answered in a worker thread so that ``/ping`` never waits for a model."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import anyio.to_thread

from mlparity.serving.contract import HttpRequest, Route
from mlparity.serving.exchange import RefusedError, Reply

_LOG = logging.getLogger(__name__)
_TEXT = "text/plain; charset=utf-8"
_QUICK = "GET"  # health and metadata: answered at once, in the event loop


class ServingApp:
    """Answers requests by ``routes``; ``workers`` of them at a time run the model."""

    def __init__(self, routes: Mapping[tuple[str, str], Route], workers: int) -> None:
        self._routes = dict(routes)
        self._paths = {path for _, path in routes}
        self._workers = workers
        self._limiter: anyio.CapacityLimiter | None = None  # belongs to the event loop: made in it

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request; other kinds of scope (lifespan, websocket) are none of this app's."""
        if scope["type"] != "http":
            return
        method, path = scope["method"], scope["path"]
        body = await _body(receive)
        request = HttpRequest(
            {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}, body
        )
        route = self._routes.get((method, path))
        if route is None:
            status = 405 if path in self._paths else 404
            await _send(send, Reply(b"Method Not Allowed" if status == 405 else b"Not Found", _TEXT, status))  # noqa: PLR2004
        elif method == _QUICK:
            await _send(send, _answer(route, request))
        else:
            if self._limiter is None:
                self._limiter = anyio.CapacityLimiter(self._workers)
            await _send(send, await anyio.to_thread.run_sync(_answer, route, request, limiter=self._limiter))


def _answer(route: Route, request: HttpRequest) -> Reply:
    try:
        return route(request)
    except RefusedError as error:
        if error.status >= 500:  # noqa: PLR2004 - HTTP
            _LOG.error("%s", error.message)
        return Reply(error.message.encode(), _TEXT, error.status)
    except Exception as error:  # noqa: BLE001 - a defect of the model's code is its own 500, not a dropped connection
        _LOG.exception("the model failed")
        return Reply(f"{type(error).__name__}: {error}".encode(), _TEXT, 500)


async def _body(receive: Any) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def _send(send: Any, reply: Reply) -> None:
    headers = [(b"content-type", reply.content_type.encode()), (b"content-length", str(len(reply.body)).encode())]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
