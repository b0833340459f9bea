"""Schedule expressions: ``rate(5 minutes)``, ``cron(0 12 * * ? *)`` and ``at(2026-11-20T13:00:00)``.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mlparity.wire.aws_cron import Cron
from mlparity.wire.cron_field import CronError

_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}
_RATE = re.compile(r"rate\(([0-9]{1,9}) +(minute|hour|day)(s?)\)")
_CRON = re.compile(r"cron\((.+)\)")
_AT = re.compile(r"at\((\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})\)")
_MOST_SECONDS = 366 * 100 * 86400


class ScheduleExpressionError(ValueError):
    """The expression, or its time zone, cannot be read."""


class Recurrence(Protocol):
    """When something is due."""

    def next_after(self, moment: datetime) -> datetime | None:
        """The first due time after ``moment``, in UTC; None where there is none left."""
        ...


@dataclass(frozen=True)
class Rate:
    """Every ``every``, the first time at ``anchor``."""

    every: timedelta
    anchor: datetime

    def next_after(self, moment: datetime) -> datetime | None:
        """See ``Recurrence``."""
        if moment < self.anchor:
            return self.anchor
        return self.anchor + ((moment - self.anchor) // self.every + 1) * self.every


@dataclass(frozen=True)
class CronTimes:
    """A cron expression in a time zone."""

    cron: Cron
    zone: tzinfo

    def next_after(self, moment: datetime) -> datetime | None:
        """See ``Recurrence``."""
        return self.cron.next_after(moment, self.zone)


@dataclass(frozen=True)
class Once:
    """One moment."""

    at: datetime

    def next_after(self, moment: datetime) -> datetime | None:
        """See ``Recurrence``."""
        return self.at if self.at > moment else None


def read_zone(name: str) -> ZoneInfo:
    """A time zone of the IANA database. Raises ``ScheduleExpressionError``."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ScheduleExpressionError(f"{name!r} is not a time zone") from None


def read_expression(text: str, zone: tzinfo, anchor: datetime) -> Recurrence:
    """The recurrence of an expression; ``anchor`` is the first time of a rate.

    Raises ``ScheduleExpressionError``.
    """
    if match := _RATE.fullmatch(text):
        return Rate(_every(match[1], match[2]), anchor)
    if match := _CRON.fullmatch(text):
        try:
            return CronTimes(Cron.parse(match[1]), zone)
        except CronError as error:
            raise ScheduleExpressionError(str(error)) from None
    if match := _AT.fullmatch(text):
        try:
            local = datetime.fromisoformat(match[1]).replace(tzinfo=zone)
        except ValueError as error:
            raise ScheduleExpressionError(str(error)) from None
        return Once(local.astimezone(UTC))
    raise ScheduleExpressionError(f"{text!r} is none of rate(…), cron(…) and at(…)")


def is_one_time(text: str) -> bool:
    """Whether the expression is an ``at(…)``."""
    return text.startswith("at(")


def is_strict_rule_expression(text: str) -> bool:
    """Whether a rule of EventBridge takes it: no ``at``, and "1 minute" but "2 minutes"."""
    match = _RATE.fullmatch(text)
    return (int(match[1]) == 1) == (match[3] == "") if match else text.startswith("cron(")


def _every(value: str, unit: str) -> timedelta:
    seconds = int(value) * _SECONDS[unit]
    if not 0 < seconds <= _MOST_SECONDS:
        raise ScheduleExpressionError(f"a rate of {value} {unit}s is out of range")
    return timedelta(seconds=seconds)
