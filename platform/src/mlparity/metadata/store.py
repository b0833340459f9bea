"""The metadata of one scope: a Vertex AI metadata store, or all of Kubeflow Pipelines."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager

from sqlalchemy import Connection, delete, select

from mlparity.clock import Clock
from mlparity.ids import IdSource
from mlparity.metadata.lineage import Lineage
from mlparity.metadata.naming import PLAIN, Naming
from mlparity.metadata.nodes import Nodes
from mlparity.metadata.relations import Relations
from mlparity.metadata.values import Family, NewEvent, Subgraph
from mlparity.state.database import Database
from mlparity.state.schema.ml_metadata import ml_nodes


class MetadataStore:
    """Artifacts, executions and contexts, and what connects them.

    ``scope`` is "vertex/<project>/<location>/<store>" or "kubeflow"; nothing crosses scopes. It needs no row of its own
    before its first node. Everything written inside an open ``database.write()`` of the thread joins it.
    """

    def __init__(self, database: Database, clock: Clock, ids: IdSource, scope: str) -> None:
        self._database = database
        self._scope = scope
        self.artifacts = Nodes(database, clock, ids, scope, Family.ARTIFACT)
        self.executions = Nodes(database, clock, ids, scope, Family.EXECUTION)
        self.contexts = Nodes(database, clock, ids, scope, Family.CONTEXT)
        self._relations = Relations(database, clock, self.artifacts, self.executions, self.contexts)
        self._lineage = Lineage(database, scope, self.artifacts, self.executions, self.contexts)

    def transaction(self) -> AbstractContextManager[Connection]:
        """What this thread writes in the block happens together or not at all."""
        return self._database.write()

    def nodes(self, family: Family) -> Nodes:
        """The nodes of a family."""
        return {Family.ARTIFACT: self.artifacts, Family.EXECUTION: self.executions, Family.CONTEXT: self.contexts}[
            family
        ]

    def is_empty(self) -> bool:
        """Whether the scope holds no node at all."""
        with self._database.read() as connection:
            query = select(ml_nodes.c.number).where(ml_nodes.c.scope == self._scope).limit(1)
            return connection.execute(query).first() is None

    def clear(self) -> None:
        """Remove every node of the scope, with its relations."""
        with self._database.write() as connection:
            connection.execute(delete(ml_nodes).where(ml_nodes.c.scope == self._scope))

    def add_members(self, context_id: str, artifacts: Collection[str] = (), executions: Collection[str] = ()) -> None:
        """Put nodes into a context; those in it stay. All or nothing. Raises ``NotFoundError``."""
        self._relations.add_members(context_id, artifacts, executions)

    def contexts_of(self, family: Family, node_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
        """The ids of the contexts that each of the artifacts (or executions) is in. Raises ``NotFoundError``."""
        return self._relations.contexts_of(self.nodes(family), node_ids)

    def add_children(self, parent_id: str, child_ids: Collection[str]) -> None:
        """Put contexts into a context. Raises ``NotFoundError``, ``InvalidRequestError`` (cycle, too many parents)."""
        self._relations.add_children(parent_id, child_ids)

    def remove_children(self, parent_id: str, child_ids: Collection[str]) -> None:
        """Take contexts out of a context; those not in it are passed over. Raises ``NotFoundError``."""
        self._relations.remove_children(parent_id, child_ids)

    def parents(self, context_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
        """The ids of the contexts that each context is in. Raises ``NotFoundError``."""
        return self._relations.parents(context_ids)

    def children(self, context_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
        """The ids of the contexts in each context. Raises ``NotFoundError``."""
        return self._relations.children(context_ids)

    def add_events(self, execution_id: str, events: Sequence[NewEvent], *, once_per_artifact: bool = False) -> None:
        """Connect an execution with artifacts; see ``Relations.add_events``. Raises ``NotFoundError``."""
        self._relations.add_events(execution_id, events, once_per_artifact=once_per_artifact)

    def context_lineage(self, context_id: str) -> Subgraph:
        """What is in the context. Raises ``NotFoundError`` and ``TooManyError``."""
        return self._lineage.of_context(context_id)

    def execution_lineage(self, execution_id: str) -> Subgraph:
        """The execution with its inputs and outputs. Raises ``NotFoundError`` and ``TooManyError``."""
        return self._lineage.of_execution(execution_id)

    def artifact_lineage(
        self, artifact_id: str, max_hops: int | None = None, filter_text: str = "", naming: Naming = PLAIN
    ) -> Subgraph:
        """What led to the artifact and came of it; see ``Lineage.of_artifact``."""
        return self._lineage.of_artifact(artifact_id, max_hops, filter_text, naming)
