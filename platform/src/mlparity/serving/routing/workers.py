"""Connections to the workers of deployments: HTTP/1.1 over unix sockets, kept alive, one request at a time on each."""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

import httptools

from mlparity.serving.routing.invocation import Headers, Invocation

_CONNECTIONS = 32  # to one worker; more requests wait for a free one
_LARGE = 65536  # bodies above are not joined with their heads
_LENGTHS = (b"content-length", b"transfer-encoding")
_RETRY_SECONDS = 0.05  # before a worker that did not answer is tried again


class Owner(Protocol):
    """Where a worker takes its requests from, and who hears what became of them."""

    def next(self) -> Invocation | None:
        """The request that has waited longest; None where none waits."""
        ...

    def began(self, invocation: Invocation, status: int, headers: Headers) -> None:
        """The head of an answer that is passed on as it comes."""
        ...

    def whole(self, worker: Worker, invocation: Invocation, status: int, headers: Headers, body: bytes) -> None:
        """A whole answer came. ``body`` is empty where it was passed on and is not captured."""
        ...

    def broken(self, worker: Worker, invocation: Invocation, *, begun: bool) -> None:
        """The connection went away: before any byte of an answer, or after."""
        ...

    def refused(self) -> None:
        """A worker did not take a connection."""
        ...

    @property
    def waits(self) -> bool:
        """Whether any request waits for a worker."""
        ...


class Worker:
    """One worker: its socket, its connections, and how many requests it has."""

    def __init__(self, path: str, loop: asyncio.AbstractEventLoop, owner: Owner) -> None:
        self.path = path
        self.owner = owner
        self.in_flight = 0
        self.connecting = 0
        self.idle: list[WorkerConnection] = []
        self.connections: set[WorkerConnection] = set()
        self.leaving = False  # no table names it any more: it gets nothing new
        self.refused = False  # it did not take the last connection, or dropped one
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def load(self) -> int:
        """Requests that it has, or is about to get."""
        return self.in_flight + self.connecting

    def want(self) -> None:
        """Open one more connection, unless there are enough or the worker does not take any just now."""
        if self.leaving or self.refused or len(self.connections) + self.connecting >= _CONNECTIONS:
            return
        self.connecting += 1
        task = self._loop.create_task(self._connect())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def give(self, invocation: Invocation) -> None:
        """Send a request on an idle connection."""
        connection = self.idle.pop()
        self.in_flight += 1
        connection.send(invocation)

    def put_back(self, connection: WorkerConnection) -> None:
        """A connection is free: it takes the next request that waits, or rests."""
        self.idle.append(connection)
        if self.leaving:
            self._close_idle()
            return
        invocation = self.owner.next()
        if invocation is not None:
            self.give(invocation)

    def suspect(self) -> None:
        """It did not take a connection, or dropped one with a request: it gets nothing new for a moment.

        Its other connections are most likely dead too, though that is not known yet.
        """
        self.refused = True
        self._close_idle()
        if not self.leaving and self._timer is None:
            self._timer = self._loop.call_later(_RETRY_SECONDS, self._try_again)

    def leave(self) -> None:
        """Take nothing new, and close what is not in use."""
        self.leaving = True
        if self._timer is not None:
            self._timer.cancel()
        self._close_idle()

    def close(self) -> None:
        """Close every connection."""
        self.leave()
        for task in self._tasks:
            task.cancel()
        for connection in list(self.connections):
            connection.close()

    def _close_idle(self) -> None:
        while self.idle:
            self.idle.pop().close()

    async def _connect(self) -> None:
        try:
            await self._loop.create_unix_connection(lambda: WorkerConnection(self), self.path)
            self.refused = False
        except OSError:
            self.suspect()
        finally:
            self.connecting -= 1
        if self.refused:
            self.owner.refused()

    def _try_again(self) -> None:
        """A worker that is being replaced listens again soon, and nobody is told when."""
        self._timer = None
        self.refused = False
        if self.owner.waits:
            self.want()


class WorkerConnection(asyncio.Protocol):
    """One connection. The parser's calls come within ``data_received``."""

    def __init__(self, worker: Worker) -> None:
        self.invocation: Invocation | None = None
        self._worker = worker
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._begun = False
        self._until_eof = False  # the answer has no length: it ends with the connection (HTTP/1.0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready for a first request."""
        self._transport = cast("asyncio.Transport", transport)  # by its methods; uvloop's is none by its class
        self._worker.connections.add(self)
        self._worker.put_back(self)

    def send(self, invocation: Invocation) -> None:
        """Send one request. The connection is idle."""
        self.invocation = invocation
        transport = self._transport
        if transport is None:
            self._lost()
            return
        body = invocation.body
        head = b"POST /invocations HTTP/1.1\r\nHost: localhost\r\n%bContent-Length: %d\r\n\r\n" % (
            invocation.head,
            len(body),
        )
        if len(body) < _LARGE:
            transport.write(head + body)
        else:
            transport.writelines((head, body))

    def data_received(self, data: bytes) -> None:
        """Some of an answer."""
        if self.invocation is None:  # nothing was asked
            self.close()
            return
        self._begun = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()
            self._lost()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header of the answer."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        invocation = self.invocation
        self._until_eof = not any(name in _LENGTHS for name, _ in self._headers)
        if invocation is not None and invocation.stream and self._transport is not None:
            invocation.began = True
            invocation.suspend, invocation.resume = self._transport.pause_reading, self._transport.resume_reading
            self._worker.owner.began(invocation, self._parser.get_status_code(), self._headers)

    def on_body(self, data: bytes) -> None:
        """Some of the body."""
        invocation = self.invocation
        if invocation is None:
            return
        if invocation.stream:
            invocation.size_out += len(data)
            invocation.sink.part(invocation, data)
            if invocation.capture is None:
                return
        self._body.append(data)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        invocation, self.invocation = self.invocation, None
        if invocation is None:
            return
        status, headers, body = self._parser.get_status_code(), self._headers, self._body
        keep = self._parser.should_keep_alive()
        self._headers, self._body, self._begun, self._until_eof = [], [], False, False
        worker = self._worker
        worker.in_flight -= 1
        invocation.suspend = invocation.resume = None
        worker.owner.whole(worker, invocation, status, headers, body[0] if len(body) == 1 else b"".join(body))
        if keep and self._transport is not None and not self._transport.is_closing():
            worker.put_back(self)
        else:
            self.close()

    def eof_received(self) -> None:
        """The worker closes; ``connection_lost`` follows."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The worker went, or closed a connection that rested."""
        self._transport = None
        worker = self._worker
        worker.connections.discard(self)
        if self in worker.idle:
            worker.idle.remove(self)
        if self._until_eof and exc is None:
            self.on_message_complete()
        self._lost()

    def give_up(self) -> None:
        """Drop the request that is under way, and the connection with it."""
        invocation, self.invocation = self.invocation, None
        if invocation is not None:
            self._worker.in_flight -= 1
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def _lost(self) -> None:
        invocation, self.invocation = self.invocation, None
        if invocation is not None:
            self._worker.in_flight -= 1
            self._worker.suspect()
            self._worker.owner.broken(self._worker, invocation, begun=self._begun)
