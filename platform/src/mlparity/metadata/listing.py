"""Pages of nodes: any filter, any order, and every page costs the same however deep.

A token holds where its page ended, and a digest of the filter and the order, which must not change between pages.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, or_, tuple_

from mlparity.errors import InvalidRequestError
from mlparity.state.paging import Page
from mlparity.state.schema.ml_metadata import ml_nodes
from mlparity.wire.aip132 import parse_order_by

SORTABLE = {
    "name": "id",
    "display_name": "display_name",
    "schema_title": "schema_title",
    "create_time": "created_at",
    "update_time": "updated_at",
    "state": "state",
    "uri": "uri",
}


@dataclass(frozen=True)
class ListRequest:
    """Which nodes, in which order, and how many of them."""

    filter: str = ""
    order_by: str = ""
    page_size: int = 100
    page_token: str = ""


def fetch(connection: Connection, query: Select[Any], request: ListRequest) -> Page[Any]:
    """One page of ``query``'s rows; by default as they were made. Raises ``InvalidRequestError``."""
    orders = parse_order_by(request.order_by, SORTABLE)
    terms = [(ml_nodes.c[SORTABLE[order.name]], order.descending) for order in orders]
    terms.append((ml_nodes.c.number, orders[-1].descending if orders else False))
    digest = hashlib.sha256(json.dumps([request.filter, request.order_by]).encode()).hexdigest()[:16]
    if request.page_token:
        query = query.where(_beyond(terms, _decode(request.page_token, digest, len(terms))))
    query = query.order_by(*(column.desc() if descending else column.asc() for column, descending in terms))
    rows = connection.execute(query.limit(request.page_size + 1)).all()
    shown = rows[: request.page_size]
    if len(rows) <= request.page_size:
        return Page(shown, None)
    last = shown[-1]._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    return Page(shown, _encode(digest, [last[column.key or ""] for column, _ in terms]))


def _beyond(terms: Sequence[tuple[ColumnElement[Any], bool]], values: Sequence[Any]) -> ColumnElement[bool]:
    """The rows after the one with these values, said so that an index can be entered there."""
    column, descending = terms[0]
    if len({down for _, down in terms}) == 1:
        row = tuple_(*(term for term, _ in terms))
        return row < tuple_(*values) if descending else row > tuple_(*values)
    bound = column <= values[0] if descending else column >= values[0]
    later = [
        and_(
            *(before == value for (before, _), value in zip(terms[:at], values[:at], strict=True)),
            term < values[at] if down else term > values[at],
        )
        for at, (term, down) in enumerate(terms)
    ]
    return and_(bound, or_(*later))


def _encode(digest: str, values: Sequence[Any]) -> str:
    plain = [{"t": value.isoformat()} if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(json.dumps([digest, *plain]).encode()).decode()


def _decode(token: str, digest: str, length: int) -> Sequence[Any]:
    try:
        made_for, *plain = json.loads(base64.urlsafe_b64decode(token.encode()))
        values = [datetime.fromisoformat(item["t"]) if isinstance(item, dict) else item for item in plain]
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidRequestError("Invalid page token", "it was not made by this list call") from error
    if made_for != digest or len(values) != length:
        raise InvalidRequestError("Invalid page token", "the filter or the order is not that of the first page")
    return values


__all__ = ["SORTABLE", "ListRequest", "fetch"]
