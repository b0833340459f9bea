"""Endpoints and their rollouts in the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql import Select

from mlparity.clock import Clock
from mlparity.errors import ConflictError, NotFoundError
from mlparity.ids import IdSource
from mlparity.serving.endpoints import documents
from mlparity.serving.endpoints.endpoints import EndpointFilter, EndpointPhase
from mlparity.serving.endpoints.errors import EndpointExistsError
from mlparity.serving.endpoints.record import EndpointRecord, RolloutRecord
from mlparity.state.database import Database
from mlparity.state.paging import Page, PageRequest, fetch_page
from mlparity.state.schema.serving import endpoints, rollouts

# Asked at every step of every endpoint: made once.
_FIND = select(endpoints).where(endpoints.c.api == bindparam("of_api"), endpoints.c.name == bindparam("of_name"))
_NEWEST = select(rollouts).where(rollouts.c.endpoint_id == bindparam("of")).order_by(rollouts.c.number.desc()).limit(1)


class StaleRecordError(ConflictError):
    """The endpoint was changed by somebody else since it was read."""


class EndpointRepository:
    """Typed access to the ``endpoints`` and ``rollouts`` tables."""

    def __init__(self, database: Database, clock: Clock, ids: IdSource) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids

    def transaction(self) -> AbstractContextManager[object]:
        """Everything that this thread writes in the block, here or through others, happens together or not at all."""
        return self._database.write()

    def after_commit(self, action: Callable[[], None]) -> None:
        """Call ``action`` when the open transaction is committed; at once where there is none."""
        self._database.after_commit(action)

    def new_id(self) -> str:
        """Of an endpoint or a rollout."""
        return self._ids.uuid()

    def new_deployment(self) -> str:
        """A deployment's id, unique over time."""
        return f"d-{self._ids.token(12)}"

    def create(self, record: EndpointRecord) -> EndpointRecord:
        """Store a new endpoint. Raises ``EndpointExistsError``."""
        row = {"id": record.id, "api": record.api, "name": record.name, **_columns(record), "version": 0}
        row["created_at"] = record.created_at
        try:
            with self._database.write() as connection:
                connection.execute(endpoints.insert().values(**row))
        except IntegrityError as error:
            raise EndpointExistsError(f"endpoint {record.name} exists already", "names are unique") from error
        return record

    def save(self, record: EndpointRecord) -> EndpointRecord:
        """Store the endpoint and its newest rollout. Raises ``StaleRecordError`` where it is not the newest."""
        saved = replace(record, version=record.version + 1, modified_at=self._clock.now())
        where = (endpoints.c.id == record.id, endpoints.c.version == record.version)
        with self._database.write() as connection:
            values = {**_columns(saved), "version": saved.version}
            if connection.execute(update(endpoints).where(*where).values(**values)).rowcount == 0:
                raise StaleRecordError(f"endpoint {record.name} was changed meanwhile")
            if saved.rollout is not None:
                _save_rollout(connection, record.id, saved.rollout)
        return saved

    def find(self, api: str, name: str) -> EndpointRecord | None:
        """The endpoint; None where there is none."""
        with self._database.read() as connection:
            row = connection.execute(_FIND, {"of_api": api, "of_name": name}).mappings().one_or_none()
            if row is None:
                return None
            newest = connection.execute(_NEWEST, {"of": row["id"]}).mappings().one_or_none()
            return _record(row, {} if newest is None else {row["id"]: documents.rollout_record(newest)})

    def get(self, api: str, name: str) -> EndpointRecord:
        """The endpoint. Raises ``NotFoundError``."""
        record = self.find(api, name)
        if record is None:
            raise NotFoundError(f"endpoint {name} does not exist")
        return record

    def all(self) -> Sequence[EndpointRecord]:
        """Every endpoint of every API, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(endpoints).order_by(endpoints.c.created_at)).mappings().all()
            newest = _newest(connection, [row["id"] for row in rows])
            return [_record(row, newest) for row in rows]

    def rollouts(self, endpoint_id: str) -> Sequence[RolloutRecord]:
        """All of them, newest first."""
        query = select(rollouts).where(rollouts.c.endpoint_id == endpoint_id).order_by(rollouts.c.number.desc())
        with self._database.read() as connection:
            return [documents.rollout_record(row) for row in connection.execute(query).mappings()]

    def delete(self, record: EndpointRecord) -> None:
        """Forget the endpoint and its rollouts. Raises ``StaleRecordError`` where it is not the newest."""
        with self._database.write() as connection:
            where = (endpoints.c.id == record.id, endpoints.c.version == record.version)
            if connection.execute(delete(endpoints).where(*where)).rowcount == 0:
                raise StaleRecordError(f"endpoint {record.name} was changed meanwhile")
            connection.execute(delete(rollouts).where(rollouts.c.endpoint_id == record.id))

    def list(self, wanted: EndpointFilter, page: PageRequest) -> Page[EndpointRecord]:
        """One page."""
        with self._database.read() as connection:
            found = fetch_page(connection, _query(wanted), endpoints.c[page.sort_by], endpoints.c.id, page)
            rows = [row._mapping for row in found.items]  # noqa: SLF001 - SQLAlchemy's public name for it
            newest = _newest(connection, [row["id"] for row in rows])
            return Page([_record(row, newest) for row in rows], found.next_token)


def _columns(record: EndpointRecord) -> dict[str, Any]:
    return {
        "phase": record.phase.value,
        "request": dict(record.request),
        "update_request": dict(record.update_request) if record.update_request is not None else None,
        "failure_reason": record.failure_reason,
        "state": documents.endpoint_document(record),
        "modified_at": record.modified_at,
    }


def _save_rollout(connection: Connection, endpoint_id: str, record: RolloutRecord) -> None:
    values = {
        "phase": record.phase.value,
        "state": documents.rollout_document(record),
        "ended_at": record.ended_at,
    }
    if connection.execute(update(rollouts).where(rollouts.c.id == record.id).values(**values)).rowcount == 0:
        key = {"id": record.id, "endpoint_id": endpoint_id, "number": record.number, "started_at": record.started_at}
        connection.execute(rollouts.insert().values(**key, **values))


def _newest(connection: Connection, ids: Sequence[str]) -> dict[str, RolloutRecord]:
    """Of each endpoint that has any."""
    if not ids:
        return {}
    last = (
        select(rollouts.c.endpoint_id, func.max(rollouts.c.number).label("number"))
        .where(rollouts.c.endpoint_id.in_(list(ids)))
        .group_by(rollouts.c.endpoint_id)
        .subquery()
    )
    query = select(rollouts).join(
        last, (rollouts.c.endpoint_id == last.c.endpoint_id) & (rollouts.c.number == last.c.number)
    )
    rows = connection.execute(query).mappings()
    return {row["endpoint_id"]: documents.rollout_record(row) for row in rows}


def _record(row: RowMapping, newest: Mapping[str, RolloutRecord]) -> EndpointRecord:
    columns = (
        "id",
        "api",
        "name",
        "request",
        "update_request",
        "failure_reason",
        "version",
        "created_at",
        "modified_at",
    )
    return EndpointRecord(
        phase=EndpointPhase(row["phase"]),
        rollout=newest.get(row["id"]),
        **{column: row[column] for column in columns},
        **documents.endpoint_members(row["state"]),
    )


def _query(wanted: EndpointFilter) -> Select[Any]:
    query = select(endpoints).where(endpoints.c.api == wanted.api)
    if wanted.name_contains:
        query = query.where(endpoints.c.name.contains(wanted.name_contains, autoescape=True))
    if wanted.phases is not None:
        query = query.where(endpoints.c.phase.in_([phase.value for phase in wanted.phases]))
    bounds = (
        (endpoints.c.created_at >= wanted.created_after) if wanted.created_after else None,
        (endpoints.c.created_at < wanted.created_before) if wanted.created_before else None,
        (endpoints.c.modified_at >= wanted.modified_after) if wanted.modified_after else None,
        (endpoints.c.modified_at < wanted.modified_before) if wanted.modified_before else None,
    )
    for bound in bounds:
        if bound is not None:
            query = query.where(bound)
    return query
