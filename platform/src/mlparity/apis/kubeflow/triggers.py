"""When recurring runs are due: a cron expression or an interval, between a start and an end.

As KFP's controller: the first time is one interval (or the next cron time) after the creation, or after the start where
one is given. With catch-up, every time that was missed follows one by one. Without, a cron skips to the newest time
that is due, and an interval that missed more than one time runs now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mlparity.apis.kubeflow.bodies import read_time
from mlparity.apis.kubeflow.errors import invalid
from mlparity.apis.kubeflow.listing import stored_time
from mlparity.wire.cron_field import CronError
from mlparity.wire.unix_cron import Every, UnixCron, parse_cron_with_seconds


@dataclass(frozen=True)
class Trigger:
    """A trigger as stored; ``cron`` "" is an interval of ``interval`` seconds."""

    cron: str
    interval: int
    start: datetime | None
    end: datetime | None

    def to_json(self) -> dict[str, Any]:
        """As stored."""
        return {
            "cron": self.cron,
            "interval": self.interval,
            "start": stored_time(self.start) if self.start else "",
            "end": stored_time(self.end) if self.end else "",
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Trigger:
        """The inverse of ``to_json``."""
        start, end = read_time(document["start"]), read_time(document["end"])
        return cls(document["cron"], document["interval"], start, end)

    def shown(self) -> dict[str, Any]:
        """As the API shows it."""
        times = {"start_time": self.start, "end_time": self.end}
        if self.cron:
            return {"cron_schedule": {"cron": self.cron, **times}}
        return {"periodic_schedule": {"interval_second": self.interval, **times}}

    def due_after(self, last: datetime | None, created: datetime, now: datetime, *, catch_up: bool) -> datetime | None:
        """The next time after the ``last`` one that ran (None: none has); None where there is none left.

        Where it is not after ``now``, it is the one to run now.
        """
        begin = last or self.start or created
        if self.start is not None and self.start > begin:
            begin = self.start
        begin = begin.replace(microsecond=0)
        found = self._next(begin)
        if found is None or (self.end is not None and found > self.end):
            return None
        return found if catch_up or found > now else self._newest(found, now)

    def _next(self, moment: datetime) -> datetime | None:
        if self.cron:
            return self._times().next_after(moment)
        return moment + timedelta(seconds=self.interval)

    def _newest(self, found: datetime, now: datetime) -> datetime:
        """The newest time that is due, ``found`` being one."""
        if not self.cron:
            missed = now >= found + timedelta(seconds=self.interval)
            return now.replace(microsecond=0) if missed and (self.end is None or now <= self.end) else found
        times, limit = self._times(), min(now, self.end or now)
        back = timedelta(seconds=1)
        while back < limit - found:  # look back twice as far until there is a time: few lie between
            newest = times.next_after(limit - back)
            if newest is not None and newest <= limit:
                found = newest
                break
            back *= 2
        while (later := times.next_after(found)) is not None and later <= limit:
            found = later
        return found

    def _times(self) -> UnixCron | Every:
        return parse_cron_with_seconds(self.cron)


def read_trigger(trigger: Mapping[str, Any] | None) -> Trigger:
    """The trigger of a request. Raises ``KubeflowError``."""
    cron, periodic = (trigger or {}).get("cron_schedule"), (trigger or {}).get("periodic_schedule")
    if cron is not None and periodic is not None:
        raise invalid("Please specify either a cron schedule or a periodic schedule, not both")
    if cron is not None and cron.get("cron"):
        found = Trigger(str(cron["cron"]), 0, cron.get("start_time"), cron.get("end_time"))
        try:
            parse_cron_with_seconds(found.cron)
        except CronError as error:
            raise invalid(
                f"Schedule cron is not a supported format(https://godoc.org/github.com/robfig/cron). Error: {error}"
            ) from None
        return found
    if periodic is not None:
        interval = int(periodic.get("interval_second", 0))
        if interval < 1:
            raise invalid(f"Found invalid interval schedule interval {interval}. Set at interval to least 1 second")
        return Trigger("", interval, periodic.get("start_time"), periodic.get("end_time"))
    raise invalid("Recurring run must have a trigger: a cron schedule or a periodic schedule")
