"""The timer service: what is due is run, once, and by a thread without being asked."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from mlparity.clock import Clock, SystemClock
from mlparity.engine.scheduling import TimerService
from mlparity.testing import TestClock


class Reminder:
    def __init__(self, clock: Clock, *, fail: bool = False) -> None:
        self.clock, self.fail = clock, fail
        self.due: datetime | None = None
        self.ran = threading.Event()
        self.count = 0

    def next_due(self) -> datetime | None:
        return self.due

    def run_due(self) -> None:
        if self.fail:
            raise RuntimeError("broken")
        self.count += 1
        self.due = None
        self.ran.set()


def test_what_is_due_is_run_and_a_failure_stops_nothing() -> None:
    clock = TestClock()
    broken, sound = Reminder(clock, fail=True), Reminder(clock)
    timers = TimerService(clock)
    timers.add(broken, sound)
    broken.due = sound.due = clock.now() + timedelta(seconds=10)
    timers.run_due()
    assert sound.count == 0
    clock.advance(10)
    timers.run_due()
    timers.run_due()
    assert sound.count == 1


def test_the_thread_wakes_on_a_change_and_ends() -> None:
    clock = SystemClock()
    work = Reminder(clock)
    timers = TimerService(clock)
    timers.add(work)
    timers.start()
    work.due = clock.now()
    timers.wake()
    assert work.ran.wait(10)
    timers.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "timers"]
