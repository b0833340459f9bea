"""Writes what pipelines do into the metadata store: contexts, executions, artifacts and events.

Names follow Vertex ML Metadata's system schemas; Kubeflow Pipelines writes the DAG's as ``system.DAGExecution``.
Everything is written under ids that follow from the run, so that it can be written again after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

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
                "resource_name": root.resource_name or root.name,
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

    @staticmethod
    def iteration_execution(run_id: str) -> str:
        """The id of the execution of a loop's iteration, by its run."""
        return metadata_id(run_id)

    def run_changed(self, root: RootRun, state: TaskState, outputs: TaskValues) -> None:
        """The run's execution follows its state."""
        self._end(root, self.run_execution(root), state, outputs, "")

    def task_began(self, root: RootRun, task: TaskRecord, state: TaskState = TaskState.RUNNING) -> str:
        """The task's execution with its inputs; its id."""
        store = self._stores(root.metadata_scope)
        facts = {
            "task_name": task.name,
            "component_name": task.component,
            "parent_dag_id": task.dag_execution,
            **({"iteration_index": task.iteration} if task.iteration >= 0 else {}),
            **_prefixed("input", task.inputs.parameters),
        }
        new = NewNode(
            task.execution_id,
            task.display_name,
            self._schema(root, task),
            _VERSION,
            metadata=facts,
            state=_STATES[state],
        )
        with store.transaction():
            if store.executions.ensure(new).state != new.state:  # another attempt
                store.executions.update(task.execution_id, {"state": new.state})
            store.add_members(root.id, executions=[task.execution_id])
            known = [
                NewEvent(item.id, EventType.INPUT, path=name)
                for name, items in task.inputs.artifacts.items()
                for item in items
                if item.id
            ]
            store.add_events(task.execution_id, known)
        return task.execution_id

    def task_ended(self, root: RootRun, execution_id: str, state: TaskState, outputs: TaskValues, error: str) -> None:
        """The execution's end, and the events of what it made."""
        self._end(root, execution_id, state, outputs, error)

    def artifact_made(self, root: RootRun, execution_id: str, key: str, artifact: ArtifactValue) -> ArtifactValue:
        """Store an artifact; with its id. ``key`` makes it one of its own: the output's name and the attempt."""
        store = self._stores(root.metadata_scope)
        made = replace(artifact, id=metadata_id(execution_id, key))
        with store.transaction():
            store.artifacts.ensure(_node(made))
            store.add_members(root.id, artifacts=[made.id])
        return made

    def artifact_imported(
        self, root: RootRun, execution_id: str, artifact: ArtifactValue, *, anew: bool
    ) -> ArtifactValue:
        """An artifact that exists already: the node that stands for it, unless it is to be one ``anew``."""
        store = self._stores(root.metadata_scope)
        if not anew:
            for node in store.artifacts.of_uri(artifact.uri, artifact.schema_title):
                if dict(node.metadata) == dict(artifact.metadata):
                    store.add_members(root.id, artifacts=[node.id])
                    return replace(artifact, id=node.id)
        return self.artifact_made(root, execution_id, "artifact", artifact)

    def _end(self, root: RootRun, execution_id: str, state: TaskState, outputs: TaskValues, error: str) -> None:
        store = self._stores(root.metadata_scope)
        made = [
            NewEvent(item.id, EventType.OUTPUT, path=name)
            for name, items in outputs.artifacts.items()
            for item in items
            if item.id
        ]
        facts = _prefixed("output", outputs.parameters) | ({"error": error} if error else {})
        with store.transaction():
            store.executions.update(execution_id, {"state": _STATES[state], "metadata": facts}, merge=True)
            store.add_events(execution_id, made)
            store.add_members(root.id, artifacts=[event.artifact for event in made])

    @staticmethod
    def _schema(root: RootRun, task: TaskRecord) -> str:
        if task.kind is TaskKind.CONTAINER:
            return "system.ContainerExecution"
        if task.kind is TaskKind.IMPORTER:
            return "system.ImporterWorkspaceExecution" if task.to_workspace else "system.ImporterExecution"
        return "system.DagExecution" if root.metadata_scope.startswith("vertex/") else "system.DAGExecution"


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
