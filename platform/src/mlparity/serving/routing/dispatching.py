"""Takes every request from its endpoint's table to a worker, and its answer back to who asked.

A request is never answered twice and never forgotten: it is in exactly one place, a deployment's queue or a worker's
connection, until its sink has heard how it ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from mlparity.serving.routing.choosing import Chooser
from mlparity.serving.routing.invocation import Failure, Headers, Invocation
from mlparity.serving.routing.measuring import Measurements
from mlparity.serving.routing.table import EndpointTable
from mlparity.serving.routing.waiting import Deployment
from mlparity.serving.routing.workers import Worker

_SWEEP_SECONDS = 0.25  # how exactly time-outs are kept
_NO_ANSWER = 500  # counted as such


@dataclass(frozen=True)
class Limits:
    """How long and how many."""

    wait_seconds: float = 30.0  # for a worker, while the table names none that answers
    stream_seconds: float = 480.0  # of a streamed answer: SageMaker's eight minutes
    waiting: int = 4096  # requests to one deployment that wait
    shadow_waiting: int = 64  # copies to one shadow that wait or are under way
    shadow_bytes: int = 64 << 20  # of their bodies


class Capture(Protocol):
    """Where answered requests are kept, if the endpoint wants it."""

    def note(self, invocation: Invocation, status: int, headers: Headers, body: bytes) -> None:
        """A worker answered ``invocation``, whose ``capture`` is the plan."""
        ...


class Dispatcher:
    """The tables and all that is under way. Lives in one event loop; ``monotonic`` is a precise clock in seconds."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        random: Random,
        monotonic: Callable[[], float],
        measurements: Measurements,
        capture: Capture,
        limits: Limits | None = None,
    ) -> None:
        self.loop = loop
        self.monotonic = monotonic
        self.measurements = measurements
        self.capture = capture
        self.limits = limits or Limits()
        self._random = random
        self._endpoints: dict[str, tuple[EndpointTable, Chooser]] = {}
        self._deployments: dict[str, Deployment] = {}
        self._leaving: set[Worker] = set()
        self._drains: set[_Drain] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    def publish(self, table: EndpointTable) -> None:
        """Route the endpoint's requests by ``table`` from now on."""
        known = self._endpoints.get(table.endpoint)
        self._endpoints[table.endpoint] = table, Chooser(table.deployments)
        for routed in table.deployments:
            live = self._deployments.get(routed.deployment)
            if live is None:
                live = self._deployments[routed.deployment] = Deployment(self, table.endpoint, routed.deployment)
            live.follow(routed)
        before = {one.deployment for one in known[0].deployments} if known else set()
        self._forget(before - {one.deployment for one in table.deployments})

    def remove(self, endpoint: str) -> None:
        """Forget the endpoint; what waits for its workers fails."""
        known = self._endpoints.pop(endpoint, None)
        if known is not None:
            self._forget({one.deployment for one in known[0].deployments})

    def invoke(self, invocation: Invocation) -> None:
        """Take one request; its sink hears how it ends."""
        live = self._drawn(invocation)
        if live is None:
            return
        plan = self._endpoints[invocation.endpoint][0].capture
        if plan is not None and self._random.random() * 100 < plan.percentage:
            invocation.capture = plan
        live.take(invocation)
        for shadow in self._endpoints[invocation.endpoint][1].shadows(self._random):
            self._deployments[shadow].take_copy(invocation)
        if self._sweeper is None:
            self._sweeper = self.loop.call_later(_SWEEP_SECONDS, self._sweep)

    def move(self, invocation: Invocation, left: Deployment) -> None:
        """Route a request anew that waited for a deployment which no table names any more."""
        if left.shadow:
            self.fail(invocation, Failure.UNAVAILABLE)
            return
        live = self._drawn(invocation)
        if live is not None:
            live.take(invocation)

    def fail(self, invocation: Invocation, failure: Failure) -> None:
        """End a request without an answer."""
        invocation.over = True
        if invocation.variant:
            self.note(invocation, _NO_ANSWER, self.monotonic() - invocation.sent_at if invocation.sent_at else 0.0)
        invocation.sink.failed(invocation, failure)

    def note(self, invocation: Invocation, status: int, model: float) -> None:
        """Count a request that is over; ``model`` is how long the worker had it, in seconds."""
        overhead = self.monotonic() - invocation.accepted_at - model
        self.measurements.note(
            invocation.endpoint, invocation.variant, status, model, overhead, len(invocation.body), invocation.size_out
        )

    def leave(self, workers: Iterable[Worker]) -> None:
        """These get nothing new."""
        for worker in workers:
            worker.leave()
            if worker.in_flight:
                self._leaving.add(worker)

    def look_at_drains(self) -> None:
        """A worker that leaves may have finished its last request."""
        self._leaving = {worker for worker in self._leaving if worker.in_flight}
        for drain in self._drains:
            drain.look()

    async def drain(self, sockets: Sequence[str], seconds: float) -> bool:
        """Wait until no request is under way to ``sockets``. False: time is up."""
        drain = _Drain(frozenset(sockets), self._busy, self.loop.create_future())
        drain.look()
        self._drains.add(drain)
        try:
            async with asyncio.timeout(seconds):
                await drain.done
        except TimeoutError:
            return False
        finally:
            self._drains.discard(drain)
        return True

    @property
    def under_way(self) -> int:
        """Requests that wait or that workers have; the shadows' copies do not count."""
        return sum(live.under_way for live in self._deployments.values() if not live.shadow) + sum(
            worker.in_flight for worker in self._leaving
        )

    def close(self) -> None:
        """Close every connection to a worker."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for worker in self._workers():
            worker.close()

    def _drawn(self, invocation: Invocation) -> Deployment | None:
        known = self._endpoints.get(invocation.endpoint)
        if known is None or not known[0].in_service:
            self.fail(invocation, Failure.NOT_FOUND)
            return None
        chooser = known[1]
        if invocation.target_variant and not chooser.knows(invocation.target_variant):
            self.fail(invocation, Failure.NO_VARIANT)
            return None
        name = chooser.draw(self._random, invocation.target_variant)
        if name is None:
            self.fail(invocation, Failure.NO_WEIGHT)
            return None
        return self._deployments[name]

    def _workers(self) -> Iterator[Worker]:
        for live in self._deployments.values():
            yield from live.workers.values()
        yield from self._leaving

    def _busy(self) -> set[str]:
        return {worker.path for worker in self._workers() if worker.in_flight}

    def _forget(self, names: set[str]) -> None:
        for name in names:
            live = self._deployments.pop(name)
            for invocation in live.leave():
                self.move(invocation, live)

    def _sweep(self) -> None:
        """End what took too long."""
        self._sweeper = None
        now = self.monotonic()
        for worker in list(self._workers()):
            for connection in list(worker.connections):
                invocation = connection.invocation
                if invocation is not None and invocation.deadline <= now:
                    connection.give_up()
                    self.fail(invocation, Failure.TIMED_OUT)
        for live in list(self._deployments.values()):
            live.sweep(now)
        self.look_at_drains()
        if self._leaving or any(live.under_way for live in self._deployments.values()):
            self._sweeper = self.loop.call_later(_SWEEP_SECONDS, self._sweep)


@dataclass(eq=False)
class _Drain:
    sockets: frozenset[str]
    busy: Callable[[], set[str]]
    done: asyncio.Future[None]

    def look(self) -> None:
        if not self.done.done() and not self.sockets & self.busy():
            self.done.set_result(None)
