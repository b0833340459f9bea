"""The workers of one deployment, and the requests that wait for one of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from operator import attrgetter
from typing import TYPE_CHECKING

from mlparity.serving.routing.invocation import Failure, Headers, Invocation
from mlparity.serving.routing.workers import Worker

if TYPE_CHECKING:
    from mlparity.serving.routing.dispatching import Dispatcher
    from mlparity.serving.routing.table import RoutedDeployment

_ATTEMPTS = 2  # workers that may die with a request: one may have died of something else, two died of it
_load = attrgetter("load")


class Deployment:
    """Gives each request to the worker with the fewest; owner of its workers' connections."""

    def __init__(self, dispatcher: Dispatcher, endpoint: str, name: str) -> None:
        self.name = name
        self.workers: dict[str, Worker] = {}
        self.shadow = False
        self.routed = True  # some table names it
        self.variant = ""
        self.labels: Mapping[str, str] = {}
        self._timeout = 0.0
        self._endpoint = endpoint
        self._dispatcher = dispatcher
        self._queue: deque[Invocation] = deque()
        self._copied_bytes = 0

    @property
    def waits(self) -> bool:
        """Whether any request waits for a worker."""
        return bool(self._queue)

    @property
    def under_way(self) -> int:
        """Requests that wait or that a worker has."""
        return len(self._queue) + sum(worker.in_flight for worker in self.workers.values())

    def follow(self, routed: RoutedDeployment) -> None:
        """Take over what the table says now."""
        self.shadow, self.variant, self._timeout = routed.shadow, routed.variant, routed.timeout_seconds
        self.labels = routed.labels
        gone = [path for path in self.workers if path not in routed.sockets]
        self._dispatcher.leave([self.workers.pop(path) for path in gone])
        for path in routed.sockets:
            if path not in self.workers:
                worker = self.workers[path] = Worker(path, self._dispatcher.loop, self)
                worker.want()

    def leave(self) -> list[Invocation]:
        """No table names it any more: its workers finish, and what waited is handed back."""
        self.routed = False
        self._dispatcher.leave(self.workers.values())
        self.workers = {}
        waiting, self._queue = self._queue, deque()
        return list(waiting)

    def take(self, invocation: Invocation) -> None:
        """Give the request to a worker, or have it wait for one."""
        limits = self._dispatcher.limits
        invocation.variant, invocation.labels = self.variant, self.labels
        if not invocation.deadline:
            now = self._dispatcher.monotonic()
            invocation.deadline = now + self._timeout
            invocation.wait_until = now + min(limits.wait_seconds, self._timeout)
        if len(self._queue) >= limits.waiting:
            self._dispatcher.fail(invocation, Failure.OVERLOADED)
        else:
            self._give_or_wait(invocation)

    def take_copy(self, original: Invocation) -> None:
        """Give a copy to this shadow, unless it has too many already."""
        limits = self._dispatcher.limits
        size = len(original.body)
        if self.under_way >= limits.shadow_waiting or self._copied_bytes + size > limits.shadow_bytes:
            self._dispatcher.measurements.dropped(self._endpoint, self.variant)
            return
        self._copied_bytes += size
        self.take(original.copy(_Nobody(self), self._dispatcher.monotonic()))

    def copied(self, size: int) -> None:
        """A copy is over."""
        self._copied_bytes -= size

    def next(self) -> Invocation | None:
        """The request that has waited longest; it is sent now."""
        if not self._queue:
            return None
        invocation = self._queue.popleft()
        self._note_sent(invocation)
        return invocation

    def began(self, invocation: Invocation, status: int, headers: Headers) -> None:
        """A streamed answer begins; from now on it may take as long as streams may."""
        invocation.deadline = self._dispatcher.monotonic() + self._dispatcher.limits.stream_seconds
        invocation.sink.began(invocation, status, headers)

    def whole(self, worker: Worker, invocation: Invocation, status: int, headers: Headers, body: bytes) -> None:
        """A worker answered."""
        dispatcher = self._dispatcher
        invocation.over = True
        model = dispatcher.monotonic() - invocation.sent_at
        if not invocation.stream:
            invocation.size_out = len(body)
        dispatcher.note(invocation, status, model)
        if invocation.stream:
            invocation.sink.ended(invocation)
        else:
            invocation.sink.answered(invocation, status, headers, body)
        if invocation.capture is not None:
            dispatcher.capture.note(invocation, status, headers, body)
        if worker.leaving:
            dispatcher.look_at_drains()

    def broken(self, worker: Worker, invocation: Invocation, *, begun: bool) -> None:
        """A worker went away with a request: another gets it, unless its answer had begun."""
        dispatcher = self._dispatcher
        if begun or invocation.attempts >= _ATTEMPTS:
            dispatcher.fail(invocation, Failure.BROKEN)
        elif not self.routed:
            dispatcher.move(invocation, self)
        else:
            now = dispatcher.monotonic()
            invocation.wait_until = min(now + dispatcher.limits.wait_seconds, invocation.deadline)
            self._give_or_wait(invocation, first=True)
        if worker.leaving:
            dispatcher.look_at_drains()

    def refused(self) -> None:
        """A worker takes no connection: others, if any rest, take what waited for it."""
        while self._queue:
            free = [worker for worker in self.workers.values() if worker.idle]
            if not free:
                self._open_more()
                return
            invocation = self.next()
            if invocation is not None:
                min(free, key=_load).give(invocation)

    def sweep(self, now: float) -> None:
        """End what waited too long, and see to it that the rest gets a connection."""
        overdue = [invocation for invocation in self._queue if invocation.wait_until <= now]
        for invocation in overdue:
            self._queue.remove(invocation)
            self._dispatcher.fail(invocation, Failure.UNAVAILABLE)
        if self._queue:
            self._open_more()

    def _open_more(self) -> None:
        for worker in self.workers.values():
            if not worker.connecting:
                worker.want()

    def _give_or_wait(self, invocation: Invocation, *, first: bool = False) -> None:
        best = self._least_loaded()
        if best is not None and best.idle and not self._queue:
            self._note_sent(invocation)
            best.give(invocation)
            return
        if first:
            self._queue.appendleft(invocation)
        else:
            self._queue.append(invocation)
        if best is not None:
            best.want()

    def _least_loaded(self) -> Worker | None:
        if len(self.workers) == 1:
            return next(iter(self.workers.values()))
        answering = [worker for worker in self.workers.values() if not worker.refused]
        return min(answering, key=_load) if answering else None

    def _note_sent(self, invocation: Invocation) -> None:
        invocation.sent_at = self._dispatcher.monotonic()
        invocation.attempts += 1


class _Nobody:
    """Where a shadow's answer goes."""

    def __init__(self, shadow: Deployment) -> None:
        self._shadow = shadow

    def answered(self, invocation: Invocation, status: int, headers: Headers, body: bytes) -> None:  # noqa: ARG002
        self._shadow.copied(len(invocation.body))

    def began(self, invocation: Invocation, status: int, headers: Headers) -> None:
        """Copies are not streamed."""

    def part(self, invocation: Invocation, data: bytes) -> None:
        """Copies are not streamed."""

    def ended(self, invocation: Invocation) -> None:
        """Copies are not streamed."""

    def failed(self, invocation: Invocation, failure: Failure) -> None:  # noqa: ARG002
        self._shadow.copied(len(invocation.body))
