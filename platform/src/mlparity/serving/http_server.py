"""The model server's connections: requests in, a route's answers out, in order.

A quick model runs in the event loop, anything else in a thread (see ``pace``); pings have threads of their own, so
that they never wait behind a model. The hot path is bytes in, one call, bytes out.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from mlparity.serving.contract import HttpRequest, Route
from mlparity.serving.exchange import TEXT, RefusedError, Reply
from mlparity.serving.http_messages import BadMessageError, Head, RequestReader, answer_start
from mlparity.serving.pace import Pace

_LOG = logging.getLogger("mlparity.serving")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_PING_THREADS = 2
_NO_CONTENT = 204


class ModelServer:
    """What all connections share. ``workers``: how many requests run in threads at a time."""

    def __init__(self, routes: Mapping[tuple[str, str], Route], workers: int, pace: Pace) -> None:
        self._routes = dict(routes)
        self._paths = {path for _, path in routes}
        self._pace = pace
        self._models = ThreadPoolExecutor(workers, "model")
        self._pings = ThreadPoolExecutor(_PING_THREADS, "ping")
        self._connections: set[Connection] = set()
        self._closing = False
        self._idle: asyncio.Future[None] | None = None

    def connection(self) -> Connection:
        """The protocol of one new connection."""
        made = Connection(self)
        self._connections.add(made)
        return made

    def lost(self, connection: Connection) -> None:
        """A connection has ended."""
        self._connections.discard(connection)
        self.done()

    @property
    def closing(self) -> bool:
        """Whether connections are to be closed after the answer."""
        return self._closing

    def done(self) -> None:
        """A request has been answered."""
        if self._idle is not None and not self._idle.done() and not any(one.busy for one in self._connections):
            self._idle.set_result(None)

    async def close(self) -> None:
        """Answer what is under way, then close every connection."""
        self._closing = True
        self._idle = asyncio.get_running_loop().create_future()
        self.done()
        await self._idle
        for connection in list(self._connections):
            connection.close()
        for pool in (self._models, self._pings):
            pool.shutdown(wait=False)

    def dispatch(self, connection: Connection, head: Head, body: bytes) -> None:
        """Answer one request, now or later."""
        route = self._routes.get((head.method, head.path))
        if route is None:
            status = 405 if head.path in self._paths else 404
            text = b"Method Not Allowed" if status == 405 else b"Not Found"  # noqa: PLR2004
            connection.answer(Reply(text, TEXT, status))
            return
        request = HttpRequest(head.headers, body)
        if head.method == "GET":
            self._in_thread(self._pings, connection, lambda: answer(route, request))
        elif self._pace.in_loop(len(body)):
            connection.answer(self._timed(route, request))
        else:
            self._in_thread(self._models, connection, lambda: self._timed(route, request))

    def _timed(self, route: Route, request: HttpRequest) -> Reply:
        began = time.perf_counter()
        reply = answer(route, request)
        self._pace.note(time.perf_counter() - began, len(request.body))
        return reply

    @staticmethod
    def _in_thread(pool: ThreadPoolExecutor, connection: Connection, work: Callable[[], Reply]) -> None:
        loop = asyncio.get_running_loop()

        def run() -> None:
            reply = work()
            if reply.parts is None:
                loop.call_soon_threadsafe(connection.answer, reply)
            else:
                connection.stream(loop, reply, reply.parts)

        pool.submit(run)


class Connection(asyncio.Protocol):
    """One client. One request at a time; what it sends meanwhile waits."""

    def __init__(self, server: ModelServer) -> None:
        self._server = server
        self._reader = RequestReader()
        self._transport: asyncio.Transport | None = None
        self._keep_alive = True
        self._writable = threading.Event()  # for streams, which are written from threads
        self._writable.set()
        self._reading = False
        self._closed = False
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's signature
        """Called by the event loop. An answer that is being made is dropped."""
        self._transport = None
        self._writable.set()
        self._server.lost(self)

    def pause_writing(self) -> None:
        """Called by the event loop: the client reads too slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Called by the event loop."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self._reader.feed(data)
        if not self.busy:
            self._next()

    def close(self) -> None:
        """Close once all is sent."""
        if self._transport is not None:
            self._transport.close()

    def answer(self, reply: Reply) -> None:
        """Send a whole answer. In the event loop."""
        transport = self._transport
        if reply.parts is not None:  # a quick model has none
            reply = _whole(reply, reply.parts)
        if transport is not None:
            start = answer_start(reply.status, reply.content_type, self._stays)
            if reply.status == _NO_CONTENT:
                transport.write(start + b"\r\n")
            else:
                transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (start, len(reply.body), reply.body))
        self._over()

    def stream(self, loop: asyncio.AbstractEventLoop, reply: Reply, parts: Iterator[bytes]) -> None:
        """Send an answer part by part as they come. From a thread, which it keeps until the last.

        What fails after the first byte cannot be told any more: the connection breaks off, and the client notices.
        """
        start = answer_start(reply.status, reply.content_type, self._stays)
        loop.call_soon_threadsafe(self._write, start + b"transfer-encoding: chunked\r\n\r\n")
        try:
            for part in parts:
                self._writable.wait()
                if self._transport is None:
                    break
                if part:
                    loop.call_soon_threadsafe(self._write, b"%x\r\n%b\r\n" % (len(part), part))
        except Exception:  # noqa: BLE001 - as ``answer``
            _LOG.exception("the model failed in the middle of its answer")
            loop.call_soon_threadsafe(self._break)
            return
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()
        loop.call_soon_threadsafe(self._write, b"0\r\n\r\n")
        loop.call_soon_threadsafe(self._over)

    @property
    def _stays(self) -> bool:
        return self._keep_alive and not self._server.closing

    def _next(self) -> None:
        """Take up requests that have arrived whole, until one is answered later."""
        if self._reading:
            return  # a request that was answered at once: the loop below goes on
        self._reading = True
        try:
            while not self.busy and self._transport is not None and self._take_up():
                pass
        finally:
            self._reading = False

    def _take_up(self) -> bool:
        try:
            found = self._reader.next()
        except BadMessageError as error:
            self._keep_alive, self.busy = False, True
            self.answer(Reply(str(error).encode(), TEXT, error.status))
            return False
        if found is None:
            if self._reader.expects_continue:
                self._reader.expects_continue = False
                self._write(_CONTINUE)
            return False
        head, body = found
        self._keep_alive, self.busy = head.keep_alive, True
        self._server.dispatch(self, head, body)
        return not self._closed

    def _over(self) -> None:
        stays = self._stays
        self.busy = False
        self._server.done()
        if not stays:
            self._closed = True
            self.close()
        else:
            self._next()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _break(self) -> None:
        self.busy = False
        self._server.done()
        if self._transport is not None:
            self._transport.abort()


def answer(route: Route, request: HttpRequest) -> Reply:
    """A route's answer, whatever happens in it."""
    try:
        return route(request)
    except RefusedError as error:
        if error.status >= 500:  # noqa: PLR2004 - HTTP
            _LOG.error("%s", error.message, exc_info=error.__cause__)  # the log has every frame
        return Reply(error.message.encode(), error.content_type, error.status)
    except Exception as error:  # noqa: BLE001 - a defect of the model's code is its own 500, not a dropped connection
        _LOG.exception("the model failed")
        return Reply(f"{type(error).__name__}: {error}".encode(), TEXT, 500)


def _whole(reply: Reply, parts: Iterator[bytes]) -> Reply:
    try:
        return Reply(reply.body + b"".join(parts), reply.content_type, reply.status)
    except Exception as error:  # noqa: BLE001 - as above
        _LOG.exception("the model failed")
        return Reply(f"{type(error).__name__}: {error}".encode(), TEXT, 500)
