"""When schedules fire. Times that pass while nothing runs are not made up for, as a schedule that is disabled.

AWS has no such gaps; it invokes within the minute. Here an occurrence that is noticed up to five minutes late (a busy
machine) is still invoked, an older one (a machine that slept) is logged as missed.
"""

from __future__ import annotations

import json
import logging
import random
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from mlparity.apis.aws.scheduler_store import Schedule, SchedulerStore
from mlparity.apis.aws.targets import SCHEDULER, Delivery
from mlparity.apis.aws.targets_queue import DeliveryQueue, Invocation, invocation_id
from mlparity.clock import Clock
from mlparity.errors import NotFoundError
from mlparity.wire.aws_schedule import is_one_time, read_expression, read_zone

_LOG = logging.getLogger(__name__)
LATEST = timedelta(minutes=5)
_PRECISION = timedelta(minutes=1)  # of the vendor's invocations
_INSTANT = timedelta(microseconds=1)


class Schedules:
    """Timed work: the next time of every enabled schedule is in memory, made from what is stored."""

    def __init__(
        self, account_id: str, store: SchedulerStore, queue: DeliveryQueue, clock: Clock, wake: Callable[[], None]
    ) -> None:
        self._account_id = account_id
        self._store = store
        self._queue = queue
        self._clock = clock
        self._wake = wake
        self._lock = threading.Lock()
        self._planned: dict[str, tuple[datetime, Schedule]] = {}

    def recover(self) -> None:
        """Plan every stored schedule from now on."""
        now = self._clock.now()
        for schedule in self._store.all_of():
            self._plan(schedule, now)
            due = following(schedule, schedule.modified_at)
            if schedule.key not in self._planned and is_one_time(_expression(schedule)) and due and due <= now:
                _LOG.warning("schedule %s: its time was %s", schedule.key, due)

    def changed(self, schedule: Schedule) -> None:
        """Take note of a new or changed schedule."""
        now = self._clock.now()
        # A rate begins at once; a start date of "now" is a moment old when it comes.
        begin = _anchor(schedule) - _INSTANT if _anchor(schedule) > now - _PRECISION else now
        with self._lock:
            self._plan(schedule, min(begin, now))
        self._wake()

    def gone(self, schedule: Schedule) -> None:
        """Take note of a deleted one."""
        self._planned.pop(schedule.key, None)

    def next_due(self) -> datetime | None:
        """See ``TimedWork``."""
        return min((due for due, _ in list(self._planned.values())), default=None)

    def run_due(self) -> None:
        """See ``TimedWork``."""
        now = self._clock.now()
        for key, (due, schedule) in list(self._planned.items()):
            if due <= now:
                self._fire(key, schedule, due, now)

    def _plan(self, schedule: Schedule, after: datetime) -> None:
        due = following(schedule, after) if schedule.body["State"] == "ENABLED" else None
        if due is None:
            self._planned.pop(schedule.key, None)
        else:
            self._planned[schedule.key] = (due, schedule)

    def _fire(self, key: str, schedule: Schedule, due: datetime, now: datetime) -> None:
        invocations: list[Invocation] = []
        moment: datetime | None = due
        if due < now - LATEST:
            _LOG.warning("schedule %s: missed from %s on", key, due)
            moment = following(schedule, now - LATEST)
        last = due
        while moment is not None and moment <= now:
            invocations.append(self._invocation(schedule, moment))
            last = moment
            moment = following(schedule, moment)
        self._queue.add(invocations)
        with self._lock:
            if self._planned.get(key, (due, None))[1] is not schedule:
                return  # it was changed meanwhile
            self._plan(schedule, max(last, now - LATEST))
            completed = key not in self._planned
        if completed and invocations and schedule.body["ActionAfterCompletion"] == "DELETE":
            self._delete(schedule)

    def _delete(self, schedule: Schedule) -> None:
        try:
            if self._store.get(schedule.region, schedule.group, schedule.name).modified_at == schedule.modified_at:
                self._store.delete(schedule)
        except NotFoundError:
            _LOG.debug("schedule %s was deleted by somebody else", schedule.key)

    def _invocation(self, schedule: Schedule, scheduled_at: datetime) -> Invocation:
        arn = schedule.arn(self._account_id)
        found = invocation_id(arn, schedule.created_at.isoformat(), scheduled_at.isoformat())
        event = self._event(schedule, arn, found, scheduled_at)
        target = schedule.body["Target"]
        text = target.get("Input") or json.dumps(event)
        for name, value in (
            ("schedule-arn", arn),
            ("scheduled-time", event["time"]),
            ("execution-id", found),
        ):
            text = text.replace(f"<aws.scheduler.{name}>", value)
        due = scheduled_at + _delay(schedule, found)
        return Invocation(found, scheduled_at, due, Delivery(target, text, event, arn, SCHEDULER))

    def _event(self, schedule: Schedule, arn: str, execution: str, scheduled_at: datetime) -> Mapping[str, Any]:
        """What a target without an Input is given."""
        return {
            "version": "0",
            "id": execution,
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": self._account_id,
            "time": scheduled_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": schedule.region,
            "resources": [arn],
            "detail": "{}",
        }


def following(schedule: Schedule, after: datetime) -> datetime | None:
    """The first time after ``after`` within the schedule's dates; None where there is none left."""
    body = schedule.body
    expression = _expression(schedule)
    recurrence = read_expression(expression, read_zone(body["ScheduleExpressionTimezone"]), _anchor(schedule))
    if is_one_time(expression):
        return recurrence.next_after(after)
    start, end = schedule.time("StartDate"), schedule.time("EndDate")
    if start is not None:
        after = max(after, start - _INSTANT)
    found = recurrence.next_after(after)
    return None if found is None or (end is not None and found > end) else found


def _expression(schedule: Schedule) -> str:
    return str(schedule.body["ScheduleExpression"])


def _anchor(schedule: Schedule) -> datetime:
    return (schedule.time("StartDate") or schedule.created_at).replace(microsecond=0)


def _delay(schedule: Schedule, execution: str) -> timedelta:
    """A place in the flexible time window: any, but always the same for the same occurrence."""
    minutes = schedule.body["FlexibleTimeWindow"].get("MaximumWindowInMinutes", 0)
    chance = random.Random(execution).random()  # noqa: S311 - to spread load, not to hide
    return timedelta(seconds=int(minutes * 60 * chance))
