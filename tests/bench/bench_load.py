"""A load of HTTP requests from one event loop: the same bytes again and again over connections that stay open."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import cast

import httptools
import uvloop

_OK = 200


@dataclass(frozen=True)
class Target:
    """Where requests go, and each one's bytes."""

    port: int
    request: bytes


@dataclass(frozen=True)
class Load:
    """What came of it. Latencies are in milliseconds."""

    per_second: float
    p50: float
    p99: float
    answer: bytes  # the last one's body


def load(target: Target, clients: int, seconds: float) -> Load:
    """``clients`` connections, each with one request under way, for ``seconds``. Raises ``RuntimeError``."""
    return uvloop.run(_load(target, clients, seconds))


async def _load(target: Target, clients: int, seconds: float) -> Load:
    loop = asyncio.get_running_loop()
    begun = time.perf_counter()
    made = [_Client(target.request, begun + seconds, loop.create_future()) for _ in range(clients)]
    for one in made:
        await loop.create_connection(lambda one=one: one, "127.0.0.1", target.port)  # type: ignore[misc]
    await asyncio.gather(*(one.done for one in made))
    took = time.perf_counter() - begun
    latencies = sorted(value for one in made for value in one.latencies)
    count = len(latencies)
    p50, p99 = (latencies[min(count - 1, int(count * share))] * 1000 for share in (0.5, 0.99))
    return Load(count / took, p50, p99, b"".join(made[0].body))


class _Client(asyncio.Protocol):
    def __init__(self, request: bytes, until: float, done: asyncio.Future[None]) -> None:
        self.latencies: list[float] = []
        self.body: list[bytes] = []
        self.done = done
        self._request = request
        self._until = until
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.body = []

    def on_body(self, data: bytes) -> None:
        self.body.append(data)

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        self.latencies.append(now - self._sent)
        if self._parser.get_status_code() != _OK:
            self._end(RuntimeError(f"status {self._parser.get_status_code()}: {b''.join(self.body)[:300]!r}"))
        elif now >= self._until:
            self._end(None)
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or RuntimeError("the server closed the connection"))

    def _send(self) -> None:
        if self._transport is not None:
            self._sent = time.perf_counter()
            self._transport.write(self._request)

    def _end(self, error: Exception | None) -> None:
        if not self.done.done():
            if error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(error)
        if self._transport is not None:
            self._transport.close()
