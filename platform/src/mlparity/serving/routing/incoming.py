"""The router's own HTTP/1.1 server: whole requests to a handler, answers as bytes. Hand-written on httptools for speed.

One request of a connection is handled at a time; those that a client pipelines wait for their turn.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import cast

import httptools

MAX_BODY = 25 * 1024 * 1024  # bytes; SageMaker's limit of a real-time invocation
_LARGE = 65536  # bodies above are not joined with their heads
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Request:
    """One request as it came over the wire."""

    __slots__ = ("body", "close", "headers", "method", "target", "too_large")

    def __init__(self, method: str, target: bytes, headers: list[tuple[bytes, bytes]], *, close: bool) -> None:
        self.method = method
        self.target = target  # path and query, percent-encoded
        self.headers = headers  # lower-case names
        self.body = b""
        self.close = close  # the connection ends with the answer
        self.too_large = False  # the body was longer than ``MAX_BODY`` and is not kept

    def header(self, name: bytes) -> bytes:
        """The first value of a header; b"" where there is none."""
        for key, value in self.headers:
            if key == name:
                return value
        return b""


Handler = Callable[[Request, "ServerConnection"], None]


class Connections:
    """The clients that are connected."""

    def __init__(self) -> None:
        self._all: set[ServerConnection] = set()
        self._none = asyncio.Event()
        self._none.set()

    def entered(self, connection: ServerConnection) -> None:
        """A client connected."""
        self._all.add(connection)
        self._none.clear()

    def left(self, connection: ServerConnection) -> None:
        """A client is gone."""
        self._all.discard(connection)
        if not self._all:
            self._none.set()

    async def shut_down(self, seconds: float) -> None:
        """Close each when it has its answer; wait for that, not for ever."""
        for connection in list(self._all):
            connection.shut_down()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._none.wait()


class ServerConnection(asyncio.Protocol):
    """One client. The handler calls ``answer`` once for each request, or ``write`` and then ``done``."""

    def __init__(self, handle: Handler, connections: Connections, first: bytes = b"") -> None:
        self._handle = handle
        self._first = first  # bytes that were read before the connection came here
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Request] = deque()
        self._current: Request | None = None
        self._closing = False
        self.on_pause: Callable[[], None] | None = None  # while an answer streams: the client is slow
        self.on_resume: Callable[[], None] | None = None
        self._start()

    def _start(self) -> None:
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._size = 0
        self._request: Request | None = None

    @property
    def busy(self) -> bool:
        """Whether a request is being handled, waits, or is half here."""
        return self._current is not None or bool(self._waiting) or self._request is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self._transport = cast("asyncio.Transport", transport)  # by its methods; uvloop's is none by its class
        self._connections.entered(self)
        if self._first:
            first, self._first = self._first, b""
            self.data_received(first)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        """The client went; an answer that still comes is dropped."""
        self._transport = None
        self._connections.left(self)
        if self.on_resume is not None:
            self.on_resume()

    def data_received(self, data: bytes) -> None:
        """Some of a request."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse()
        except httptools.HttpParserError:
            self._refuse()

    def on_url(self, url: bytes) -> None:
        """Some of the target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        parser = self._parser
        close = self._closing or not parser.should_keep_alive()
        request = self._request = Request(parser.get_method().decode(), self._target, self._headers, close=close)
        length = request.header(b"content-length")
        if length.isdigit() and int(length) > MAX_BODY:
            request.too_large = True
        elif request.header(b"expect").lower() == b"100-continue" and self._transport is not None:
            self._transport.write(_CONTINUE)

    def on_body(self, data: bytes) -> None:
        """Some of the body."""
        self._size += len(data)
        request = self._request
        if request is None:
            return
        if self._size > MAX_BODY:
            request.too_large = True
            self._body.clear()
        elif not request.too_large:
            self._body.append(data)

    def on_message_complete(self) -> None:
        """The request is whole."""
        request = self._request
        if request is None:
            return
        body = self._body
        request.body = body[0] if len(body) == 1 else b"".join(body)
        self._start()
        if self._current is None:
            self._current = request
            self._handle(request, self)
        else:
            self._waiting.append(request)
            if self._transport is not None:
                self._transport.pause_reading()

    def answer(self, head: bytes, body: bytes) -> None:
        """Send a whole answer; ``head`` ends with the empty line."""
        transport = self._transport
        if transport is not None:
            if len(body) < _LARGE:
                transport.write(head + body)
            else:
                transport.writelines((head, body))
        self.done()

    def write(self, data: bytes) -> None:
        """Send some of an answer."""
        if self._transport is not None:
            self._transport.write(data)

    def done(self, *, abort: bool = False) -> None:
        """The answer is whole (or never will be: ``abort``): on to the next request."""
        request, self._current = self._current, None
        self.on_pause = self.on_resume = None
        if abort or request is None or request.close or self._closing:
            self._waiting.clear()
            if self._transport is not None:
                self._transport.close()
            return
        if self._waiting:
            self._current = self._waiting.popleft()
            if not self._waiting and self._transport is not None:
                self._transport.resume_reading()
            self._handle(self._current, self)

    def pause_writing(self) -> None:
        """The client reads slowly."""
        if self.on_pause is not None:
            self.on_pause()

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self.on_resume is not None:
            self.on_resume()

    def shut_down(self) -> None:
        """Close when the request that is handled has its answer; at once where there is none."""
        self._closing = True
        if not self.busy and self._transport is not None:
            self._transport.close()

    @property
    def closing(self) -> bool:
        """Whether the answer that comes next is to say ``Connection: close``."""
        return self._closing or (self._current is not None and self._current.close)

    def _refuse(self) -> None:
        if self._transport is not None:
            self._transport.write(_BAD_REQUEST)
            self._transport.close()
