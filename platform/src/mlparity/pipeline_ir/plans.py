"""A DAG as a plan of the engine: one step a task."""

from __future__ import annotations

from collections.abc import Iterable

from mlparity.engine.retry import RetryRule
from mlparity.engine.runs import RunPlan, StepPlan
from mlparity.pipeline_ir.definition import Component, Container, Pipeline, Source, SourceKind, Task
from mlparity.pipeline_ir.tasks import TaskKind, TaskValues

FAULT = "task"  # the one fault that a task's retry policy is for
_FOREVER = 100 * 365 * 86400.0  # seconds: KFP's cache does not forget
ITERATION = "iteration"  # the only step's name in an iteration of a component that is no DAG


def kind_of(pipeline: Pipeline, task: Task) -> TaskKind:
    """What a task does. A loop is a DAG, whatever it repeats."""
    component = pipeline.component(task.component)
    if component.dag is not None or task.iterator is not None:
        return TaskKind.DAG
    is_container = isinstance(pipeline.executors[component.executor], Container)
    return TaskKind.CONTAINER if is_container else TaskKind.IMPORTER


def plan_of(
    pipeline: Pipeline, component: Component, inputs: TaskValues, *, fail_slow: bool, caching: bool | None
) -> RunPlan:
    """The plan of one run of a DAG. Its parameters and context are the DAG's inputs."""
    tasks = in_order(component.dag.tasks.values()) if component.dag is not None else [passed_through(component)]
    steps = tuple(step_of(pipeline, task, caching=caching) for task in tasks)
    document = inputs.to_json()
    context = {"component": component.name, "artifacts": document["artifacts"]}
    return RunPlan(steps, document["parameters"], context, fail_slow=fail_slow)


def step_of(pipeline: Pipeline, task: Task, *, caching: bool | None) -> StepPlan:
    """One task as a step."""
    kind = kind_of(pipeline, task)
    cached = task.cached if caching is None else caching
    return StepPlan(
        task.name,
        kind.value,
        task.dependencies,
        {"component": task.component},
        reuse_within_seconds=_FOREVER if cached and kind is TaskKind.CONTAINER else None,
        retries=_rules(task),
        after_failure=task.whatever_happened,
    )


def _rules(task: Task) -> tuple[RetryRule, ...]:
    retry = task.retry
    if retry is None or retry.max_retries <= 0:
        return ()
    return (
        RetryRule(
            (FAULT,),
            interval_seconds=retry.backoff,
            backoff_rate=retry.factor,
            max_attempts=retry.max_retries,
            max_interval_seconds=retry.max_backoff,
        ),
    )


def passed_through(component: Component, *, cached: bool = False) -> Task:
    """The only task of an iteration of a component that is no DAG: it gets the iteration's inputs as they are."""
    return Task(
        ITERATION,
        component.name,
        component.name.removeprefix("comp-"),
        {name: Source(SourceKind.COMPONENT_INPUT, key=name) for name in component.inputs.parameters},
        {name: Source(SourceKind.COMPONENT_INPUT, key=name) for name in component.inputs.artifacts},
        cached=cached,
    )


def in_order(tasks: Iterable[Task]) -> list[Task]:
    """Tasks with each after all that it depends on, by name where that leaves a choice."""
    left = {task.name: task for task in tasks}
    done: list[Task] = []
    while left:
        names = {task.name for task in done}
        ready = [task for task in left.values() if names.issuperset(task.dependencies)]
        done += [left.pop(task.name) for task in ready or list(left.values())]  # a cycle is refused by ``checks``
    return done
