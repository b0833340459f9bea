"""Writes what pipelines do into the metadata store: contexts, executions, artifacts and events.

Names follow Vertex ML Metadata's system schemas; Kubeflow Pipelines writes the DAG's as ``system.DAGExecution``.
Everything is written under ids that follow from the run, so that it can be written again after a crash. What a person
deletes while a pipeline runs is not written to any more; the pipeline goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from typing import Any

from mlparity.errors import NotFoundError
from mlparity.metadata.store import MetadataStore
from mlparity.metadata.values import EventType, NewEvent, NewNode
from mlparity.pipeline_ir.root_runs import RootRun, metadata_id
from mlparity.pipeline_ir.tasks import ArtifactValue, TaskKind, TaskState, TaskValues
from mlparity.pipeline_ir.values import as_text

_VERSION = "0.0.1"
_STATES = {
    TaskState.PENDING: "NEW",
    TaskState.RUNNING: "RUNNING",
    TaskState.CANCELING: "RUNNING",
    TaskState.SUCCEEDED: "COMPLETE",
    TaskState.CACHED: "CACHED",
    TaskState.SKIPPED: "CANCELLED",
    TaskState.FAILED: "FAILED",
    TaskState.CANCELED: "CANCELLED",
}


@dataclass(frozen=True)
class TaskRecord:
    """What is written of a task when it begins. ``dag_execution`` is the execution that it is part of."""

    task_id: str
    name: str
    display_name: str
    component: str
    kind: TaskKind
    dag_execution: str
    inputs: TaskValues
    iteration: int = -1
    to_workspace: bool = False

    @property
    def execution_id(self) -> str:
        """Its execution's id in the metadata store."""
        return metadata_id(self.task_id)


