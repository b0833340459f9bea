"""A compiled pipeline as values: components, their DAGs and executors, and the tasks between them.

Follows KFP's ``pipeline_spec.proto`` (schema 2.1.0, and 2.0.0 where Vertex's SDK still writes it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

ROOT = "root"  # the name of the root component


class SourceKind(StrEnum):
    """Where a task's input comes from."""

    CONSTANT = "constant"
    COMPONENT_INPUT = "component_input"  # an input of the DAG that the task lies in
    TASK_OUTPUT = "task_output"  # of another task of the same DAG
    FINAL_STATUS = "final_status"  # how another task of the same DAG ended


@dataclass(frozen=True)
class Parameter:
    """A declared input or output parameter. ``type`` is a ParameterTypeEnum's name."""

    type: str
    optional: bool = False
    has_default: bool = False
    default: Any = None
    literals: Sequence[Any] = ()


@dataclass(frozen=True)
class Artifact:
    """A declared input or output artifact."""

    schema_title: str = "system.Artifact"
    schema_version: str = ""
    instance_schema: str = ""
    is_list: bool = False
    optional: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Interface:
    """A component's inputs, or its outputs."""

    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """What one input of a task is bound to."""

    kind: SourceKind
    value: Any = None  # CONSTANT
    key: str = ""  # the input's or the output's name
    producer: str = ""  # TASK_OUTPUT, FINAL_STATUS: the task
    expression: str = ""  # CEL, applied to what was found


@dataclass(frozen=True)
class Iterator:
    """A loop over a list: ``items`` where they are constant, else those of the task's input ``input``."""

    item_input: str
    items: Sequence[Any] | None = None
    input: str = ""
    over_artifacts: bool = False
    parallelism: int = 0  # 0: as many as there are


@dataclass(frozen=True)
class Retry:
    """How often a failed task is tried again. Times are in seconds."""

    max_retries: int
    backoff: float = 0.0
    factor: float = 2.0
    max_backoff: float = 3600.0


@dataclass(frozen=True)
class Task:
    """A use of a component in a DAG."""

    name: str
    component: str
    display_name: str = ""
    parameters: Mapping[str, Source] = field(default_factory=dict)
    artifacts: Mapping[str, Source] = field(default_factory=dict)
    after: Sequence[str] = ()  # dependentTasks
    condition: str = ""  # CEL
    whatever_happened: bool = False  # begins also where what it depends on has failed
    cached: bool = False
    cache_key: str = ""
    iterator: Iterator | None = None
    retry: Retry | None = None

    @property
    def dependencies(self) -> tuple[str, ...]:
        """The tasks that must have ended before it begins, by name."""
        sources = (*self.parameters.values(), *self.artifacts.values())
        return tuple(sorted({*self.after, *(source.producer for source in sources if source.producer)}))


@dataclass(frozen=True)
class Selector:
    """An output of a task, as an output of the DAG that the task lies in."""

    producer: str
    key: str


@dataclass(frozen=True)
class Dag:
    """Tasks, and what the DAG hands out: of several selectors the one whose task ran (OneOf)."""

    tasks: Mapping[str, Task]
    parameter_outputs: Mapping[str, Sequence[Selector]] = field(default_factory=dict)
    artifact_outputs: Mapping[str, Sequence[Selector]] = field(default_factory=dict)


@dataclass(frozen=True)
class Component:
    """What a task runs: a DAG, or the executor with the label ``executor``."""

    name: str
    inputs: Interface
    outputs: Interface
    dag: Dag | None = None
    executor: str = ""


@dataclass(frozen=True)
class Container:
    """An executor that is a container. Texts may hold placeholders; limits are Kubernetes quantities."""

    image: str
    command: Sequence[str] = ()
    args: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    cpu_limit: str = ""
    memory_limit: str = ""
    accelerator: str = ""  # its type, where any is asked for


@dataclass(frozen=True)
class Importer:
    """An executor that registers an artifact which exists already."""

    uri: str  # constant, perhaps with placeholders; "" where it is the input ``uri_input``
    uri_input: str = ""
    artifact: Artifact = Artifact()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    reimport: bool = False
    to_workspace: bool = False


@dataclass(frozen=True)
class Pipeline:
    """A whole compiled pipeline. ``kubernetes`` has the KubernetesExecutorConfig (JSON) of executors by label."""

    name: str
    root: Component
    components: Mapping[str, Component]
    executors: Mapping[str, Container | Importer]
    kubernetes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    display_name: str = ""
    description: str = ""
    default_root: str = ""
    deadline_seconds: int = 0  # of the whole run; 0: none
    notes: Sequence[str] = ()  # what is ignored here, for people

    def component(self, name: str) -> Component:
        """The component by its name, the root included."""
        return self.root if name == ROOT else self.components[name]

    def container(self, component: Component) -> Container:
        """What a container task runs."""
        found = self.executors[component.executor]
        if not isinstance(found, Container):
            raise TypeError(f"{component.executor} is no container")
        return found

    def importer(self, component: Component) -> Importer:
        """What an importer task imports."""
        found = self.executors[component.executor]
        if not isinstance(found, Importer):
            raise TypeError(f"{component.executor} is no importer")
        return found
