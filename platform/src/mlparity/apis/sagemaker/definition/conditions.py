"""Conditions of a ConditionStep."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from mlparity.errors import InvalidRequestError

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "Equals": lambda left, right: bool(left == right),
    "GreaterThan": lambda left, right: bool(left > right),
    "GreaterThanOrEqualTo": lambda left, right: bool(left >= right),
    "LessThan": lambda left, right: bool(left < right),
    "LessThanOrEqualTo": lambda left, right: bool(left <= right),
}
TYPES = frozenset({*_COMPARISONS, "In", "Not", "Or"})


def holds(condition: Mapping[str, Any], resolve: Callable[[Any], Any]) -> bool:
    """Whether one condition is true. Raises ``InvalidRequestError`` where its operands cannot be compared."""
    kind = condition["Type"]
    if kind == "Not":
        return not holds(negated(condition), resolve)
    if kind == "Or":
        return any(holds(item, resolve) for item in condition["Conditions"])
    if kind == "In":
        value = resolve(condition["QueryValue"])
        return any(_compare("Equals", value, resolve(item)) for item in condition["Values"])
    return _compare(kind, resolve(condition["LeftValue"]), resolve(condition["RightValue"]))


def negated(condition: Mapping[str, Any]) -> Any:
    """What a Not denies: the SDK 3 calls it Condition, the SDK 2 Expression; None where it has neither."""
    return condition.get("Condition", condition.get("Expression"))


def _compare(kind: str, left: Any, right: Any) -> bool:
    """Numbers compare as numbers, also where one of them came as text; NaN is never anything.

    Values of different kinds are not equal; asking which is greater is an error.
    """
    left, right = _in_kind_of(left, right), _in_kind_of(right, left)
    if any(isinstance(side, float) and math.isnan(side) for side in (left, right)):
        return False
    if kind == "Equals" and isinstance(left, bool) is not isinstance(right, bool):
        return False  # Python would call true and 1 equal
    if kind == "Equals":
        return bool(left == right)
    if not _are_ordered(left, right):
        raise InvalidRequestError(f"condition {kind} cannot compare {left!r} with {right!r}", "they have no order")
    return _COMPARISONS[kind](left, right)


def _are_ordered(left: Any, right: Any) -> bool:
    sides = (left, right)
    if all(isinstance(side, str) for side in sides):
        return True
    return all(isinstance(side, int | float) and not isinstance(side, bool) for side in sides)


def _in_kind_of(value: Any, other: Any) -> Any:
    """Text in the kind of ``other``, where it can be: the API's parameters and properties often are text."""
    if isinstance(value, str) and isinstance(other, bool):
        return {"true": True, "false": False}.get(value.lower(), value)
    if isinstance(value, str) and isinstance(other, int | float):
        try:
            return float(value)
        except ValueError:
            return value
    return value