class Recorder:
    """One for all runs; ``stores`` gives the metadata store of a scope."""

    def __init__(self, stores: Callable[[str], MetadataStore]) -> None:
        self._stores = stores

    def run_began(self, root: RootRun, inputs: TaskValues) -> None:
        """The contexts of the pipeline and of the run, and the run's own execution."""
        store = self._stores(root.metadata_scope)
        with store.transaction():
            store.contexts.ensure(NewNode(root.pipeline_name, root.pipeline_name, "system.Pipeline", _VERSION))
            facts = {
                "pipeline_root": root.pipeline_root,
                "resource_name": root.facts("", "").job_resource_name,
                "namespace": "kubeflow",
            }
            store.contexts.ensure(
                NewNode(root.id, root.name, "system.PipelineRun", _VERSION, metadata=facts, labels=root.labels)
            )
            store.add_children(root.pipeline_name, [root.id])
            store.executions.ensure(
                NewNode(
                    self.run_execution(root),
                    root.name,
                    "system.Run",
                    _VERSION,
                    metadata=_prefixed("input", inputs.parameters),
                    state="RUNNING",
                )
            )
            store.add_members(root.id, executions=[self.run_execution(root)])

    @staticmethod
    def run_execution(root: RootRun) -> str:
        """The id of the run's own execution."""
        return metadata_id(root.id)

    def run_changed(self, root: RootRun, state: TaskState, outputs: TaskValues) -> None:
        """The run's execution follows its state."""
        execution = self.run_execution(root)
        facts = _prefixed("output", outputs.parameters)
        store = self._stores(root.metadata_scope)
        with _unless_deleted():
            store.executions.update(execution, {"state": _STATES[state], "metadata": facts}, merge=True)

    def task_began(self, root: RootRun, task: TaskRecord) -> None:
        """The task's execution, with its inputs among its metadata."""
        store = self._stores(root.metadata_scope)
        new = self._execution(root, task, TaskState.RUNNING, {})
        with store.transaction():
            if store.executions.ensure(new).state != new.state:  # another attempt
                store.executions.update(new.id, {"state": new.state})
            with _unless_deleted():
                store.add_members(root.id, executions=[new.id])

    def task_ended(
        self, root: RootRun, task: TaskRecord, state: TaskState, outputs: TaskValues, error: str = ""
    ) -> None:
        """The execution's end, and the events of what it used and made. Its beginning need not have been written."""
        store = self._stores(root.metadata_scope)
        facts = _prefixed("output", outputs.parameters) | ({"error": error} if error else {})
        new = self._execution(root, task, state, facts)
        events = [*_events(task.inputs, EventType.INPUT), *_events(outputs, EventType.OUTPUT)]
        with store.transaction():
            began = store.executions.ensure(new).state != new.state  # and is in the run's context since then
            if began:
                store.executions.update(new.id, {"state": new.state, "metadata": facts}, merge=True)
            made = {event.artifact for event in events if event.type is EventType.OUTPUT}
            with _unless_deleted():
                if events:
                    store.add_events(new.id, events)
            with _unless_deleted():
                if made or not began:
                    store.add_members(root.id, artifacts=made, executions=() if began else (new.id,))

    def artifacts_made(self, root: RootRun, artifacts: Sequence[ArtifactValue]) -> None:
        """Store artifacts, which have ids."""
        nodes = self._stores(root.metadata_scope).artifacts
        for artifact in artifacts:
            new = _node(artifact)
            known = nodes.ensure(new)
            if (dict(known.metadata), known.uri) != (dict(new.metadata), new.uri):  # of a run that was deleted
                nodes.update(artifact.id, {"metadata": new.metadata, "uri": new.uri})

    def artifact_imported(
        self, root: RootRun, execution_id: str, artifact: ArtifactValue, *, anew: bool
    ) -> ArtifactValue:
        """An artifact that exists already: the node that stands for it, unless it is to be one ``anew``."""
        if not anew:
            for node in self._stores(root.metadata_scope).artifacts.of_uri(artifact.uri, artifact.schema_title):
                if dict(node.metadata) == dict(artifact.metadata):
                    return replace(artifact, id=node.id)
        made = replace(artifact, id=metadata_id(execution_id, "artifact"))
        self.artifacts_made(root, [made])
        return made

    def _execution(self, root: RootRun, task: TaskRecord, state: TaskState, more: Mapping[str, Any]) -> NewNode:
        facts = {
            "task_name": task.name,
            "component_name": task.component,
            "parent_dag_id": task.dag_execution,
            **({"iteration_index": task.iteration} if task.iteration >= 0 else {}),
            **_prefixed("input", task.inputs.parameters),
            **more,
        }
        return NewNode(
            task.execution_id,
            task.display_name,
            self._schema(root, task),
            _VERSION,
            metadata=facts,
            state=_STATES[state],
        )

    @staticmethod
    def _schema(root: RootRun, task: TaskRecord) -> str:
        if task.kind is TaskKind.CONTAINER:
            return "system.ContainerExecution"
        if task.kind is TaskKind.IMPORTER:
            return "system.ImporterWorkspaceExecution" if task.to_workspace else "system.ImporterExecution"
        return "system.DagExecution" if root.metadata_scope.startswith("vertex/") else "system.DAGExecution"


def _unless_deleted() -> AbstractContextManager[None]:
    """For writes to what a person may have deleted meanwhile."""
    return suppress(NotFoundError)


def _events(values: TaskValues, kind: EventType) -> list[NewEvent]:
    return [NewEvent(item.id, kind, path=name) for name, items in values.artifacts.items() for item in items if item.id]


def _node(artifact: ArtifactValue) -> NewNode:
    return NewNode(
        artifact.id,
        artifact.name,
        artifact.schema_title,
        artifact.schema_version or _VERSION,
        metadata=artifact.metadata,
        state="LIVE",
        uri=artifact.uri,
    )


def _prefixed(side: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as the metadata of an execution has them: lists and structs as JSON text."""
    return {
        f"{side}:{name}": as_text(value) if isinstance(value, list | dict) else value
        for name, value in parameters.items()
    }
