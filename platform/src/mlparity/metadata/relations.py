"""What connects nodes: memberships in contexts, contexts in contexts, events between artifacts and executions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Table, delete, select

from mlparity.clock import Clock
from mlparity.errors import InvalidRequestError
from mlparity.metadata.nodes import Nodes
from mlparity.metadata.values import NewEvent
from mlparity.state.database import Database
from mlparity.state.schema.ml_metadata import ml_children, ml_events, ml_members, ml_nodes

_MOST_PARENTS = 10  # MetadataService.AddContextChildren's own bound
_BATCH = 500


class Relations:
    """The relations between the nodes of one store."""

    def __init__(self, database: Database, clock: Clock, artifacts: Nodes, executions: Nodes, contexts: Nodes) -> None:
        self._database = database
        self._clock = clock
        self._artifacts = artifacts
        self._executions = executions
        self._contexts = contexts

    def add_members(self, context_id: str, artifacts: Collection[str] = (), executions: Collection[str] = ()) -> None:
        """Put nodes into a context; those in it stay. All or nothing. Raises ``NotFoundError``."""
        with self._database.write(apart=False) as connection:
            context = self._contexts.numbers(connection, [context_id])[context_id]
            members = {
                *self._artifacts.numbers(connection, artifacts).values(),
                *self._executions.numbers(connection, executions).values(),
            }
            _insert_missing(connection, ml_members, [{"context": context, "member": member} for member in members])

    def add_children(self, parent_id: str, child_ids: Collection[str]) -> None:
        """Put contexts into a context; those in it stay.

        Raises ``NotFoundError``, and ``InvalidRequestError`` for a cycle or a context with more than ten parents.
        """
        with self._database.write() as connection:
            parent = self._contexts.numbers(connection, [parent_id])[parent_id]
            children = self._contexts.numbers(connection, child_ids)
            above = self._above(connection, parent)
            for child_id, child in children.items():
                if child in above:
                    raise InvalidRequestError(
                        f"context {child_id} cannot be a child of {parent_id}", "this would create a cycle"
                    )
            _insert_missing(
                connection, ml_children, [{"parent": parent, "child": child} for child in children.values()]
            )
            self._check_parents(connection, children)

    def remove_children(self, parent_id: str, child_ids: Collection[str]) -> None:
        """Take contexts out of a context; those not in it are passed over. Raises ``NotFoundError``."""
        with self._database.write() as connection:
            parent = self._contexts.numbers(connection, [parent_id])[parent_id]
            children = list(self._contexts.numbers(connection, child_ids).values())
            for begin in range(0, len(children), _BATCH):
                connection.execute(
                    delete(ml_children).where(
                        ml_children.c.parent == parent, ml_children.c.child.in_(children[begin : begin + _BATCH])
                    )
                )

    def add_events(self, execution_id: str, events: Sequence[NewEvent], *, once_per_artifact: bool = False) -> None:
        """Connect an execution with artifacts. Raises ``NotFoundError``; all or nothing.

        The same event again (type and path) changes nothing; with ``once_per_artifact`` neither does any second event
        between the two, as ``MetadataService.AddExecutionEvents`` has it.
        """
        with self._database.write(apart=False) as connection:
            execution = self._executions.numbers(connection, [execution_id])[execution_id]
            artifacts = self._artifacts.numbers(connection, [event.artifact for event in events])
            table = ml_events.c
            query = select(table.artifact, table.type, table.path).where(table.execution == execution)
            present = {tuple(row) for row in connection.execute(query)}
            rows = []
            for event in events:
                artifact = artifacts[event.artifact]
                known = {artifact_number for artifact_number, _, _ in present}
                if (artifact, event.type, event.path) in present or (once_per_artifact and artifact in known):
                    continue
                present.add((artifact, event.type, event.path))
                rows.append(self._event_row(execution, artifact, event))
            if rows:
                connection.execute(ml_events.insert(), rows)

    def parents(self, context_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
        """The ids of the contexts that each of the contexts is in, oldest first."""
        return self._linked(self._contexts, context_ids, ml_children.c.child, ml_children.c.parent)

    def children(self, context_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
        """The ids of the contexts in each of the contexts, oldest first."""
        return self._linked(self._contexts, context_ids, ml_children.c.parent, ml_children.c.child)

    def contexts_of(self, nodes: Nodes, node_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
        """The ids of the contexts that each of the artifacts (or executions) is in, oldest first."""
        return self._linked(nodes, node_ids, ml_members.c.member, ml_members.c.context)

    def _linked(
        self, nodes: Nodes, node_ids: Collection[str], near: Column[int], far: Column[int]
    ) -> dict[str, tuple[str, ...]]:
        with self._database.read() as connection:
            numbers = nodes.numbers(connection, node_ids)
            by_number: dict[int, list[str]] = {number: [] for number in numbers.values()}
            wanted = list(by_number)
            for begin in range(0, len(wanted), _BATCH):
                query = (
                    select(near.label("near"), ml_nodes.c.id)
                    .join(ml_nodes, ml_nodes.c.number == far)
                    .where(near.in_(wanted[begin : begin + _BATCH]))
                    .order_by(far)
                )
                for row in connection.execute(query):
                    by_number[row.near].append(row.id)
        return {node_id: tuple(by_number[number]) for node_id, number in numbers.items()}

    def _above(self, connection: Connection, context: int) -> set[int]:
        """The context and everything it lies in."""
        seen, new = {context}, [context]
        while new:
            query = select(ml_children.c.parent).where(ml_children.c.child.in_(new))
            new = [number for number in connection.execute(query).scalars().unique() if number not in seen]
            seen.update(new)
        return seen

    def _check_parents(self, connection: Connection, children: Mapping[str, int]) -> None:
        for child_id, child in children.items():
            query = select(ml_children.c.parent).where(ml_children.c.child == child).limit(_MOST_PARENTS + 1)
            if len(connection.execute(query).all()) > _MOST_PARENTS:
                raise InvalidRequestError(
                    f"context {child_id} cannot have more parents", f"a context has {_MOST_PARENTS} parents at most"
                )

    def _event_row(self, execution: int, artifact: int, event: NewEvent) -> dict[str, Any]:
        return {
            "execution": execution,
            "artifact": artifact,
            "type": event.type,
            "path": event.path,
            "labels": dict(event.labels),
            "at": self._clock.now(),
        }


def _insert_missing(connection: Connection, table: Table, rows: Sequence[Mapping[str, int]]) -> None:
    """Insert pairs, all with the same first column, that are not there yet."""
    if not rows:
        return
    first, second = table.primary_key.columns
    wanted, present = [row[second.key] for row in rows], set[int]()
    for begin in range(0, len(wanted), _BATCH):  # never all that a context has: a loop's may be many
        query = select(second).where(first == rows[0][first.key], second.in_(wanted[begin : begin + _BATCH]))
        present.update(connection.execute(query).scalars())
    missing = [row for row in rows if row[second.key] not in present]
    if missing:
        connection.execute(table.insert(), missing)
