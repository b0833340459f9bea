"""One thread for everything that is due at a time: schedules, retries, alarms.

The service keeps no times itself. Each ``TimedWork`` knows its own next due time from what is stored, so nothing is
lost with the process and nothing is kept twice.
"""

from __future__ import annotations

import logging
import threading
from datetime import datetime
from typing import Protocol

from mlparity.clock import Clock

_LOG = logging.getLogger(__name__)
# Machines sleep and clocks are set: never trust one long wait.
_LONGEST_WAIT = 30.0
# Work that stays due (its database is locked, say) is not asked for without a pause.
_SHORTEST_WAIT = 0.2


class TimedWork(Protocol):
    """Something with due times."""

    def next_due(self) -> datetime | None:
        """When ``run_due`` has something to do; None where nothing is planned. Cheap."""
        ...

    def run_due(self) -> None:
        """Do what is due by now. Called from one thread at a time."""
        ...


class TimerService:
    """Runs timed work. Tests with a clock of their own never ``start`` it: they move the clock and ``run_due``."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._work: list[TimedWork] = []
        self._running = threading.Lock()
        self._changed = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="timers", daemon=True)

    def add(self, *work: TimedWork) -> None:
        """Take on work. Before ``start``."""
        self._work += work

    def start(self) -> None:
        """Run what is due from now on, in a thread."""
        self._thread.start()

    def close(self) -> None:
        """Finish what is being run and stop."""
        self._closing = True
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join()

    def wake(self) -> None:
        """Look again: due times have changed."""
        self._changed.set()

    def run_due(self) -> None:
        """Run everything that is due by the clock, in this thread."""
        with self._running:
            for work in self._work:
                try:
                    due = work.next_due()
                    if due is not None and due <= self._clock.now():
                        work.run_due()
                except Exception:  # noqa: BLE001 - one kind of work must not stop the others
                    _LOG.exception("timed work %s failed", type(work).__name__)

    def _run(self) -> None:
        while not self._closing:
            self._changed.clear()
            self.run_due()
            self._changed.wait(self._seconds())

    def _seconds(self) -> float:
        waits = [_LONGEST_WAIT]
        for work in self._work:
            try:
                due = work.next_due()
            except Exception:  # noqa: BLE001, S112 - said when it was run
                continue
            if due is not None:
                waits.append((due - self._clock.now()).total_seconds())
        return max(_SHORTEST_WAIT, min(waits))
