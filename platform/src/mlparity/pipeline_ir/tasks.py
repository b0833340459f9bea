"""A pipeline run as people look at it: a flat list of tasks, each with its state, inputs and outputs.

States and shapes follow KFP's ``PipelineTaskDetail`` (v2beta1) and Vertex's; both APIs render them from these values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class TaskState(StrEnum):
    """Where a task is. The last five are final."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    CANCELING = "CANCELING"
    SUCCEEDED = "SUCCEEDED"
    CACHED = "CACHED"  # succeeded with the results of an equal, earlier task
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows."""
        return self not in {TaskState.PENDING, TaskState.RUNNING, TaskState.CANCELING}


class TaskKind(StrEnum):
    """What a task does."""

    CONTAINER = "container"
    IMPORTER = "importer"
    DAG = "dag"  # the root, a nested pipeline, a condition, a loop, an iteration of a loop, an exit handler's group


@dataclass(frozen=True)
class ArtifactValue:
    """An artifact as tasks hand it on: KFP's ``RuntimeArtifact``.

    ``id`` is its id in the metadata store ("" where nothing recorded it); ``name`` is what the program calls it.
    """

    name: str
    uri: str
    schema_title: str = "system.Artifact"
    schema_version: str = "0.0.1"
    instance_schema: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    custom_path: str = ""
    id: str = ""

    def to_json(self) -> dict[str, Any]:
        """As stored in a step's outputs."""
        return {
            "name": self.name,
            "uri": self.uri,
            "schema_title": self.schema_title,
            "schema_version": self.schema_version,
            "instance_schema": self.instance_schema,
            "metadata": dict(self.metadata),
            "custom_path": self.custom_path,
            "id": self.id,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ArtifactValue:
        """The inverse of ``to_json``."""
        return cls(**document)


@dataclass(frozen=True)
class TaskValues:
    """A task's inputs, or its outputs. An artifact input may be a list (Collected)."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, Sequence[ArtifactValue]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As stored with a run or a step."""
        return {
            "parameters": dict(self.parameters),
            "artifacts": {name: [item.to_json() for item in items] for name, items in self.artifacts.items()},
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TaskValues:
        """The inverse of ``to_json``; an empty document is no values."""
        return cls(
            document.get("parameters", {}),
            {
                name: tuple(ArtifactValue.from_json(item) for item in items)
                for name, items in document.get("artifacts", {}).items()
            },
        )


@dataclass(frozen=True)
class TaskDetail:
    """One task of a run.

    ``id`` is stable and unique in the data folder; ``parent_id`` is that of the DAG it lies in ("" for the root).
    ``name`` is the task's key in its DAG ("root" for the root), unique within ``parent_id`` and ``iteration``.
    ``iteration`` counts from 0 for the DAGs that are a loop's iterations; -1 for all others.
    """

    id: str
    parent_id: str
    run_id: str  # the root run's
    name: str
    display_name: str
    component: str  # "comp-train"; "root" for the root
    kind: TaskKind
    state: TaskState
    iteration: int = -1
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: str = ""
    inputs: TaskValues = TaskValues()
    outputs: TaskValues = TaskValues()
    execution_id: str = ""  # in the metadata store
    cached: bool = False
    cached_from: str = ""  # the root run whose results it has
    job_ids: Sequence[str] = ()  # of all attempts, oldest first
    attempt: int = 0
    dependencies: Sequence[str] = ()  # names of the tasks of the same DAG that it waits for
