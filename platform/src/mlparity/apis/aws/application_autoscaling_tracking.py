"""How many instances a target tracking policy wants: a decision, from values alone.

https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

HIGH_PERIODS, LOW_PERIODS = 3, 15  # minutes that the metric must be above, or below, before anything is done
LOW_SHARE = 0.9  # of the target: below it there is room to go down


@dataclass(frozen=True)
class Tracking:
    """What a policy decides by. ``values`` are of the last minutes, newest first; None: no data."""

    target: float
    values: Sequence[float | None]
    current: int
    now: datetime
    scaled_out_at: datetime | None
    scaled_in_at: datetime | None
    out_cooldown: timedelta
    in_cooldown: timedelta
    may_scale_in: bool = True


def wanted(tracking: Tracking) -> int:
    """The instances that bring the metric to its target; ``current`` where nothing is to be done."""
    high = [value for value in tracking.values[:HIGH_PERIODS] if value is not None]
    if len(high) == HIGH_PERIODS and all(value > tracking.target for value in high):
        if _is_over(tracking.scaled_out_at, tracking.out_cooldown, tracking.now):
            return max(_by(tracking, high[0]), tracking.current)
        return tracking.current
    low = [value for value in tracking.values[:LOW_PERIODS] if value is not None]
    enough = len(low) == LOW_PERIODS and all(value < tracking.target * LOW_SHARE for value in low)
    if enough and tracking.may_scale_in and _is_quiet(tracking):
        return min(_by(tracking, low[0]), tracking.current)
    return tracking.current


def _by(tracking: Tracking, value: float) -> int:
    """The metric is of one instance; the work of all is shared among more or fewer."""
    return math.ceil(max(tracking.current, 1) * value / tracking.target)


def _is_quiet(tracking: Tracking) -> bool:
    """Going down waits for both cooldowns."""
    return _is_over(tracking.scaled_in_at, tracking.in_cooldown, tracking.now) and _is_over(
        tracking.scaled_out_at, tracking.in_cooldown, tracking.now
    )


def _is_over(since: datetime | None, cooldown: timedelta, now: datetime) -> bool:
    return since is None or now - since >= cooldown
