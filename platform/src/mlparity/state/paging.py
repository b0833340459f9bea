"""Keyset paging: every page costs the same, however deep, and a row is never shown twice or missed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, and_, or_
from sqlalchemy.sql import ColumnElement, Select

from mlparity.errors import InvalidRequestError

Item = TypeVar("Item")
Other = TypeVar("Other")


@dataclass(frozen=True)
class PageRequest:
    """Which page: a column's name to sort by, the direction, the size, and the token of the page before."""

    sort_by: str
    descending: bool
    limit: int
    token: str | None = None


@dataclass(frozen=True)
class Page(Generic[Item]):
    """One page; ``next_token`` is None where it is the last."""

    items: Sequence[Item]
    next_token: str | None

    def map(self, make: Callable[[Item], Other]) -> Page[Other]:
        """The same page of other items."""
        return Page([make(item) for item in self.items], self.next_token)


def fetch_page(
    connection: Connection, query: Select[Any], sort: ColumnElement[Any], tie: ColumnElement[Any], page: PageRequest
) -> Page[Any]:
    """Run ``query`` for one page, ordered by ``sort`` and then by the unique ``tie``.

    Raises ``InvalidRequestError`` for a token that this function did not make.
    """
    if page.token:
        value, last = _decode(page.token)
        beyond_sort = sort < value if page.descending else sort > value
        beyond_tie = tie < last if page.descending else tie > last
        query = query.where(or_(beyond_sort, and_(sort == value, beyond_tie)))
    order = (sort.desc(), tie.desc()) if page.descending else (sort.asc(), tie.asc())
    rows = connection.execute(query.order_by(*order).limit(page.limit + 1)).all()
    shown = rows[: page.limit]
    if len(rows) <= page.limit:
        return Page(shown, None)
    mapping = shown[-1]._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    return Page(shown, _encode(mapping[sort.key or ""], mapping[tie.key or ""]))


def _encode(value: Any, tie: Any) -> str:
    kind = "t" if isinstance(value, datetime) else "v"
    plain = value.isoformat() if isinstance(value, datetime) else value
    return base64.urlsafe_b64encode(json.dumps([kind, plain, tie]).encode()).decode()


def _decode(token: str) -> tuple[Any, Any]:
    try:
        kind, value, tie = json.loads(base64.urlsafe_b64decode(token.encode()))
        return (datetime.fromisoformat(value) if kind == "t" else value), tie
    except (ValueError, TypeError) as error:
        raise InvalidRequestError("Invalid pagination token", "it was not made by this list call") from error
