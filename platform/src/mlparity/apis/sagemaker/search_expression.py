"""SearchExpression: filters, nested filters and sub-expressions, joined by And or Or."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from mlparity.apis.sagemaker.errors import validation
from mlparity.apis.sagemaker.search_properties import Kind, Property, locate, member_shape

Predicate = Callable[[Any], bool]

_LIMIT = 50  # filters of all sorts in one expression
_ORDERED: Mapping[str, Callable[[Any, Any], bool]] = {
    "GreaterThan": lambda actual, wanted: bool(actual > wanted),
    "GreaterThanOrEqualTo": lambda actual, wanted: bool(actual >= wanted),
    "LessThan": lambda actual, wanted: bool(actual < wanted),
    "LessThanOrEqualTo": lambda actual, wanted: bool(actual <= wanted),
}
# Of these, an expression may ask several times what they contain; of all others, once.
_CONTAINS_OFTEN = re.compile(
    r"(Experiment|Trial|TrialComponent)?\.?"
    r"(DisplayName|ExperimentName|TrialName|TrialComponentName|Tags|InputArtifacts|OutputArtifacts)(\..*)?",
    re.IGNORECASE,
)


def predicate(shapes: Mapping[str, Any], shape: str, expression: Mapping[str, Any]) -> Predicate:
    """What decides whether a record of ``shape`` is found. Raises ``ValidationException`` for what cannot be asked."""
    filters = list(_filters(expression))
    if not filters:
        raise validation("A SearchExpression needs at least one Filter, NestedFilter or SubExpression")
    if len(filters) > _LIMIT:
        raise validation(f"A SearchExpression can have at most {_LIMIT} filters")
    once = [item for item in filters if item.get("Operator") == "Contains"]
    if len([item for item in once if not _CONTAINS_OFTEN.fullmatch(item["Name"])]) > 1:
        raise validation("'CONTAINS' operator usage limit of 1 exceeded.")
    return _expression(shapes, shape, expression)


def names(expression: Mapping[str, Any]) -> set[str]:
    """Every property that an expression asks for."""
    return {item["Name"] for item in _filters(expression)}


def _filters(expression: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from expression.get("Filters", ())
    for nested in expression.get("NestedFilters", ()):
        yield from nested["Filters"]
    for below in expression.get("SubExpressions", ()):
        yield from _filters(below)


def _expression(shapes: Mapping[str, Any], shape: str, expression: Mapping[str, Any]) -> Predicate:
    parts = [_filter(shapes, shape, item, item["Name"]) for item in expression.get("Filters", ())]
    parts += [_nested(shapes, shape, item) for item in expression.get("NestedFilters", ())]
    parts += [_expression(shapes, shape, item) for item in expression.get("SubExpressions", ())]
    if not parts:
        raise validation("A SearchExpression needs at least one Filter, NestedFilter or SubExpression")
    join = any if expression.get("Operator") == "Or" else all
    return lambda record: join(part(record) for part in parts)


def _nested(shapes: Mapping[str, Any], shape: str, nested: Mapping[str, Any]) -> Predicate:
    """True where one element of the list satisfies all filters."""
    name = nested["NestedPropertyName"]
    whole = locate(shapes, shape, name)
    element = member_shape(shapes, shape, name)
    parts = []
    for item in nested["Filters"]:
        prefix, below = item["Name"][: len(name) + 1], item["Name"][len(name) + 1 :]
        if prefix.lower() != f"{name.lower()}." or not below:
            raise validation(f"The filter {item['Name']} is not of the nested property {name}")
        parts.append(_filter(shapes, element, item, below))
    return lambda record: any(all(part(found) for part in parts) for found in whole.elements(record))


def _filter(shapes: Mapping[str, Any], shape: str, item: Mapping[str, Any], name: str) -> Predicate:
    where = locate(shapes, shape, name)
    operator = item.get("Operator", "Equals")
    if operator == "Exists":
        return lambda record: bool(where.values(record))
    if operator == "NotExists":
        return lambda record: not where.values(record)
    if "Value" not in item:
        raise validation(f"The filter {item['Name']} with operator {operator} needs a Value")
    if where.kind is Kind.OBJECT:
        raise validation(f"The property {item['Name']} has no value to compare: name a member of it")
    return _comparison(where, operator, item)


def _comparison(where: Property, operator: str, item: Mapping[str, Any]) -> Predicate:
    value = item["Value"]
    if operator == "NotEquals":
        same = _equality(where.kind, value)
        return lambda record: not any(same(actual) for actual in where.values(record))
    if operator == "Equals":
        test = _equality(where.kind, value)
    elif operator in _ORDERED:
        test = _order(where.kind, _ORDERED[operator], item)
    else:
        test = _text(where.kind, operator, item)
    return lambda record: any(test(actual) for actual in where.values(record))


def _text(kind: Kind, operator: str, item: Mapping[str, Any]) -> Callable[[Any], bool]:
    if kind not in {Kind.TEXT, Kind.LOOSE}:
        raise validation(f"Operator {operator} is only supported for text properties: {item['Name']} is a {kind}")
    if operator == "In":
        listed = {part.strip() for part in item["Value"].split(",")}
        return lambda actual: str(actual) in listed
    wanted: str = item["Value"]
    return lambda actual: wanted in str(actual)


def _equality(kind: Kind, value: str) -> Callable[[Any], bool]:
    if kind is Kind.TEXT:
        return lambda actual: bool(str(actual) == value)
    if kind is Kind.BOOLEAN:
        return lambda actual: str(actual).lower() == value.lower()
    if kind is Kind.TIME:
        moment = _moment(value)
        return lambda actual: bool(actual.replace(microsecond=0) == moment)
    if kind is Kind.NUMBER:
        number = _required_number(value)
        return lambda actual: bool(actual == number)
    return lambda actual: str(actual) == value or _loosely(actual, value, lambda left, right: bool(left == right))


def _order(kind: Kind, compare: Callable[[Any, Any], bool], item: Mapping[str, Any]) -> Callable[[Any], bool]:
    value: str = item["Value"]
    if kind is Kind.TIME:
        moment = _moment(value)
        return lambda actual: compare(actual, moment)
    if kind is Kind.NUMBER:
        number = _required_number(value)
        return lambda actual: compare(actual, number)
    if kind is Kind.LOOSE:
        _required_number(value)
        return lambda actual: _loosely(actual, value, compare)
    raise validation(f"Operator {item['Operator']} is not supported for text properties: {item['Name']}")


def _loosely(actual: Any, value: str, compare: Callable[[Any, Any], bool]) -> bool:
    """A text that may be a number, against one. Against a whole number, decimals count as whole ones."""
    left, right = _number(actual), _number(value)
    if left is None or right is None:
        return False
    if re.fullmatch(r"[-+]?\d+", value):
        left = float(math.trunc(left))
    return compare(left, right)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _required_number(value: str) -> float:
    number = _number(value)
    if number is None:
        raise validation(f"The value {value} is not a number")
    return number


def _moment(value: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise validation(f"The value {value} is not a time: use YYYY-mm-dd'T'HH:MM:SS") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
