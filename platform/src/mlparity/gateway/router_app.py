"""The control plane's way to the router: an ASGI app that passes invocations on over the router's unix socket."""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Protocol

import orjson
from starlette.types import Receive, Scope, Send

if TYPE_CHECKING:
    import httpx

# InvokeEndpoint and InvokeEndpointWithResponseStream; everything else below /endpoints/ is answered here.
INVOCATION = re.compile(r"/endpoints/[^/]*/invocations(-response-stream)?\Z")
_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"})
_UNAVAILABLE = {"Message": "The service is unavailable. Try your call again."}


class RouterSocket(Protocol):
    """What is needed of the router's process."""

    socket_path: str

    def wake(self) -> None:
        """Have the router started, if it is not needed yet."""
        ...


class RouterApp:
    """Streams requests and answers both ways. Signatures hold: nothing that is signed changes."""

    def __init__(self, router: RouterSocket) -> None:
        self._router = router
        self._client: httpx.AsyncClient | None = None  # belongs to the event loop: made in it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        import httpx

        self._router.wake()
        client = self._client = self._client or self._connected()
        query = scope["query_string"].decode("latin-1")
        target = scope["raw_path"].decode("latin-1").partition("?")[0] + (f"?{query}" if query else "")
        headers = [(name, value) for name, value in scope["headers"] if name not in _HOP_BY_HOP]
        request = client.build_request(
            scope["method"], f"http://router{target}", headers=headers, content=_body(receive)
        )
        request.headers = httpx.Headers(headers)
        if b"content-length" not in dict(headers):
            request.headers["transfer-encoding"] = "chunked"
        try:
            answer = await client.send(request, stream=True)
        except httpx.HTTPError:
            await _unavailable(send)
            return
        try:
            kept = [(name.lower(), value) for name, value in answer.headers.raw if name.lower() not in _HOP_BY_HOP]
            await send({"type": "http.response.start", "status": answer.status_code, "headers": kept})
            async for chunk in answer.aiter_raw():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await answer.aclose()

    def _connected(self) -> httpx.AsyncClient:
        import httpx

        plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never used: the default one would read every public CA
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        transport = httpx.AsyncHTTPTransport(uds=self._router.socket_path, verify=plain, limits=limits)
        return httpx.AsyncClient(transport=transport, timeout=None)  # noqa: S113 - the router's


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        yield message.get("body", b"")
        more = message.get("more_body", False)


async def _unavailable(send: Send) -> None:
    body = orjson.dumps(_UNAVAILABLE)
    headers = [(b"content-type", b"application/json"), (b"x-amzn-errortype", b"ServiceUnavailable"),
               (b"content-length", str(len(body)).encode())]  # fmt: skip
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
