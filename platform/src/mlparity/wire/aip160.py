"""Google's list filters: what a method's filter may name, and whether an item matches.

https://google.aip.dev/160. A method declares its fields once as a ``Language``; ``Language.parse`` checks a filter
against it before any item is looked at, so that a wrong filter is refused over an empty list, too. ``matches``
evaluates over one item; who translates to SQL walks the same tree.

    jobs = Language({"display_name": text(), "state": enumeration(STATES), "create_time": time(), "labels": text_map()})
    wanted = jobs.parse('state="RUNNING" AND labels.team:*')
    [job for job in all_jobs if matches(wanted, job.get)]

A field that an item does not have matches no comparison, ``!=`` neither; ``NOT`` turns that round.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mlparity.errors import InvalidRequestError
from mlparity.wire.aip160_fields import (
    EQUALITY,
    FieldType,
    Kind,
    boolean,
    enumeration,
    number,
    presence,
    struct,
    text,
    text_list,
    text_map,
    time,
)
from mlparity.wire.aip160_syntax import (
    Comparison,
    Conjunction,
    Disjunction,
    FilterSyntaxError,
    Function,
    Literal,
    Negated,
    Syntax,
    parse,
)

__all__ = [
    "All",
    "Any_",
    "Call",
    "Expression",
    "FieldType",
    "Kind",
    "Language",
    "Not",
    "Pattern",
    "Test",
    "boolean",
    "enumeration",
    "matches",
    "number",
    "presence",
    "struct",
    "text",
    "text_list",
    "text_map",
    "time",
]

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_CAMEL = re.compile(r"(?<=[a-z0-9])([A-Z])")
_STRUCT_KINDS = {"number_value": "number", "string_value": "text", "bool_value": "bool"}
_STRUCT_HELP = "a field of it is named as {0}.<field_name>.<type_value>, with number_value, string_value or bool_value"


@dataclass(frozen=True)
class Pattern:
    """Text with wildcards: the ``parts`` stand in this order, any text between them."""

    parts: tuple[str, ...]

    def fits(self, value: str) -> bool:
        """Whether the whole of ``value`` has this form."""
        return re.fullmatch(".*".join(re.escape(part) for part in self.parts), value, re.DOTALL) is not None


@dataclass(frozen=True)
class Test:
    """One restriction on the field ``name``; ``path`` leads on into a map or struct.

    ``value`` is str, Pattern, float, bool or datetime, as ``kind`` says; None asks only whether something is there.
    """

    name: str
    path: tuple[str, ...]
    kind: Kind
    operator: str
    value: str | Pattern | float | bool | datetime | None


@dataclass(frozen=True)
class Call:
    """A function that the method supports."""

    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Not:
    """The item does not hold."""

    item: Expression


@dataclass(frozen=True)
class All:
    """Every item holds; without items, always."""

    items: tuple[Expression, ...] = ()


@dataclass(frozen=True)
class Any_:  # noqa: N801 - typing has taken the name
    """Some item holds."""

    items: tuple[Expression, ...]


Expression = Test | Call | Not | All | Any_
Lookup = Callable[[str], Any]
Functions = Callable[[str, tuple[str, ...]], bool]


@dataclass(frozen=True)
class Language:
    """What the filter of one method may name.

    ``fields`` by snake_case name, which may be dotted ("template_metadata.version"); camelCase is understood as well.
    ``functions`` maps a name to its number of arguments. ``most_nested`` limits brackets; 0 does not.
    """

    fields: Mapping[str, FieldType]
    functions: Mapping[str, int] = field(default_factory=dict)
    most_nested: int = 0

    def parse(self, filter_text: str) -> Expression:
        """The checked filter; ``All()`` where it is empty. Raises ``InvalidRequestError``."""
        try:
            tree = parse(filter_text, self.most_nested)
            return All() if tree is None else self._checked(tree)
        except FilterSyntaxError as error:
            raise InvalidRequestError(f"Invalid filter {filter_text!r}", str(error)) from error

    def _checked(self, tree: Syntax) -> Expression:
        match tree:
            case Conjunction():
                return All(tuple(self._checked(item) for item in tree.items))
            case Disjunction():
                return Any_(tuple(self._checked(item) for item in tree.items))
            case Negated():
                return Not(self._checked(tree.item))
            case Function():
                return self._call(tree)
            case Comparison():
                return self._test(tree)

    def _call(self, call: Function) -> Call:
        if call.name not in self.functions:
            raise FilterSyntaxError(f"the function {call.name!r} is not supported")
        wanted = self.functions[call.name]
        if len(call.arguments) != wanted:
            raise FilterSyntaxError(f"{call.name} takes {wanted} argument(s), not {len(call.arguments)}")
        return Call(call.name, tuple(argument.text for argument in call.arguments))

    def _test(self, comparison: Comparison) -> Test:
        name, rest = self._field(comparison.path)
        declared = self.fields[name]
        operator, argument = comparison.operator, comparison.argument
        kind, path = _target(name, declared, rest)
        if not _supported(declared, kind, operator, bare=not path):
            raise FilterSyntaxError(f"the operator {operator!r} is not supported for {'.'.join(comparison.path)!r}")
        if operator == ":" and argument.text == "*" and not argument.quoted:
            return Test(name, path, kind, operator, None)
        if kind in {Kind.PRESENCE, Kind.TIME} and operator == ":":
            raise FilterSyntaxError(f"with ':', {name!r} can only be compared with *")
        if declared.kind is Kind.TEXT_MAP and not rest:
            return Test(name, (argument.text,), Kind.TEXT, operator, None)
        return Test(name, path, kind, operator, _value(name, declared, kind, operator, argument))

    def _field(self, path: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        """The declared field that the path begins with, the longest first, and what follows it."""
        for length in range(len(path), 0, -1):
            written = ".".join(path[:length])
            for name in (written, _CAMEL.sub(r"_\1", written).lower()):
                if name in self.fields:
                    return name, path[length:]
        raise FilterSyntaxError(f"the field {'.'.join(path)!r} is not supported")


def matches(expression: Expression, lookup: Lookup, functions: Functions | None = None) -> bool:
    """Whether the item holds. ``lookup`` gives a declared field's value, or None where the item has none.

    Values are as the kinds say: str, float or int, bool, aware datetime, a mapping, a list of str.
    """
    match expression:
        case All():
            return all(matches(item, lookup, functions) for item in expression.items)
        case Any_():
            return any(matches(item, lookup, functions) for item in expression.items)
        case Not():
            return not matches(expression.item, lookup, functions)
        case Call():
            if functions is None:
                raise ValueError(f"nothing evaluates {expression.name}")
            return functions(expression.name, expression.arguments)
        case Test():
            return _holds(expression, lookup(expression.name))


def _supported(declared: FieldType, kind: Kind, operator: str, *, bare: bool) -> bool:
    if declared.kind is Kind.TEXT_MAP and bare:
        return operator == ":"
    if declared.kind is Kind.STRUCT and kind is Kind.BOOL:
        return operator in (*EQUALITY, ":")
    return operator in declared.operators


def _target(name: str, declared: FieldType, rest: tuple[str, ...]) -> tuple[Kind, tuple[str, ...]]:
    """What is compared: its kind, and its path inside the field."""
    if declared.kind is Kind.TEXT_MAP:
        if len(rest) > 1:
            raise FilterSyntaxError(f"the key {'.'.join(rest)!r} of {name!r} must be quoted")
        return Kind.TEXT if rest else Kind.TEXT_MAP, rest
    if declared.kind is Kind.STRUCT:
        return _struct_target(name, rest)
    if rest:
        raise FilterSyntaxError(f"{name!r} has no field {'.'.join(rest)!r}")
    return declared.kind, ()


def _struct_target(name: str, rest: tuple[str, ...]) -> tuple[Kind, tuple[str, ...]]:
    *names, last = rest or ("",)
    steps: list[str] = []
    while names:
        steps.append(names.pop(0))
        if names:
            if names.pop(0) != "struct_value":
                raise FilterSyntaxError(_STRUCT_HELP.format(name))
            if names[:1] == ["fields"] and len(names) > 1:
                names.pop(0)
            if not names:
                raise FilterSyntaxError(_STRUCT_HELP.format(name))
    if not steps or last not in _STRUCT_KINDS:
        raise FilterSyntaxError(_STRUCT_HELP.format(name))
    return Kind(_STRUCT_KINDS[last]), tuple(steps)


def _value(
    name: str, declared: FieldType, kind: Kind, operator: str, argument: Literal
) -> str | Pattern | float | bool | datetime:
    match kind:
        case Kind.NUMBER:
            return _number(name, argument)
        case Kind.BOOL:
            if argument.quoted or argument.text not in {"true", "false"}:
                raise FilterSyntaxError(f"{name!r} is compared with true or false, not {argument.text!r}")
            return argument.text == "true"
        case Kind.TIME:
            return _time(name, argument)
        case Kind.ENUM:
            if argument.text not in declared.values:
                raise FilterSyntaxError(f"{argument.text!r} is not a value of {name!r}")
            return argument.text
    if len(argument.parts) > 1 and (operator == ":" or (declared.wildcards and operator in EQUALITY)):
        return Pattern(argument.parts)
    return argument.text


def _number(name: str, argument: Literal) -> float:
    if argument.quoted or not _NUMBER.fullmatch(argument.text):
        raise FilterSyntaxError(f"{name!r} is compared with a number, not {argument.text!r}")
    return float(argument.text)


def _time(name: str, argument: Literal) -> datetime:
    wrong = f"{name!r} is compared with a time in RFC 3339 format, not {argument.text!r}"
    if not _TIME.fullmatch(argument.text):
        raise FilterSyntaxError(wrong)
    try:
        return datetime.fromisoformat(argument.text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise FilterSyntaxError(wrong) from error


def _holds(test: Test, found: Any) -> bool:
    for step in test.path:
        found = found.get(step) if isinstance(found, Mapping) else None
    if found is None:
        return False
    if test.value is None:
        return bool(found) if test.kind in {Kind.TEXT_MAP, Kind.TEXT_LIST} else not test.path or _is_a(test.kind, found)
    if test.kind is Kind.TEXT_LIST:
        return any(_equal(item, test.value) for item in found)
    return _is_a(test.kind, found) and _compared(found, test.operator, test.value)


def _is_a(kind: Kind, found: Any) -> bool:
    """A struct's member may be of another type than the one asked for: then it does not match."""
    if kind is Kind.NUMBER:
        return isinstance(found, int | float) and not isinstance(found, bool)
    if kind is Kind.BOOL:
        return isinstance(found, bool)
    return isinstance(found, datetime if kind is Kind.TIME else str)


def _compared(found: Any, operator: str, value: Any) -> bool:
    match operator:
        case "=" | ":":
            return _equal(found, value)
        case "!=":
            return not _equal(found, value)
        case "<":
            return bool(found < value)
        case "<=":
            return bool(found <= value)
        case ">":
            return bool(found > value)
        case _:
            return bool(found >= value)


def _equal(found: Any, value: Any) -> bool:
    return value.fits(found) if isinstance(value, Pattern) else bool(found == value)
