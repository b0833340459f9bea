"""Documents found by members of their bodies: conditions, an order, pages and how many there are in all.

Members hold text (times in one fixed form, so that their order is the order in time); an absent one counts as "". For
vendors' lists of small bodies: SQLite reads every document of the kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import and_, func, or_, select
from sqlalchemy.sql import ColumnElement

from mlparity.state.database import Database
from mlparity.state.documents import Document
from mlparity.state.schema.documents import documents

Comparison = Literal["eq", "ne", "gt", "ge", "lt", "le", "in", "contains"]


@dataclass(frozen=True)
class Condition:
    """What a member must be. ``path`` names the member, and members within it; ``value`` is a list for "in"."""

    path: tuple[str, ...]
    comparison: Comparison
    value: Any
    ignore_case: bool = False


@dataclass(frozen=True)
class Order:
    """By which member; documents of equal ones by name, in the same direction."""

    path: tuple[str, ...]
    descending: bool


@dataclass(frozen=True)
class Found:
    """A page; ``total`` counts all that meet the conditions. ``last`` is where it ended, None on the last page."""

    items: Sequence[Document]
    total: int
    last: tuple[str, str] | None


class DocumentSearch:
    """The documents of one vendor API."""

    def __init__(self, database: Database, api: str) -> None:
        self._database = database
        self._api = api

    def page(
        self,
        kind: str,
        conditions: Sequence[Condition],
        order: Order,
        limit: int,
        after: tuple[str, str] | None = None,
    ) -> Found:
        """One page of at most ``limit``, beginning behind ``after`` (a page's ``last``)."""
        wanted = (documents.c.api == self._api, documents.c.kind == kind, *(_clause(item) for item in conditions))
        sort = _member(order.path).label("sort_value")
        query = select(documents, sort).where(*wanted)
        if after is not None:
            query = query.where(_beyond(sort.element, after, descending=order.descending))
        by = (sort.desc(), documents.c.name.desc()) if order.descending else (sort.asc(), documents.c.name.asc())
        with self._database.read() as connection:
            total = connection.execute(select(func.count()).select_from(documents).where(*wanted)).scalar_one()
            rows = connection.execute(query.order_by(*by).limit(limit + 1)).all()
        shown = rows[:limit]
        last = (shown[-1].sort_value, shown[-1].name) if len(rows) > limit else None
        return Found([_document(row) for row in shown], total, last)

    def all_of(self, kind: str, *conditions: Condition) -> Sequence[Document]:
        """Every document that meets the conditions, oldest first."""
        query = select(documents).where(
            documents.c.api == self._api, documents.c.kind == kind, *(_clause(item) for item in conditions)
        )
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(documents.c.created_at, documents.c.name)).all()
        return [_document(row) for row in rows]

    def count(self, kind: str, *conditions: Condition) -> int:
        """How many documents meet the conditions."""
        query = (
            select(func.count())
            .select_from(documents)
            .where(documents.c.api == self._api, documents.c.kind == kind, *(_clause(item) for item in conditions))
        )
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())


def _member(path: tuple[str, ...]) -> ColumnElement[Any]:
    return func.coalesce(documents.c.body[path].as_string(), "")


def _clause(condition: Condition) -> ColumnElement[bool]:
    member: Any = _member(condition.path)
    value = condition.value
    if condition.ignore_case:
        member = func.lower(member)
        value = [item.lower() for item in value] if condition.comparison == "in" else value.lower()
    clause: ColumnElement[bool]
    match condition.comparison:
        case "eq":
            clause = member == value
        case "ne":
            clause = member != value
        case "gt":
            clause = member > value
        case "ge":
            clause = member >= value
        case "lt":
            clause = member < value
        case "le":
            clause = member <= value
        case "in":
            clause = member.in_(value)
        case "contains":
            clause = member.contains(value, autoescape=True)
    return clause


def _beyond(sort: ColumnElement[Any], after: tuple[str, str], *, descending: bool) -> ColumnElement[bool]:
    value, name = after
    if descending:
        return or_(sort < value, and_(sort == value, documents.c.name < name))
    return or_(sort > value, and_(sort == value, documents.c.name > name))


def _document(row: Any) -> Document:
    return Document(row.api, row.kind, row.name, row.body, row.created_at, row.modified_at)
