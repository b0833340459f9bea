"""How big the steps of a rollout are: shares of the traffic from 0 to 1."""

from __future__ import annotations

import math

from mlparity.serving.endpoints.plans import Capacity, RolloutPolicy, Strategy

_DIGITS = 9
_EXACT = 1e-6  # three thirds are one
_SMALLEST = 0.01  # a step of nothing would never end


def forward(policy: RolloutPolicy, instances: int) -> tuple[float, ...]:
    """The new fleet's share after each step; the last is 1. ``instances``: of the biggest variant."""
    if policy.strategy is Strategy.ALL_AT_ONCE:
        return (1.0,)
    part = fraction(policy.step, instances)
    if policy.strategy is Strategy.CANARY:
        return (round(part, _DIGITS), 1.0) if part < 1 else (1.0,)
    return tuple(_series(part))


def backward(share: float, policy: RolloutPolicy, instances: int) -> tuple[float, ...]:
    """The new fleet's share after each step back from ``share``; the last is 0."""
    if policy.strategy is not Strategy.ROLLING:
        return (0.0,)
    part = fraction(policy.rollback_step, instances)
    down = (round(share - done, _DIGITS) for done in _series(part))
    return (*(left for left in down if left > 0), 0.0)


def fraction(capacity: Capacity, instances: int) -> float:
    """A part of a fleet as 0-1."""
    part = capacity.value / 100 if capacity.percent else capacity.value / max(1, instances)
    return min(1.0, max(_SMALLEST, part))


def _series(part: float) -> list[float]:
    """One part, two parts, and so on until it is all."""
    count = math.ceil(1 / part - _EXACT)
    return [*(round(part * number, _DIGITS) for number in range(1, count)), 1.0]
