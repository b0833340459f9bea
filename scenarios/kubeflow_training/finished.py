"""A run that has ended, the same for both kinds of endpoint: tasks, and the artifacts that went in and came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Artifact:
    """An artifact. What an endpoint's API does not tell is empty."""

    id: str
    uri: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """A task by the name that the pipeline shows."""

    name: str
    state: str  # SUCCEEDED, SKIPPED, …: the endpoint's own word
    inputs: Mapping[str, Sequence[Artifact]]
    outputs: Mapping[str, Sequence[Artifact]]

    def output(self, name: str) -> Artifact:
        """The one artifact of an output."""
        return self.outputs[name][0]


@dataclass(frozen=True)
class Finished:
    """A run."""

    id: str
    state: str
    seconds: float
    tasks: Sequence[Task]
    page: str  # where a person looks at it
    error: str = ""

    def named(self, name: str) -> Task:
        """The task of that name. Raises ``KeyError``."""
        for task in self.tasks:
            if task.name == name:
                return task
        raise KeyError(name)

    def maker_of(self, artifact_id: str) -> Task | None:
        """The task that made an artifact. A DAG hands the outputs of what lies in it on: the innermost one counts."""
        makers = [
            task for task in self.tasks if any(a.id == artifact_id for list_ in task.outputs.values() for a in list_)
        ]
        return makers[-1] if makers else None

    def lineage(self, artifact_id: str) -> list[str]:
        """The names of the tasks that led to an artifact, nearest first."""
        found: list[str] = []
        waiting = [artifact_id]
        while waiting:
            task = self.maker_of(waiting.pop(0))
            if task is None or task.name in found:
                continue
            found.append(task.name)
            waiting += [item.id for items in task.inputs.values() for item in items]
        return found
