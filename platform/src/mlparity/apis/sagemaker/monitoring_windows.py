"""When a monitoring schedule runs, and which hours of data each run looks at.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-schedule-expression.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from mlparity.apis.sagemaker.errors import validation
from mlparity.wire.aws_schedule import Recurrence, ScheduleExpressionError, read_expression

NOW = "NOW"
HOURLY = "cron(0 * ? * * *)"  # what a schedule without an expression is
_HOUR = timedelta(hours=1)
_OFFSET = re.compile(r"([+-]?)P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


@dataclass(frozen=True)
class Window:
    """From ``start`` to before ``end``."""

    start: datetime
    end: datetime

    def hours(self) -> Iterator[datetime]:
        """The hours that it touches, each by its beginning."""
        hour = self.start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        while hour < self.end:
            yield hour
            hour += _HOUR


def check(config: Mapping[str, Any]) -> None:
    """Refuse a ScheduleConfig that cannot be followed."""
    expression = config.get("ScheduleExpression", HOURLY)
    offsets = [config.get(name) for name in ("DataAnalysisStartTime", "DataAnalysisEndTime")]
    if expression == NOW and None in offsets:
        raise validation(
            "DataAnalysisStartTime and DataAnalysisEndTime are required for a one time monitoring schedule"
        )
    start, end = (offset(text) if text else timedelta() for text in offsets)
    if None not in offsets and start >= end:
        raise validation("DataAnalysisStartTime must be before DataAnalysisEndTime")
    if expression != NOW:
        _recurrence(expression)


def next_run(config: Mapping[str, Any], after: datetime) -> datetime | None:
    """When the schedule runs next; None where it runs only on demand."""
    expression = config.get("ScheduleExpression", HOURLY)
    return None if expression == NOW else _recurrence(expression).next_after(after)


def window(config: Mapping[str, Any], job_input: Mapping[str, Any], scheduled_at: datetime) -> Window:
    """What the run of ``scheduled_at`` looks at.

    Without offsets: the time between two runs, before this one. The input's own offsets (of model quality jobs, whose
    labels come late) move both ends.
    """
    start_text, end_text = config.get("DataAnalysisStartTime"), config.get("DataAnalysisEndTime")
    following = next_run(config, scheduled_at)
    period = following - scheduled_at if following else _HOUR
    start = scheduled_at + offset(start_text) if start_text else scheduled_at - period
    end = scheduled_at + offset(end_text) if end_text else scheduled_at
    early, late = job_input.get("StartTimeOffset"), job_input.get("EndTimeOffset")
    return Window(start + offset(early) if early else start, end + offset(late) if late else end)


def offset(text: str) -> timedelta:
    """An ISO 8601 duration with a sign: "-PT1H". Raises ``ValidationException``."""
    match = _OFFSET.fullmatch(text)
    if match is None or not any(match.groups()[1:]):
        raise validation(f"{text!r} is not an offset: an ISO 8601 duration such as -PT1H is needed")
    sign, *parts = match.groups()
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in parts)
    found = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    return -found if sign == "-" else found


def _recurrence(expression: str) -> Recurrence:
    if not expression.startswith("cron("):
        raise validation(f"Invalid schedule expression: {expression}. It must be {NOW} or cron(...)")
    try:
        return read_expression(expression, UTC, datetime(1970, 1, 1, tzinfo=UTC))
    except ScheduleExpressionError as error:
        raise validation(f"Invalid schedule expression: {expression}. {error}") from error
