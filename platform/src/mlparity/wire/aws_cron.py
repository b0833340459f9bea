"""AWS's dialect of cron: six fields, ``?``, ``L``, ``W`` and ``#``; Sunday is 1.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#cron-based. No library is used: those that
know the dialect know no time zones, and those that know time zones number the week from another day.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

from mlparity.wire.cron_field import MONTH_NAMES, CronError, number, numbers

_DAY_NAMES = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 1)}
_FIRST_YEAR, _LAST_YEAR = 1970, 2199
_FIELDS = 6
_SATURDAY, _SUNDAY = 5, 6  # as ``date.weekday`` has them
_MOST_WEEKS = 5

# The days of a month (1-31) that a day field names.
DaysOf = Callable[[int, int], frozenset[int]]


@dataclass(frozen=True)
class Cron:
    """A parsed expression."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: DaysOf
    months: tuple[int, ...]
    years: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> Cron:
        """``text`` is what stands between the brackets of ``cron(…)``. Raises ``CronError``."""
        fields = text.upper().split()
        if len(fields) != _FIELDS:
            raise CronError(f"a cron expression has {_FIELDS} fields, not {len(fields)}")
        minute, hour, day, month, weekday, year = fields
        if (day == "?") == (weekday == "?"):
            raise CronError("exactly one of day-of-month and day-of-week must be ?")
        return cls(
            minutes=_numbers(minute, 0, 59),
            hours=_numbers(hour, 0, 23),
            days=_days_of_month(day) if weekday == "?" else _days_of_week(weekday),
            months=_numbers(month, 1, 12, MONTH_NAMES),
            years=_numbers(year, _FIRST_YEAR, _LAST_YEAR),
        )

    def next_after(self, moment: datetime, zone: tzinfo) -> datetime | None:
        """The first time after ``moment`` (aware), in UTC; None where there is none left.

        A local time that the spring's change skips is not run; one that the autumn's repeats is run once, as the
        Scheduler does.
        """
        first = moment.astimezone(zone).date() - timedelta(days=1)
        for day in self._dates(first):
            for hour in self.hours:
                for minute in self.minutes:
                    local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
                    found = local.astimezone(UTC)
                    if found > moment and found.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
                        return found
        return None

    def _dates(self, first: date) -> Iterator[date]:
        for year in self.years:
            if year < first.year:
                continue
            for month in self.months:
                if (year, month) < (first.year, first.month):
                    continue
                for day in sorted(self.days(year, month)):
                    found = date(year, month, day)
                    if found >= first:
                        yield found


def _numbers(field: str, low: int, high: int, names: Mapping[str, int] | None = None) -> tuple[int, ...]:
    """FRI-MON and 22-2 go round the end of the week and of the day; years do not."""
    return numbers(field, low, high, names, wraps=low != _FIRST_YEAR)


def _days_of_month(field: str) -> DaysOf:
    if field == "L":
        return lambda year, month: frozenset({_length(year, month)})
    if field == "LW":
        return lambda year, month: frozenset({_nearest_weekday(year, month, _length(year, month))})
    if re.fullmatch(r"\d+W", field):
        wanted = number(field[:-1], 1, 31, {})
        return lambda year, month: (
            frozenset({_nearest_weekday(year, month, wanted)}) if wanted <= _length(year, month) else frozenset()
        )
    numbers = frozenset(_numbers(field, 1, 31))
    return lambda year, month: frozenset(day for day in numbers if day <= _length(year, month))


def _days_of_week(field: str) -> DaysOf:
    if field == "L":
        field = "SAT"
    nth = re.fullmatch(r"(\w+)#(\d)", field)
    if nth is not None:
        wanted, week = number(nth[1], 1, 7, _DAY_NAMES), int(nth[2])
        if not 1 <= week <= _MOST_WEEKS:
            raise CronError(f"{field!r}: a month has no such week")
        return lambda year, month: frozenset(_on(year, month, {wanted})[week - 1 : week])
    last = re.fullmatch(r"(\w+)L", field)
    if last is not None:
        wanted = number(last[1], 1, 7, _DAY_NAMES)
        return lambda year, month: frozenset(_on(year, month, {wanted})[-1:])
    numbers = set(_numbers(field, 1, 7, _DAY_NAMES))
    return lambda year, month: frozenset(_on(year, month, numbers))


def _on(year: int, month: int, weekdays: set[int]) -> list[int]:
    """The days of the month that fall on these weekdays (Sunday is 1)."""
    return [
        day for day in range(1, _length(year, month) + 1) if (date(year, month, day).weekday() + 1) % 7 + 1 in weekdays
    ]


def _nearest_weekday(year: int, month: int, day: int) -> int:
    """The nearest Monday to Friday within the month."""
    weekday = date(year, month, day).weekday()
    if weekday == _SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == _SUNDAY:
        return day + 1 if day < _length(year, month) else day - 2
    return day


def _length(year: int, month: int) -> int:
    return calendar.monthrange(year, month)[1]
