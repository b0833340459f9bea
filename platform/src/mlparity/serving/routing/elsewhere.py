"""Requests that came to the router and are none of its own go on to the control plane, over its unix socket."""

from __future__ import annotations

import asyncio
from typing import cast

from mlparity.serving.routing.incoming import Request, ServerConnection

_UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Elsewhere:
    """Passes one request at a time of each client on; ``path`` "": there is no one to pass it to."""

    def __init__(self, path: str, loop: asyncio.AbstractEventLoop) -> None:
        self._path = path
        self._loop = loop
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, request: Request, connection: ServerConnection) -> None:
        """Pass ``request`` on, and the answer back; the client's connection ends with it."""
        request.close = True  # the next request's connection is the control plane's again
        task = self._loop.create_task(self._pass_on(request, connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, request: Request, connection: ServerConnection) -> None:
        ended = self._loop.create_future()
        try:
            if not self._path or request.too_large:
                raise ConnectionRefusedError
            transport, _ = await self._loop.create_unix_connection(lambda: _Relay(connection, ended), self._path)
        except OSError:
            connection.answer(_UNAVAILABLE, b"")
            return
        transport.write(_again(request))
        await ended
        connection.done(abort=True)


class _Relay(asyncio.Protocol):
    """Passes the control plane's answer to the client, until it closes."""

    def __init__(self, connection: ServerConnection, ended: asyncio.Future[None]) -> None:
        self._connection = connection
        self._ended = ended

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        writer = cast("asyncio.Transport", transport)
        self._connection.on_pause, self._connection.on_resume = writer.pause_reading, writer.resume_reading

    def data_received(self, data: bytes) -> None:
        self._connection.write(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self._connection.on_pause = self._connection.on_resume = None
        if not self._ended.done():
            self._ended.set_result(None)


def _again(request: Request) -> bytes:
    """The request as it came, but for the connection's own headers: it is asked to be the last of its connection."""
    own = {b"connection", b"transfer-encoding", b"content-length", b"expect", b"keep-alive"}
    lines = [b"%b: %b\r\n" % pair for pair in request.headers if pair[0] not in own]
    start = b"%b %b HTTP/1.1\r\n" % (request.method.encode(), request.target)
    return b"".join(
        (start, *lines, b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(request.body), request.body)
    )
