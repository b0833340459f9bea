"""Unix cron, and KFP's form of it with seconds: Sunday is 0; days of month and of week are alternatives.

Five fields (minute, hour, day of month, month, day of week) as https://man7.org/linux/man-pages/man5/crontab.5.html has
them. With seconds: six fields, or five without the day of week, and ``@every 1h30m``, ``@hourly`` and its like, as
https://pkg.go.dev/github.com/robfig/cron (version 1) has them: ``?`` is ``*`` there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

from mlparity.wire.cron_field import MONTH_NAMES, CronError, numbers

_DAY_NAMES = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))}
_FIVE, _SIX = 5, 6
_HORIZON = 8 * 366 + 1  # days: a 29th of February comes at least once in them
_DESCRIPTORS = {
    "@YEARLY": "0 0 0 1 1 *",
    "@ANNUALLY": "0 0 0 1 1 *",
    "@MONTHLY": "0 0 0 1 * *",
    "@WEEKLY": "0 0 0 * * 0",
    "@DAILY": "0 0 0 * * *",
    "@MIDNIGHT": "0 0 0 * * *",
    "@HOURLY": "0 0 * * * *",
}
_EVERY = re.compile(r"@EVERY\s+((?:\d+(?:\.\d+)?(?:H|MS|M|S))+)")
_PART = re.compile(r"(\d+(?:\.\d+)?)(H|MS|M|S)")
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "MS": 0.001}


@dataclass(frozen=True)
class UnixCron:
    """Times by the fields of an expression, on the clock of a time zone."""

    seconds: Sequence[int]
    minutes: Sequence[int]
    hours: Sequence[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # Sunday is 0
    either_day: bool  # a day of the month or a day of the week; else both

    def next_after(self, moment: datetime, zone: tzinfo = UTC) -> datetime | None:
        """The first time after ``moment`` (aware), in UTC; None where there is none for eight years.

        A local time that the spring's change skips is not run; one that the autumn's repeats is run once.
        """
        for day in self._dates(moment.astimezone(zone).date() - timedelta(days=1)):
            for hour in self.hours:
                local = datetime(day.year, day.month, day.day, hour, 59, 59, 999999, tzinfo=zone)
                if local.astimezone(UTC) <= moment:
                    continue
                for minute in self.minutes:
                    for second in self.seconds:
                        found = local.replace(minute=minute, second=second, microsecond=0)
                        utc = found.astimezone(UTC)
                        if utc > moment and utc.astimezone(zone).replace(tzinfo=None) == found.replace(tzinfo=None):
                            return utc
        return None

    def _dates(self, first: date) -> Iterator[date]:
        for offset in range(_HORIZON):
            day = first + timedelta(days=offset)
            if day.month in self.months and self._is_day(day):
                yield day

    def _is_day(self, day: date) -> bool:
        of_month, of_week = day.day in self.days, (day.weekday() + 1) % 7 in self.weekdays
        return (of_month or of_week) if self.either_day else (of_month and of_week)


@dataclass(frozen=True)
class Every:
    """A fixed time after the one before, in whole seconds, as ``@every`` has it."""

    period: timedelta

    def next_after(self, moment: datetime, zone: tzinfo = UTC) -> datetime | None:  # noqa: ARG002 - of the protocol
        """``moment``, without its fraction of a second, and the period."""
        return moment.astimezone(UTC).replace(microsecond=0) + self.period


def parse_unix_cron(text: str) -> UnixCron:
    """Five fields. Raises ``CronError``."""
    fields = text.upper().split()
    if len(fields) != _FIVE:
        raise CronError(f"a cron expression has {_FIVE} fields, not {len(fields)}: {text!r}")
    return _cron(["0", *fields], highest_weekday=7)


def parse_cron_with_seconds(text: str) -> UnixCron | Every:
    """Six fields (or five without a day of week), or a descriptor. Raises ``CronError``."""
    upper = text.upper().strip()
    if upper.startswith("@"):
        return _descriptor(upper, text)
    fields = [
        ",".join("*" + item[1:] if item.startswith("?") else item for item in f.split(",")) for f in upper.split()
    ]
    if len(fields) == _FIVE:
        fields.append("*")
    if len(fields) != _SIX:
        raise CronError(f"Expected {_FIVE} to {_SIX} fields, found {len(fields)}: {text}")
    return _cron(fields, highest_weekday=6)


def _cron(fields: Sequence[str], highest_weekday: int) -> UnixCron:
    second, minute, hour, day, month, weekday = fields
    open_day = any(item.startswith("*") for field in (day, weekday) for item in field.split(","))
    return UnixCron(
        seconds=numbers(second, 0, 59),
        minutes=numbers(minute, 0, 59),
        hours=numbers(hour, 0, 23),
        days=frozenset(numbers(day, 1, 31)),
        months=frozenset(numbers(month, 1, 12, MONTH_NAMES)),
        weekdays=frozenset(value % 7 for value in numbers(weekday, 0, highest_weekday, _DAY_NAMES)),
        either_day=not open_day,
    )


def _descriptor(upper: str, text: str) -> UnixCron | Every:
    if upper in _DESCRIPTORS:
        return _cron(_DESCRIPTORS[upper].split(), highest_weekday=6)
    match = _EVERY.fullmatch(upper)
    if match is None:
        raise CronError(f"Unrecognized descriptor: {text}")
    seconds = sum(float(value) * _UNITS[unit] for value, unit in _PART.findall(match[1]))
    return Every(timedelta(seconds=max(1, int(seconds))))
