"""Search spaces: parameters with ranges, each mapped to and from the unit interval by its scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from mlparity.errors import InvalidRequestError

Value = float | int | str
Values = Mapping[str, Value]


class Scale(StrEnum):
    """How a range is searched: evenly, evenly in the logarithm, or evenly in the logarithm of the gap to 1."""

    LINEAR = "linear"
    LOGARITHMIC = "logarithmic"
    REVERSE_LOGARITHMIC = "reverse-logarithmic"


@dataclass(frozen=True)
class Range:
    """A number from ``low`` to ``high``, both included. ``whole`` numbers are integers."""

    name: str
    low: float
    high: float
    scale: Scale = Scale.LINEAR
    whole: bool = False

    def at(self, unit: float) -> Value:
        """The value at ``unit`` (0 to 1) of the range."""
        low, high = self._ends()
        raw = _back(self.scale, low + unit * (high - low))
        value = min(max(raw, self.low), self.high)
        return int(min(max(math.floor(raw + 0.5), self.low), self.high)) if self.whole else value

    def unit(self, value: Value) -> float:
        """Where in the range ``value`` lies: the inverse of ``at`` (the middle of a whole number's share)."""
        low, high = self._ends()
        place = (_forth(self.scale, float(value)) - low) / (high - low) if high > low else 0.0
        return min(max(place, 0.0), 1.0)

    def holds(self, value: Value) -> bool:
        """Whether ``value`` is of this range."""
        try:
            return self.low <= float(value) <= self.high
        except ValueError:
            return False

    def _ends(self) -> tuple[float, float]:
        margin = 0.5 if self.whole else 0.0  # every whole number gets an equal share
        low = self.low - margin
        if self.scale is Scale.LOGARITHMIC and low <= 0:
            low = self.low
        return _forth(self.scale, low), _forth(self.scale, self.high + margin)


@dataclass(frozen=True)
class Choice:
    """One of several texts, without an order."""

    name: str
    values: Sequence[str]

    def at(self, unit: float) -> Value:
        """The value whose share of the unit interval holds ``unit``."""
        return self.values[min(int(unit * len(self.values)), len(self.values) - 1)]

    def holds(self, value: Value) -> bool:
        """Whether ``value`` is one of them."""
        return value in self.values


Parameter = Range | Choice


@dataclass(frozen=True)
class Space:
    """The parameters of a search, by name."""

    parameters: Sequence[Parameter]

    def holds(self, values: Values) -> bool:
        """Whether ``values`` has every parameter, each within its range."""
        return all(item.name in values and item.holds(values[item.name]) for item in self.parameters)

    def to_json(self) -> list[dict[str, Any]]:
        """As stored in the database."""
        return [asdict(item) for item in self.parameters]

    @classmethod
    def from_json(cls, document: Sequence[Mapping[str, Any]]) -> Space:
        """The inverse of ``to_json``."""
        return cls(
            tuple(
                Choice(item["name"], tuple(item["values"]))
                if "values" in item
                else Range(**{**item, "scale": Scale(item["scale"])})
                for item in document
            )
        )


def checked_range(item: Range) -> Range:
    """``item``, or ``InvalidRequestError`` where its scale does not suit its ends."""
    if not item.low <= item.high:
        raise InvalidRequestError(f"the range of {item.name} is empty", f"{item.low} is above {item.high}")
    if item.scale is Scale.LOGARITHMIC and item.low <= 0:
        raise InvalidRequestError(
            f"{item.name} cannot have a logarithmic scale", "its range must be above 0", "use a linear scale"
        )
    if item.scale is Scale.REVERSE_LOGARITHMIC and not (item.low >= 0 and item.high < 1):
        raise InvalidRequestError(
            f"{item.name} cannot have a reverse logarithmic scale", "its range must be within 0 <= x < 1.0"
        )
    return item


def _forth(scale: Scale, value: float) -> float:
    if scale is Scale.LOGARITHMIC:
        return math.log(value)
    if scale is Scale.REVERSE_LOGARITHMIC:
        return -math.log1p(-value)
    return value


def _back(scale: Scale, value: float) -> float:
    if scale is Scale.LOGARITHMIC:
        return math.exp(value)
    if scale is Scale.REVERSE_LOGARITHMIC:
        return -math.expm1(-value)
    return value
