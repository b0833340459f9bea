"""Artifacts, executions or contexts of one store: made, changed, listed and removed."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from mlparity.clock import Clock
from mlparity.errors import ConflictError, InvalidRequestError, NotFoundError
from mlparity.ids import IdSource
from mlparity.metadata.conditions import LANGUAGES, condition
from mlparity.metadata.listing import ListRequest, fetch
from mlparity.metadata.naming import PLAIN, Naming
from mlparity.metadata.values import Family, NewNode, Node, Purged, StaleError
from mlparity.state.database import Database
from mlparity.state.paging import Page
from mlparity.state.schema.ml_metadata import ml_nodes

_BATCH = 500  # SQLite's limit of variables in one statement is far above
_SAMPLE = 100
_MERGED = ("metadata", "labels")
_CHANGEABLE = frozenset(
    ("display_name", "schema_title", "schema_version", "description", "metadata", "labels", "state", "uri")
)


class Nodes:
    """The nodes of one family in one store."""

    def __init__(self, database: Database, clock: Clock, ids: IdSource, scope: str, family: Family) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._scope = scope
        self._family = family

    def create(self, new: NewNode) -> Node:
        """Store a node. Raises ``ConflictError`` where its id is taken."""
        row = self._row(new)
        try:
            with self._database.write() as connection:
                connection.execute(ml_nodes.insert().values(**row))
        except IntegrityError as error:
            raise ConflictError(f"{self._family} {row['id']} exists already", "its id is taken") from error
        return self.get(row["id"])

    def ensure(self, new: NewNode) -> Node:
        """The node of this id: stored now, or as it was stored before."""
        with self._database.write(apart=False) as connection:
            found = self._find(connection, new.id) if new.id else None
            return self.create(new) if found is None else node_of(found)

    def get(self, node_id: str) -> Node:
        """The node. Raises ``NotFoundError``."""
        with self._database.read() as connection:
            return node_of(self._known(connection, node_id))

    def get_all(self, node_ids: Collection[str]) -> dict[str, Node]:
        """Those of the nodes that exist, by id."""
        wanted, found = list(dict.fromkeys(node_ids)), dict[str, Node]()
        with self._database.read() as connection:
            for begin in range(0, len(wanted), _BATCH):
                query = self._all().where(ml_nodes.c.id.in_(wanted[begin : begin + _BATCH]))
                found.update((row.id, node_of(row)) for row in connection.execute(query))
        return found

    def update(self, node_id: str, changes: Mapping[str, Any], *, merge: bool = False, etag: str = "") -> Node:
        """Set fields. Raises ``NotFoundError``, and ``StaleError`` where ``etag`` is given and is not the node's.

        With ``merge`` the members of ``metadata`` and ``labels`` are laid over those that are there.
        """
        if unknown := changes.keys() - _CHANGEABLE:
            raise InvalidRequestError(f"{min(unknown)} cannot be changed")
        with self._database.write(apart=False) as connection:
            old = self._known(connection, node_id, etag)
            values = {
                name: {**getattr(old, name), **value} if merge and name in _MERGED else value
                for name, value in changes.items()
            }
            now = self._clock.now()
            values |= {name: _plain(values[name]) for name in _MERGED if name in values}
            values |= {"updated_at": now, "revision": max(old.revision + 1, _micros(now))}
            connection.execute(update(ml_nodes).where(ml_nodes.c.number == old.number).values(**values))
        return self.get(node_id)

    def delete(self, node_id: str, *, etag: str = "") -> None:
        """Remove the node, its events and its memberships. Raises ``NotFoundError`` and ``StaleError``."""
        with self._database.write() as connection:
            old = self._known(connection, node_id, etag)
            connection.execute(delete(ml_nodes).where(ml_nodes.c.number == old.number))

    def list(self, request: ListRequest = ListRequest(), naming: Naming = PLAIN) -> Page[Node]:  # noqa: B008 - frozen
        """One page. Raises ``InvalidRequestError`` for the filter, the order or the token."""
        query = self._all().where(self._condition(request.filter, naming))
        with self._database.read() as connection:
            return fetch(connection, query, request).map(node_of)

    def purge(self, filter_text: str, naming: Naming = PLAIN, *, force: bool) -> Purged:
        """Remove what the filter selects; without ``force`` only say what that would be."""
        chosen = (*self._here(), self._condition(filter_text, naming))
        with self._database.write() as connection:
            count = connection.execute(select(func.count()).select_from(ml_nodes).where(*chosen)).scalar_one()
            sample = connection.execute(
                select(ml_nodes.c.id).where(*chosen).order_by(ml_nodes.c.number).limit(_SAMPLE)
            ).scalars()
            purged = Purged(count, list(sample))
            if force:
                connection.execute(delete(ml_nodes).where(*chosen))
        return purged

    def of_uri(self, uri: str, schema_title: str | None = None) -> Sequence[Node]:
        """The nodes that stand for what lies at ``uri``, newest first."""
        query = self._all().where(ml_nodes.c.uri == uri).order_by(ml_nodes.c.number.desc())
        if schema_title is not None:
            query = query.where(ml_nodes.c.schema_title == schema_title)
        with self._database.read() as connection:
            return [node_of(row) for row in connection.execute(query)]

    def numbers(self, connection: Connection, node_ids: Collection[str]) -> dict[str, int]:
        """What the rows of other tables know the nodes by. Raises ``NotFoundError`` for any that does not exist."""
        wanted, found = list(dict.fromkeys(node_ids)), dict[str, int]()
        for begin in range(0, len(wanted), _BATCH):
            query = select(ml_nodes.c.id, ml_nodes.c.number).where(
                *self._here(), ml_nodes.c.id.in_(wanted[begin : begin + _BATCH])
            )
            found.update((row.id, row.number) for row in connection.execute(query))
        for node_id in wanted:
            if node_id not in found:
                raise NotFoundError(f"{self._family} {node_id} does not exist")
        return found

    def _condition(self, filter_text: str, naming: Naming) -> ColumnElement[bool]:
        return condition(LANGUAGES[self._family].parse(filter_text), self._scope, naming)

    def _known(self, connection: Connection, node_id: str, etag: str = "") -> Row[Any]:
        row = self._find(connection, node_id)
        if row is None:
            raise NotFoundError(f"{self._family} {node_id} does not exist")
        if etag and etag != str(row.revision):
            raise StaleError(f"{self._family} {node_id} was changed", f"its etag is {row.revision}, not {etag}")
        return row

    def _find(self, connection: Connection, node_id: str) -> Row[Any] | None:
        return connection.execute(self._all().where(ml_nodes.c.id == node_id)).one_or_none()

    def _all(self) -> Any:
        return select(ml_nodes).where(*self._here())

    def _here(self) -> tuple[ColumnElement[bool], ...]:
        return ml_nodes.c.scope == self._scope, ml_nodes.c.family == self._family

    def _row(self, new: NewNode) -> dict[str, Any]:
        now = self._clock.now()
        return {
            "scope": self._scope,
            "family": self._family,
            "id": new.id or self._ids.uuid(),
            "display_name": new.display_name,
            "schema_title": new.schema_title,
            "schema_version": new.schema_version,
            "description": new.description,
            "metadata": _plain(new.metadata),
            "labels": dict(new.labels),
            "state": new.state,
            "uri": new.uri,
            "revision": _micros(now),
            "created_at": now,
            "updated_at": now,
        }


def node_of(row: Row[Any]) -> Node:
    """The value of a row of ``ml_nodes``."""
    return Node(
        family=Family(row.family),
        id=row.id,
        display_name=row.display_name,
        schema_title=row.schema_title,
        schema_version=row.schema_version,
        description=row.description,
        metadata=row.metadata,
        labels=row.labels,
        state=row.state,
        uri=row.uri,
        etag=str(row.revision),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _micros(at: datetime) -> int:
    """Microseconds since 1970, which is what Vertex AI's etags of metadata are."""
    return int(at.timestamp() * 1_000_000)


def _plain(value: Any) -> Any:
    """The value as JSON has it. SQLite's functions refuse a whole text for one NaN in it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
