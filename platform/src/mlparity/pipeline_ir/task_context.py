"""What the handlers of all kinds of tasks share: the means they have, and the task that a step stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlparity.clock import Clock
from mlparity.engine.job_run import LogFiles, RuntimeResolver
from mlparity.engine.job_service import JobService
from mlparity.engine.run_engine import RunEngine
from mlparity.engine.runs import Run, Step, StepContext
from mlparity.pipeline_ir.cel import holds
from mlparity.pipeline_ir.definition import Component, Task
from mlparity.pipeline_ir.kubernetes import PodSource
from mlparity.pipeline_ir.placeholders import Facts
from mlparity.pipeline_ir.plans import ITERATION, kind_of, passed_through
from mlparity.pipeline_ir.recorder import Recorder, TaskRecord
from mlparity.pipeline_ir.resolution import task_inputs
from mlparity.pipeline_ir.root_runs import RootRun, RootRuns, metadata_id, task_id
from mlparity.pipeline_ir.tasks import TaskKind, TaskValues
from mlparity.storage.base import ObjectStore


@dataclass(frozen=True)
class Means:
    """What handlers work with."""

    api: str
    engine: RunEngine
    jobs: JobService
    store: ObjectStore
    recorder: Recorder
    roots: RootRuns
    clock: Clock
    logs: LogFiles
    runtimes: RuntimeResolver
    pods: PodSource


LazyMeans = Callable[[], Means]


@dataclass(frozen=True)
class TaskAt:
    """The task of a step, in its run."""

    root: RootRun
    run: Run
    steps: Mapping[str, Step]
    dag: Component
    task: Task
    component: Component
    id: str

    @property
    def facts(self) -> Facts:
        """What its placeholders mean. Its name is the one in its DAG, as with KFP's driver."""
        name = self.task.display_name if self.task.name == ITERATION else self.task.name
        return self.root.facts(name, self.id)

    @property
    def kind(self) -> TaskKind:
        """What it does."""
        return kind_of(self.root.pipeline, self.task)

    def inputs(self) -> TaskValues:
        """Its inputs. Raises ``TaskFailedError``."""
        return task_inputs(self.task, self.component, dag_inputs(self.run), self.steps, self.facts)

    def is_wanted(self, inputs: TaskValues) -> bool:
        """Whether its condition holds. Raises ``TaskFailedError``."""
        known = {**dict.fromkeys(self.task.parameters), **inputs.parameters}
        return not self.task.condition or holds(self.task.condition, known)

    def record(self, inputs: TaskValues) -> TaskRecord:
        """What is written of it into the metadata store."""
        return TaskRecord(
            self.id,
            self.task.name,
            self.task.display_name,
            self.task.component,
            self.kind,
            dag_execution(self.run),
            inputs,
        )


def task_at(means: Means, context: StepContext) -> TaskAt:
    """The task that a step stands for."""
    return task_of(means.roots.of(context.run), context.run, context.steps, context.plan.name)


def task_of(root: RootRun, run: Run, steps: Mapping[str, Step], name: str) -> TaskAt:
    """The task of the step ``name`` of a run."""
    dag = root.pipeline.component(run.plan.context["component"])
    task = dag.dag.tasks[name] if dag.dag is not None else passed_through(dag)
    return TaskAt(root, run, steps, dag, task, root.pipeline.component(task.component), task_id(run.id, name))


def dag_inputs(run: Run) -> TaskValues:
    """The inputs of the DAG that a run is of."""
    document: dict[str, Any] = {"parameters": run.plan.parameters, "artifacts": run.plan.context["artifacts"]}
    return TaskValues.from_json(document)


def iteration_record(run: Run) -> TaskRecord:
    """What is written of a loop's iteration, which is a run, into the metadata store."""
    enclosing = run.enclosing_run or ""
    component = run.plan.context["component"]
    return TaskRecord(
        run.id,
        run.enclosing_step,
        f"{run.enclosing_step}-{run.iteration}",
        component,
        TaskKind.DAG,
        metadata_id(task_id(enclosing, run.enclosing_step)),
        dag_inputs(run),
        run.iteration,
    )


def dag_execution(run: Run) -> str:
    """The execution of the DAG that a run is of, in the metadata store."""
    if run.enclosing_run is None:
        return metadata_id(run.id)
    if run.iteration >= 0:
        return metadata_id(run.id)
    return metadata_id(task_id(run.enclosing_run, run.enclosing_step))
