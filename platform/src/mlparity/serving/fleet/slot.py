"""Keeps one worker alive: starts it, waits for its first healthy ping, watches it, replaces it, ends it."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from mlparity.clock import Clock
from mlparity.engine.process import ProcessExit
from mlparity.errors import MlparityError
from mlparity.serving.fleet.worker import Worker
from mlparity.serving.probe import answers_ping

_LOG = logging.getLogger(__name__)
_ENDED = "ended"
_KILLS_TO_BLAME = 2  # somebody may kill a worker that starts; who is killed again and again is at fault
_LOOK = 1.0  # seconds between two looks at whether a drain is to be cut short


@dataclass(frozen=True)
class Timing:
    """Seconds, unless said otherwise. SageMaker pings every 5 s, waits 2 s, and kills 30 s after SIGTERM."""

    start_poll: float = 0.01  # between two looks at a worker that starts
    ping_every: float = 5.0
    ping_timeout: float = 2.0
    hung_after: int = 3  # pings in a row without a healthy answer
    grace: float = 30.0  # between SIGTERM and SIGKILL
    backoff_first: float = 0.5  # before the second replacement in a row; the first comes at once
    backoff_limit: float = 30.0
    steady_after: float = 60.0  # of health, after which a death is a first one again


@dataclass(frozen=True)
class Limits:
    """Seconds that a variant allows."""

    startup: float  # until the first healthy ping
    invocation: float  # for one request


class SlotEvents(Protocol):
    """What a slot tells, from its own thread."""

    def ready(self, slot: Slot, socket: Path) -> None:
        """Its worker answers."""
        ...

    def gone(self, slot: Slot) -> None:
        """It has no worker that answers any more. Returns when everybody who sends requests knows."""
        ...

    def failed(self, slot: Slot, reason: str, *, started: bool) -> None:
        """Its worker could not be started; or was, and ended or kept silent before it ever answered."""
        ...

    def note(self, slot: Slot, text: str) -> None:
        """A line for the worker's log."""
        ...

    def over(self, slot: Slot) -> None:
        """It has ended, as asked."""
        ...


class _Ask(Enum):
    STAY = 0
    RETIRE = 1  # drain, then end
    END = 2  # now


class Slot:
    """One worker at a time. ``start_worker`` makes it and may raise ``MlparityError``."""

    def __init__(
        self,
        name: str,
        start_worker: Callable[[Slot, threading.Event], Worker],
        events: SlotEvents,
        drain: Callable[[Path, float], bool],
        limits: Limits,
        timing: Timing,
        clock: Clock,
    ) -> None:
        self.name = name
        self._start_worker = start_worker
        self._events = events
        self._drain = drain
        self._limits = limits
        self._timing = timing
        self._clock = clock
        self._wake = threading.Event()
        self._ask = _Ask.STAY
        self._deaths = 0  # in a row
        self._thread = threading.Thread(target=self._run, name=f"worker-{name[:24]}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def retire(self) -> None:
        """Finish the requests under way, then end. Returns at once."""
        if self._ask is _Ask.STAY:
            self._ask = _Ask.RETIRE
        self._wake.set()

    def end(self) -> None:
        """Kill the worker. Returns at once."""
        self._ask = _Ask.END
        self._wake.set()

    def join(self) -> None:
        """Wait until nothing of it runs."""
        self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether its thread still runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while self._ask is _Ask.STAY:
            steady = self._one_life()
            self._deaths = 1 if steady else self._deaths + 1
            if self._deaths > 1:
                timing = self._timing
                self._pause(min(timing.backoff_limit, timing.backoff_first * 2 ** min(self._deaths - 2, 20)))
        self._events.over(self)

    def _one_life(self) -> bool:
        """From start to end; whether it lived long enough to be called steady."""
        began = self._clock.monotonic()
        try:
            worker = self._start_worker(self, self._wake)
        except (MlparityError, OSError) as error:
            reason = error.sentence() if isinstance(error, MlparityError) else str(error)
            self._events.failed(self, reason, started=False)
            return False
        was_ready = False
        try:
            problem = self._await_ready(worker, began)
            if not problem:
                was_ready = True
                began = self._clock.monotonic()
                self._events.ready(self, worker.socket)
                problem = self._watch(worker)
                self._events.gone(self)
            if self._ask is _Ask.RETIRE:
                self._let_finish(worker)
        finally:
            outcome = worker.finish()
        if self._ask is _Ask.STAY:
            self._report(problem, outcome, was_ready=was_ready)
        return was_ready and self._clock.monotonic() - began >= self._timing.steady_after

    def _report(self, problem: str, outcome: ProcessExit, *, was_ready: bool) -> None:
        text = _ending(outcome) if problem == _ENDED else problem
        self._events.note(self, text)
        killed = outcome.lost or (outcome.signal == signal.SIGKILL and self._deaths < _KILLS_TO_BLAME)
        if not was_ready and not (problem == _ENDED and killed):
            self._events.failed(self, text, started=True)

    def _let_finish(self, worker: Worker) -> None:
        until = self._clock.monotonic() + self._limits.invocation
        while self._ask is _Ask.RETIRE and (left := until - self._clock.monotonic()) > 0:
            if self._is_drained(worker.socket, min(left, _LOOK)):
                break
        if self._ask is _Ask.RETIRE:
            worker.terminate(self._timing.grace)

    def _is_drained(self, socket: Path, seconds: float) -> bool:
        try:
            return self._drain(socket, seconds)
        except Exception:  # noqa: BLE001 - no router, no requests
            _LOG.exception("worker %s ends without being drained", self.name)
            return True

    def _await_ready(self, worker: Worker, began: float) -> str:
        """An empty text when it answers; otherwise why it does not."""
        timing = self._timing
        while self._ask is _Ask.STAY and not worker.ended:
            if worker.socket.exists() and answers_ping(worker.socket, timing.ping_timeout):
                return ""
            if self._clock.monotonic() - began > self._limits.startup:
                return f"no healthy answer to /ping within {self._limits.startup:g} s"
            self._wait(timing.start_poll)
        return _ENDED

    def _watch(self, worker: Worker) -> str:
        """Until it ends, hangs or is to end; why."""
        timing, missed = self._timing, 0
        while self._ask is _Ask.STAY:
            self._wait(timing.ping_every)
            if worker.ended:
                return _ENDED
            if self._ask is not _Ask.STAY:
                break
            missed = 0 if answers_ping(worker.socket, timing.ping_timeout) else missed + 1
            if missed >= timing.hung_after and not worker.ended:
                return f"{missed} pings in a row without a healthy answer: the worker is replaced"
        return ""

    def _pause(self, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        while self._ask is _Ask.STAY and (left := until - self._clock.monotonic()) > 0:
            self._wait(min(left, 0.25))

    def _wait(self, seconds: float) -> None:
        self._wake.wait(seconds)
        self._wake.clear()


def _ending(outcome: ProcessExit) -> str:
    how = f"with exit code {outcome.code}" if outcome.signal is None else f"by signal {outcome.signal}"
    return f"the model server ended {how}"
