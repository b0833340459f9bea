"""When a failed step is tried again: rules with a growing interval, a number of attempts or a time limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True)
class RetryRule:
    """Which faults it is for, and how often. ``faults`` are the vendor's own words for them.

    ``max_attempts`` counts the retries, not the first attempt; ``expire_after_seconds`` counts from the step's
    first start. None: no such limit.
    """

    faults: Sequence[str]
    interval_seconds: float = 1.0
    backoff_rate: float = 2.0
    max_attempts: int | None = None
    expire_after_seconds: float | None = None
    max_interval_seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As stored in the database."""
        return {
            "faults": list(self.faults),
            "interval_seconds": self.interval_seconds,
            "backoff_rate": self.backoff_rate,
            "max_attempts": self.max_attempts,
            "expire_after_seconds": self.expire_after_seconds,
            "max_interval_seconds": self.max_interval_seconds,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> RetryRule:
        """The inverse of ``to_json``."""
        return cls(**document)


def next_attempt(
    rules: Sequence[RetryRule], fault: str, attempt: int, first_start: datetime, now: datetime
) -> datetime | None:
    """When to try again after ``attempt`` (from 1) ended with ``fault``; None where the step has failed for good.

    The first rule that names the fault decides.
    """
    rule = next((rule for rule in rules if fault in rule.faults), None)
    if rule is None or (rule.max_attempts is not None and attempt > rule.max_attempts):
        return None
    try:
        interval = rule.interval_seconds * rule.backoff_rate ** (attempt - 1)
        if rule.max_interval_seconds is not None:
            interval = min(interval, rule.max_interval_seconds)
        at = now + timedelta(seconds=interval)
        limit = rule.expire_after_seconds
        if limit is not None and at > first_start + timedelta(seconds=limit):
            return None
    except OverflowError:
        return None
    return at
