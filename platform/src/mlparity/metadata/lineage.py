"""Parts of the lineage graph: around a context, an execution or an artifact."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from mlparity.errors import InvalidRequestError
from mlparity.metadata.conditions import LANGUAGES, condition
from mlparity.metadata.naming import PLAIN, Naming
from mlparity.metadata.nodes import Nodes, node_of
from mlparity.metadata.values import Event, EventType, Family, Subgraph, TooManyError
from mlparity.state.database import Database
from mlparity.state.schema.ml_metadata import ml_events, ml_members, ml_nodes

_BATCH = 400
LIMIT = 1000  # nodes of a kind, or events, that the Metadata API gives at once


class Lineage:
    """The lineage of one store."""

    def __init__(self, database: Database, scope: str, artifacts: Nodes, executions: Nodes, contexts: Nodes) -> None:
        self._database = database
        self._scope = scope
        self._artifacts = artifacts
        self._executions = executions
        self._contexts = contexts

    def of_context(self, context_id: str, limit: int = LIMIT) -> Subgraph:
        """What is in the context, and the events between. Raises ``NotFoundError`` and ``TooManyError``."""
        with self._database.read() as connection:
            context = self._contexts.numbers(connection, [context_id])[context_id]
            query = (
                select(ml_nodes.c.number, ml_nodes.c.family)
                .join(ml_members, ml_members.c.member == ml_nodes.c.number)
                .where(ml_members.c.context == context)
            )
            members = connection.execute(query).all()
            artifacts = {row.number for row in members if row.family == Family.ARTIFACT}
            executions = {row.number for row in members if row.family == Family.EXECUTION}
            return self._subgraph(connection, artifacts, executions, limit)

    def of_execution(self, execution_id: str, limit: int = LIMIT) -> Subgraph:
        """The execution with its inputs and outputs. Raises ``NotFoundError`` and ``TooManyError``."""
        with self._database.read() as connection:
            execution = self._executions.numbers(connection, [execution_id])[execution_id]
            artifacts = self._across(connection, [execution], ml_events.c.execution, ml_events.c.artifact)
            return self._subgraph(connection, artifacts, {execution}, limit)

    def of_artifact(
        self,
        artifact_id: str,
        max_hops: int | None = None,
        filter_text: str = "",
        naming: Naming = PLAIN,
        limit: int = LIMIT,
    ) -> Subgraph:
        """What led to the artifact and what came of it; a hop is one event, and None is as far as it goes.

        Artifacts that the filter does not select are left out, and nothing is reached through them. Raises
        ``NotFoundError``, ``InvalidRequestError`` and ``TooManyError``.
        """
        if max_hops is not None and max_hops < 0:
            raise InvalidRequestError("max_hops must not be negative", f"it is {max_hops}")
        wanted = condition(LANGUAGES[Family.ARTIFACT].parse(filter_text), self._scope, naming)
        with self._database.read() as connection:

            def selected(numbers: Collection[int]) -> set[int]:
                if not filter_text:
                    return set(numbers)
                query = select(ml_nodes.c.number).where(wanted)
                return {row.number for row in _each(connection, query, ml_nodes.c.number, numbers)}

            start = self._artifacts.numbers(connection, [artifact_id])[artifact_id]
            artifacts, executions = self._walk(connection, start, max_hops, selected, limit)
            return self._subgraph(connection, artifacts, executions, limit)

    def _walk(
        self,
        connection: Connection,
        start: int,
        max_hops: int | None,
        selected: Callable[[Collection[int]], set[int]],
        limit: int,
    ) -> tuple[set[int], set[int]]:
        artifacts, executions, edge, hops = {start}, set[int](), {start}, 0
        while edge and (max_hops is None or hops < max_hops):
            if hops % 2 == 0:
                edge = self._across(connection, edge, ml_events.c.artifact, ml_events.c.execution) - executions
                executions |= edge
            else:
                edge = self._across(connection, edge, ml_events.c.execution, ml_events.c.artifact) - artifacts
                edge = selected(edge)
                artifacts |= edge
            if max(len(artifacts), len(executions)) > limit:
                raise _too_many(limit)
            hops += 1
        return artifacts, executions

    def _across(self, connection: Connection, numbers: Collection[int], near: Any, far: Any) -> set[int]:
        return {row.far for row in _each(connection, select(far.label("far")), near, numbers)}

    def _subgraph(
        self, connection: Connection, artifacts: Collection[int], executions: Collection[int], limit: int
    ) -> Subgraph:
        if max(len(artifacts), len(executions)) > limit:
            raise _too_many(limit)
        rows = sorted(
            _each(connection, select(ml_nodes), ml_nodes.c.number, {*artifacts, *executions}),
            key=lambda row: row.number,
        )
        ids = {row.number: row.id for row in rows}
        events = [
            row
            for row in _each(connection, select(ml_events), ml_events.c.execution, executions)
            if row.artifact in ids
        ]
        if len(events) > limit:
            raise _too_many(limit)
        return Subgraph(
            artifacts=[node_of(row) for row in rows if row.family == Family.ARTIFACT],
            executions=[node_of(row) for row in rows if row.family == Family.EXECUTION],
            events=[
                Event(ids[row.execution], ids[row.artifact], EventType(row.type), row.path, row.labels, row.at)
                for row in sorted(events, key=lambda row: row.sequence)
            ],
        )


def _each(connection: Connection, query: Any, column: Any, numbers: Iterable[int]) -> Sequence[Row[Any]]:
    """The query's rows for any number of ``numbers`` in ``column``."""
    wanted, rows = list(numbers), list[Row[Any]]()
    for begin in range(0, len(wanted), _BATCH):
        rows += connection.execute(query.where(column.in_(wanted[begin : begin + _BATCH]))).all()
    return rows


def _too_many(limit: int) -> TooManyError:
    return TooManyError("The lineage is too large", f"it has more than {limit} artifacts, executions or events")
