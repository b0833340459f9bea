"""The lineage graph in the database: entities, and directed edges from what came before to what came of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, select, update
from sqlalchemy.exc import IntegrityError

from mlparity.clock import Clock
from mlparity.engine.lineage_values import Edge, EdgeFilter, Entity, EntityFilter, NewEdge, NewEntity
from mlparity.errors import ConflictError, NotFoundError
from mlparity.state.database import Database
from mlparity.state.paging import Page, PageRequest, fetch_page
from mlparity.state.schema.lineage import lineage_edges, lineage_entities

__all__ = ["Edge", "EdgeFilter", "Entity", "EntityFilter", "LineageRepository", "NewEdge", "NewEntity"]

_BATCH = 500  # SQLite's limit of variables in one statement is far above


class LineageRepository:
    """The graph of one vendor API."""

    def __init__(self, database: Database, clock: Clock, api: str) -> None:
        self._database = database
        self._clock = clock
        self._api = api

    def create(self, new: NewEntity) -> Entity:
        """Store an entity. Raises ``ConflictError`` where its id is taken."""
        try:
            with self._database.write() as connection:
                connection.execute(lineage_entities.insert().values(**self._row(new)))
        except IntegrityError as error:
            raise ConflictError(f"{new.family} {new.name} exists already", "its id is taken") from error
        return self.get(new.id)

    def get(self, entity_id: str) -> Entity:
        """The entity. Raises ``NotFoundError``."""
        with self._database.read() as connection:
            row = connection.execute(select(lineage_entities).where(*self._key(entity_id))).one_or_none()
        if row is None:
            raise NotFoundError(f"{entity_id} does not exist")
        return _entity(row)

    def get_all(self, entity_ids: Collection[str]) -> dict[str, Entity]:
        """Those of the entities that exist, by id."""
        found: dict[str, Entity] = {}
        wanted = list(entity_ids)
        with self._database.read() as connection:
            for begin in range(0, len(wanted), _BATCH):
                ids = wanted[begin : begin + _BATCH]
                query = select(lineage_entities).where(
                    lineage_entities.c.api == self._api, lineage_entities.c.id.in_(ids)
                )
                found.update((row.id, _entity(row)) for row in connection.execute(query))
        return found

    def replace(self, entity_id: str, body: Mapping[str, Any], *, name: str | None = None) -> Entity:
        """Give the entity another body. Raises ``NotFoundError``."""
        values: dict[str, Any] = {"body": dict(body), "modified_at": self._clock.now()}
        if name is not None:
            values["name"] = name
        with self._database.write() as connection:
            changed = connection.execute(update(lineage_entities).where(*self._key(entity_id)).values(**values))
            if changed.rowcount == 0:
                raise NotFoundError(f"{entity_id} does not exist")
        return self.get(entity_id)

    def delete(self, entity_id: str) -> None:
        """Remove an entity that nothing is connected with. Raises ``NotFoundError`` or ``ConflictError``."""
        ends = (lineage_edges.c.source == entity_id) | (lineage_edges.c.target == entity_id)
        with self._database.write() as connection:
            held = select(lineage_edges.c.sequence).where(lineage_edges.c.api == self._api, ends).limit(1)
            if connection.execute(held).first() is not None:
                raise ConflictError(f"{entity_id} cannot be removed", "it has associations")
            if connection.execute(delete(lineage_entities).where(*self._key(entity_id))).rowcount == 0:
                raise NotFoundError(f"{entity_id} does not exist")

    def list(self, wanted: EntityFilter, page: PageRequest) -> Page[Entity]:
        """One page. ``page.sort_by`` is "name", "created_at" or "modified_at"."""
        table = lineage_entities.c
        query = select(lineage_entities).where(table.api == self._api, table.family == wanted.family)
        bounds: list[ColumnElement[bool] | None] = [
            table.kind == wanted.kind if wanted.kind is not None else None,
            table.source_uri == wanted.source_uri if wanted.source_uri is not None else None,
            table.id.in_(list(wanted.ids)) if wanted.ids is not None else None,
            table.created_at > wanted.created_after if wanted.created_after else None,
            table.created_at < wanted.created_before if wanted.created_before else None,
        ]
        query = query.where(*[bound for bound in bounds if bound is not None])
        with self._database.read() as connection:
            return fetch_page(connection, query, table[page.sort_by], table.id, page).map(_entity)

    def open(self) -> Sequence[Entity]:
        """Every entity whose work had not ended when it was recorded."""
        query = select(lineage_entities).where(
            lineage_entities.c.api == self._api, lineage_entities.c.is_open.is_(True)
        )
        with self._database.read() as connection:
            return [_entity(row) for row in connection.execute(query)]

    def of_source(self, source_uri: str) -> Sequence[Entity]:
        """The entities that stand for a thing, oldest first."""
        query = (
            select(lineage_entities)
            .where(lineage_entities.c.api == self._api, lineage_entities.c.source_uri == source_uri)
            .order_by(lineage_entities.c.created_at, lineage_entities.c.id)
        )
        with self._database.read() as connection:
            return [_entity(row) for row in connection.execute(query)]

    def record(self, entities: Iterable[NewEntity], edges: Iterable[NewEdge], *, refresh: Collection[str] = ()) -> None:
        """Store what is not there yet, all or nothing; entities named in ``refresh`` get the new body over theirs.

        Doing it twice changes nothing. A body's members that are mappings are merged, not replaced.
        """
        wanted = {new.id: new for new in entities}
        with self._database.write() as connection:
            present = self._present(connection, wanted)
            rows = [self._row(new) for new in wanted.values() if new.id not in present]
            if rows:
                connection.execute(lineage_entities.insert(), rows)
            for entity_id in present.keys() & set(refresh):
                self._refresh(connection, present[entity_id], wanted[entity_id])
            self._connect_all(connection, list(edges), {**present, **{row["id"]: row["kind"] for row in rows}})

    def connect(self, edge: NewEdge) -> None:
        """Store an edge. Raises ``NotFoundError`` for an end, ``ConflictError`` where the ends are connected so."""
        with self._database.write() as connection:
            if not self._connect(connection, edge):
                raise ConflictError(f"{edge.source} and {edge.target} are associated already")

    def disconnect(self, source: str, target: str, kinds: Collection[str]) -> None:
        """Remove the edges of these kinds between two entities. Raises ``NotFoundError`` where there is none."""
        where = (*self._ends(source, target), lineage_edges.c.kind.in_(list(kinds)))
        with self._database.write() as connection:
            if connection.execute(delete(lineage_edges).where(*where)).rowcount == 0:
                raise NotFoundError(f"{source} and {target} are not associated")

    def list_edges(self, wanted: EdgeFilter, page: PageRequest) -> Page[Edge]:
        """One page. ``page.sort_by`` is a column: "source", "target", "source_kind", "target_kind" or "created_at"."""
        table = lineage_edges.c
        query = select(lineage_edges).where(table.api == self._api, table.kind.in_(list(wanted.kinds)))
        for column in ("source", "target", "source_kind", "target_kind"):
            value = getattr(wanted, column)
            if value is not None:
                query = query.where(table[column] == value)
        if wanted.created_after:
            query = query.where(table.created_at > wanted.created_after)
        if wanted.created_before:
            query = query.where(table.created_at < wanted.created_before)
        with self._database.read() as connection:
            return fetch_page(connection, query, table[page.sort_by], table.sequence, page).map(_edge)

    def edges_of(self, entity_ids: Collection[str], kinds: Collection[str], *, outgoing: bool) -> Sequence[Edge]:
        """The edges that leave (or reach) any of the entities, oldest first."""
        end = lineage_edges.c.source if outgoing else lineage_edges.c.target
        wanted = list(entity_ids)
        found: list[Edge] = []
        with self._database.read() as connection:
            for begin in range(0, len(wanted), _BATCH):
                query = select(lineage_edges).where(
                    lineage_edges.c.api == self._api,
                    lineage_edges.c.kind.in_(list(kinds)),
                    end.in_(wanted[begin : begin + _BATCH]),
                )
                found += [_edge(row) for row in connection.execute(query)]
        return sorted(found, key=lambda edge: edge.sequence)

    def _present(self, connection: Connection, wanted: Collection[str]) -> dict[str, Entity]:
        if not wanted:
            return {}
        query = select(lineage_entities).where(
            lineage_entities.c.api == self._api, lineage_entities.c.id.in_(list(wanted))
        )
        return {row.id: _entity(row) for row in connection.execute(query)}

    def _refresh(self, connection: Connection, old: Entity, new: NewEntity) -> None:
        values = {"body": _merged(old.body, new.body), "is_open": new.is_open, "modified_at": self._clock.now()}
        connection.execute(update(lineage_entities).where(*self._key(old.id)).values(**values))

    def _connect_all(
        self, connection: Connection, wanted: Sequence[NewEdge], known: Mapping[str, Entity | str]
    ) -> None:
        """Store those edges that are not there yet; the kinds of ends that are ``known`` need not be asked for."""
        if not wanted:
            return
        ends = {end for edge in wanted for end in (edge.source, edge.target)}
        kinds = {key: value if isinstance(value, str) else value.kind for key, value in known.items()}
        kinds |= {key: entity.kind for key, entity in self._present(connection, ends - kinds.keys()).items()}
        if missing := ends - kinds.keys():
            raise NotFoundError(f"{min(missing)} does not exist")
        table = lineage_edges.c
        query = select(table.source, table.target, table.kind).where(
            table.api == self._api, table.source.in_(list(ends)), table.target.in_(list(ends))
        )
        present = {(row.source, row.target, row.kind) for row in connection.execute(query)}
        rows = [
            self._edge_row(edge, kinds)
            for edge in {(edge.source, edge.target, edge.kind): edge for edge in wanted}.values()
            if (edge.source, edge.target, edge.kind) not in present
        ]
        if rows:
            connection.execute(lineage_edges.insert(), rows)

    def _connect(self, connection: Connection, edge: NewEdge) -> bool:
        present = select(lineage_edges.c.sequence).where(
            *self._ends(edge.source, edge.target), lineage_edges.c.kind == edge.kind
        )
        if connection.execute(present).first() is not None:
            return False
        self._connect_all(connection, [edge], {})
        return True

    def _edge_row(self, edge: NewEdge, kinds: Mapping[str, str]) -> dict[str, Any]:
        return {
            "api": self._api,
            "source": edge.source,
            "target": edge.target,
            "kind": edge.kind,
            "source_kind": kinds[edge.source],
            "target_kind": kinds[edge.target],
            "body": dict(edge.body),
            "created_at": self._clock.now(),
        }

    def _row(self, new: NewEntity) -> dict[str, Any]:
        now = self._clock.now()
        return {
            "api": self._api,
            "id": new.id,
            "family": new.family,
            "kind": new.kind,
            "name": new.name,
            "source_uri": new.source_uri,
            "is_open": new.is_open,
            "body": dict(new.body),
            "created_at": now,
            "modified_at": now,
        }

    def _key(self, entity_id: str) -> tuple[Any, ...]:
        return lineage_entities.c.api == self._api, lineage_entities.c.id == entity_id

    def _ends(self, source: str, target: str) -> tuple[Any, ...]:
        return (
            lineage_edges.c.api == self._api,
            lineage_edges.c.source == source,
            lineage_edges.c.target == target,
        )


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        both = isinstance(value, Mapping) and isinstance(old.get(key), Mapping)
        merged[key] = {**old[key], **value} if both else value
    return merged


def _entity(row: Row[Any]) -> Entity:
    return Entity(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it


def _edge(row: Row[Any]) -> Edge:
    return Edge(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
