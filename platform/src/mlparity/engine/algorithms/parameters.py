"""Hyperparameters as a built-in algorithm declares them: type, range, dependencies, and the toolkit's messages.

All hyperparameters arrive as strings. Order of the checks and texts follow SageMaker's algorithm toolkit
(aws/sagemaker-xgboost-container, sagemaker_algorithm_toolkit).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlparity.engine.algorithms.errors import UserError


@dataclass(frozen=True)
class Interval:
    """Bounds; None is unbounded."""

    low: float | None = None
    high: float | None = None
    low_open: bool = False
    high_open: bool = False

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int | float):
            return False
        above = self.low is None or (value > self.low if self.low_open else value >= self.low)
        below = self.high is None or (value < self.high if self.high_open else value <= self.high)
        return above and below

    def __str__(self) -> str:
        low = "(-inf" if self.low is None else f"{'(' if self.low_open else '['}{self.low}"
        high = "+inf)" if self.high is None else f"{self.high}{')' if self.high_open else ']'}"
        return f"{low}, {high}"


def at_least(low: float) -> Interval:
    """[low, +inf)."""
    return Interval(low)


Check = Callable[[Any, Mapping[str, Any]], None]


@dataclass(frozen=True)
class Parameter:
    """One hyperparameter. ``check`` sees the parsed value and all parsed values, and raises ``UserError``."""

    parse: Callable[[str], Any]
    range: Container[Any]
    each: bool = False  # the value is a sequence and the range holds for its elements
    required: bool = False
    check: Check | None = None
    aliases: Sequence[str] = field(default=())


def words(text: str) -> list[str]:
    """Comma-separated words."""
    return text.split(",")


def literal(text: str) -> Any:
    """A Python literal: "(1, 0, -1)", "[[0, 1], [2]]". Raises ``ValueError``."""
    try:
        return ast.literal_eval(text)
    except SyntaxError as error:
        raise ValueError(str(error)) from error


def validate(declared: Mapping[str, Parameter], given: Mapping[str, str]) -> dict[str, Any]:
    """The parsed values under their declared names. Raises ``UserError`` at the first thing that is wrong."""
    names = {alias: name for name, parameter in declared.items() for alias in parameter.aliases}
    given = {names.get(name, name): value for name, value in given.items()}
    for name, parameter in declared.items():
        if parameter.required and name not in given:
            raise UserError(f"Missing required hyperparameter: {name}")
    values = {name: _parse(declared, name, text) for name, text in given.items()}
    for name, value in values.items():
        _check_range(name, declared[name], value)
    for name, value in values.items():
        check = declared[name].check
        if check is not None:
            check(value, values)
    return values


def _parse(declared: Mapping[str, Parameter], name: str, text: str) -> Any:
    if name not in declared:
        raise UserError(f"Extraneous hyperparameter found: {name}")
    try:
        return declared[name].parse(text)
    except ValueError as error:
        raise UserError(f"Hyperparameter {name}: could not parse value (caused by {type(error).__name__})") from error


def _check_range(name: str, parameter: Parameter, value: Any) -> None:
    if not parameter.each:
        if value not in parameter.range:
            raise UserError(f"Hyperparameter {name}: {value} is not in {parameter.range}")
        return
    outer = value if isinstance(value, list | tuple) else (value,)
    elements = [element for item in outer for element in (item if isinstance(item, list | tuple) else (item,))]
    if any(element not in parameter.range for element in elements):
        raise UserError(f"Hyperparameter {name}: value {value} not in range {parameter.range}")
