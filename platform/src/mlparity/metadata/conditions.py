"""A checked list filter as SQL over the node table.

Everything is translated, members of the metadata too, so that a page of many rows costs a page. The functions are
SQLite's (json_each, GLOB). No part is ever NULL: where a member is missing, a comparison is false and its negation
true, as ``wire.aip160.matches`` has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists, false, func, literal, not_, or_, select, true

from mlparity.metadata.naming import Naming
from mlparity.metadata.values import Family
from mlparity.state.schema.ml_metadata import ml_children, ml_members, ml_nodes
from mlparity.wire.aip160 import (
    All,
    Any_,
    Call,
    Expression,
    Kind,
    Language,
    Not,
    Pattern,
    Test,
    enumeration,
    struct,
    text,
    text_list,
    text_map,
    time,
)

ARTIFACT_STATES = ("STATE_UNSPECIFIED", "PENDING", "LIVE")
EXECUTION_STATES = ("STATE_UNSPECIFIED", "NEW", "RUNNING", "COMPLETE", "FAILED", "CACHED", "CANCELLED")

_COMPARED = ("=", "!=", "<", "<=", ">", ">=", ":")
_COLUMNS = {"create_time": "created_at", "update_time": "updated_at"}
_JSON_TYPES = {Kind.NUMBER: ("integer", "real"), Kind.BOOL: ("true", "false"), Kind.TEXT: ("text",)}
_MOST_NESTED = 5

_TEXT = text(_COMPARED, wildcards=True)
_COMMON = {
    "name": text(("=", "!=", ":"), wildcards=True),
    "display_name": _TEXT,
    "schema_title": _TEXT,
    "create_time": time(),
    "update_time": time(),
    "metadata": struct(),
    "labels": text_map(),
}
LANGUAGES = {
    Family.ARTIFACT: Language(
        {**_COMMON, "uri": _TEXT, "state": enumeration(ARTIFACT_STATES)}, {"in_context": 1}, _MOST_NESTED
    ),
    Family.EXECUTION: Language({**_COMMON, "state": enumeration(EXECUTION_STATES)}, {"in_context": 1}, _MOST_NESTED),
    Family.CONTEXT: Language(
        {**_COMMON, "parent_contexts": text_list(), "child_contexts": text_list()}, {}, _MOST_NESTED
    ),
}


def condition(expression: Expression, scope: str, naming: Naming) -> ColumnElement[bool]:
    """The filter as a condition on ``ml_nodes``. Raises ``InvalidRequestError`` for a name that is no context's."""
    match expression:
        case All():
            return and_(true(), *(condition(item, scope, naming) for item in expression.items))
        case Any_():
            return or_(false(), *(condition(item, scope, naming) for item in expression.items))
        case Not():
            return not_(condition(expression.item, scope, naming))
        case Call():
            return _related(ml_members.c.member, ml_members.c.context, expression.arguments[0], scope, naming)
        case Test():
            return _test(expression, scope, naming)


def _test(test: Test, scope: str, naming: Naming) -> ColumnElement[bool]:
    if test.name == "parent_contexts":
        return _link(test, ml_children.c.child, ml_children.c.parent, scope, naming)
    if test.name == "child_contexts":
        return _link(test, ml_children.c.parent, ml_children.c.child, scope, naming)
    if test.name in {"metadata", "labels"}:
        return _json(test)
    if test.name == "name":
        return _named(test, naming)
    column = ml_nodes.c[_COLUMNS.get(test.name, test.name)]
    if test.name == "state" and test.value == "STATE_UNSPECIFIED":
        return _compared(column, test.operator, "")
    return true() if test.value is None else _compared(column, test.operator, test.value)


def _named(test: Test, naming: Naming) -> ColumnElement[bool]:
    if test.value is None:
        return true()
    if isinstance(test.value, Pattern):
        return _compared(literal(naming.prefix) + ml_nodes.c.id, test.operator, test.value)
    name = str(test.value)
    holds = ml_nodes.c.id == name[len(naming.prefix) :] if name.startswith(naming.prefix) else false()
    return not_(holds) if test.operator == "!=" else holds


def _link(
    test: Test, near: ColumnElement[Any], far: ColumnElement[Any], scope: str, naming: Naming
) -> ColumnElement[bool]:
    if test.value is None:
        return exists(select(near).where(near == ml_nodes.c.number))
    return _related(near, far, str(test.value), scope, naming)


def _related(
    near: ColumnElement[Any], far: ColumnElement[Any], name: str, scope: str, naming: Naming
) -> ColumnElement[bool]:
    context_id = naming.context_id(name)
    if context_id is None:
        return false()
    context = ml_nodes.alias("context")
    number = select(context.c.number).where(
        context.c.scope == scope, context.c.family == Family.CONTEXT, context.c.id == context_id
    )
    return ml_nodes.c.number.in_(select(near).where(far == number.scalar_subquery()))


def _json(test: Test) -> ColumnElement[bool]:
    """Whether the object in the column has a member, of the wanted type, that compares so."""
    column: ColumnElement[Any] = ml_nodes.c[test.name]
    if not test.path:
        return column != literal({}, column.type)
    members: Any = None
    wanted: list[ColumnElement[bool]] = []
    for depth, key in enumerate(test.path):
        each = func.json_each(column).table_valued("key", "type", "value", name=f"{test.name}_{depth}")
        members = each if members is None else members.join(each, true())
        wanted.append(each.c.key == key)
        last = each  # json_each would refuse a value that is no object
        column = case((each.c.type == "object", each.c.value), else_="{}")
    query = select(literal(1)).select_from(members).where(*wanted)
    query = query.where(last.c.type.in_(_JSON_TYPES[test.kind]))
    if test.value is not None:
        query = query.where(_compared(last.c.value, test.operator, test.value))
    return exists(query)


def _compared(column: ColumnElement[Any], operator: str, value: Any) -> ColumnElement[bool]:
    if isinstance(value, Pattern):
        fits = column.op("GLOB", is_comparison=True)(_glob(value))
        return not_(fits) if operator == "!=" else fits
    return _OPERATORS[operator](column, value)


def _glob(pattern: Pattern) -> str:
    """SQLite's GLOB is LIKE with regard to case; its signs lose their meaning in brackets."""
    return "*".join("".join(f"[{sign}]" if sign in "*?[" else sign for sign in part) for part in pattern.parts)


_OPERATORS: dict[str, Callable[[ColumnElement[Any], Any], ColumnElement[bool]]] = {
    "=": lambda column, value: column == value,
    ":": lambda column, value: column == value,
    "!=": lambda column, value: column != value,
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
}
