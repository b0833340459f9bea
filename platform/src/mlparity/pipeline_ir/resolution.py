"""What a task is given: its inputs, found in the run of the DAG that it lies in, in the way of KFP's driver."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from mlparity.engine.runs import Step, StepStatus
from mlparity.pipeline_ir.cel import select
from mlparity.pipeline_ir.definition import Component, Iterator, Source, SourceKind, Task
from mlparity.pipeline_ir.errors import InvalidPipelineError, TaskFailedError
from mlparity.pipeline_ir.placeholders import Facts, Placeholders
from mlparity.pipeline_ir.tasks import ArtifactValue, TaskValues
from mlparity.pipeline_ir.values import as_type, check_literals

_MISSING = object()
_FINAL_STATES = {
    StepStatus.SUCCEEDED: "SUCCEEDED",
    StepStatus.FAILED: "FAILED",
    StepStatus.STOPPED: "CANCELLED",
    StepStatus.SKIPPED: "SKIPPED",
}
_FAILED_PRECONDITION = 9  # google.rpc.Code: Vertex's for a DAG with failed tasks


def task_inputs(
    task: Task, component: Component, dag_inputs: TaskValues, steps: Mapping[str, Step], facts: Facts
) -> TaskValues:
    """A task's inputs: typed, with defaults, the placeholders of constants replaced.

    ``dag_inputs`` are those of the DAG that the task lies in, ``steps`` its steps. A loop's own item is not among
    them; ``iteration_inputs`` adds it. Raises ``TaskFailedError`` where one is missing or has the wrong type.
    """
    found = {name: _parameter(source, dag_inputs, steps, facts) for name, source in task.parameters.items()}
    artifacts = _artifacts(task, component, dag_inputs, steps)
    given = {name: value for name, value in found.items() if value is not _MISSING and value is not None}
    constants = Placeholders(facts, TaskValues(given, artifacts), lambda artifact: artifact.uri, {}, {})
    for name, source in task.parameters.items():
        if source.kind is SourceKind.CONSTANT and name in given:
            given[name] = constants.resolve_all(given[name])
    skipped = {task.iterator.item_input} if task.iterator else set()
    nothing = frozenset(found) if component.dag is not None else frozenset[str]()
    return TaskValues(_typed(given, component, skipped, nothing, constants.resolve_all), artifacts)


def root_inputs(
    component: Component,
    parameters: Mapping[str, Any],
    artifacts: Mapping[str, Sequence[ArtifactValue]] | None,
) -> TaskValues:
    """A run's own inputs. Raises ``InvalidPipelineError`` where they do not fit the pipeline's.

    Artifacts that are None are not looked at.
    """
    unknown = sorted(set(parameters) - set(component.inputs.parameters))
    if unknown:
        raise InvalidPipelineError(
            f"the pipeline has no parameter {unknown[0]!r}",
            f"it has {', '.join(sorted(component.inputs.parameters)) or 'none'}",
        )
    missing = sorted(
        name
        for name, item in component.inputs.artifacts.items()
        if artifacts is not None and not item.optional and name not in artifacts
    )
    if missing:
        raise InvalidPipelineError(f"the pipeline's input artifact {missing[0]!r} is not given")
    given = {name: value for name, value in parameters.items() if value is not None}
    try:
        return TaskValues(_typed(given, component, set()), artifacts or {})
    except TaskFailedError as error:
        raise InvalidPipelineError("the pipeline's arguments are invalid", str(error)) from error


def iteration_inputs(iterator: Iterator, component: Component, inputs: TaskValues, index: int) -> TaskValues:
    """The inputs of one of a loop's iterations."""
    item = loop_items(iterator, inputs)[index]
    if iterator.over_artifacts:
        return TaskValues(inputs.parameters, {**inputs.artifacts, iterator.item_input: (item,)})
    declared = component.inputs.parameters.get(iterator.item_input)
    value = as_type(item, declared.type, iterator.item_input) if declared else item
    return TaskValues({**inputs.parameters, iterator.item_input: value}, inputs.artifacts)


def unused_items(iterator: Iterator, component: Component, inputs: TaskValues) -> TaskValues:
    """An iteration's inputs without the whole list, unless a task inside asks for it."""
    tasks = component.dag.tasks.values() if component.dag is not None else ()
    used = {source.key for task in tasks for source in (*task.parameters.values(), *task.artifacts.values())}
    if not iterator.input or iterator.input in used or component.dag is None:
        return inputs
    return TaskValues(
        {name: value for name, value in inputs.parameters.items() if name != iterator.input},
        {name: items for name, items in inputs.artifacts.items() if name != iterator.input},
    )


def loop_items(iterator: Iterator, inputs: TaskValues) -> Sequence[Any]:
    """What a loop goes over. Raises ``TaskFailedError`` where its input is no list."""
    if iterator.over_artifacts:
        return inputs.artifacts.get(iterator.input, ())
    items = iterator.items if iterator.items is not None else inputs.parameters.get(iterator.input)
    if not isinstance(items, list | tuple):
        raise TaskFailedError(f"the loop's items {iterator.input} are no list")
    return items


def _parameter(source: Source, dag_inputs: TaskValues, steps: Mapping[str, Step], facts: Facts) -> Any:
    value = _plain_parameter(source, dag_inputs, steps, facts)
    return select(source.expression, value) if source.expression and value not in (_MISSING, None) else value


def _plain_parameter(source: Source, dag_inputs: TaskValues, steps: Mapping[str, Step], facts: Facts) -> Any:
    if source.kind is SourceKind.CONSTANT:
        return source.value
    if source.kind is SourceKind.COMPONENT_INPUT:
        return dag_inputs.parameters.get(source.key, _MISSING)
    step = steps[source.producer]
    if source.kind is SourceKind.FINAL_STATUS:
        return _final_status(source.producer, step, facts)
    return step.outputs.get("parameters", {}).get(source.key, _MISSING)


def _final_status(producer: str, step: Step, facts: Facts) -> dict[str, Any]:
    """KFP's PipelineTaskFinalStatus as JSON."""
    failed = step.status is StepStatus.FAILED
    return {
        "state": _FINAL_STATES.get(step.status, "FAILED"),
        "pipelineTaskName": producer,
        "pipelineJobResourceName": facts.job_resource_name,
        "pipelineJobName": facts.job_name,
        "error": {"code": _FAILED_PRECONDITION, "message": step.failure_reason} if failed else {},
    }


def _artifacts(
    task: Task, component: Component, dag_inputs: TaskValues, steps: Mapping[str, Step]
) -> dict[str, Sequence[ArtifactValue]]:
    found: dict[str, Sequence[ArtifactValue]] = {}
    for name, source in task.artifacts.items():
        if source.kind is SourceKind.COMPONENT_INPUT:
            values = dag_inputs.artifacts.get(source.key)
        else:
            stored = steps[source.producer].outputs.get("artifacts", {}).get(source.key)
            values = None if stored is None else tuple(ArtifactValue.from_json(item) for item in stored)
        declared = component.inputs.artifacts.get(name)
        if values is not None:
            found[name] = values
        elif declared is not None and not declared.optional:
            origin = f"{source.producer}.{source.key}" if source.producer else source.key
            raise TaskFailedError(f'input artifact "{name}" is missing', f"nothing made {origin}")
    return found


def _as_it_is(value: Any) -> Any:
    return value


def _typed(
    given: Mapping[str, Any],
    component: Component,
    skipped: Collection[str],
    nothing: Collection[str] = (),
    resolve: Callable[[Any], Any] = _as_it_is,
) -> dict[str, Any]:
    """Types checked, defaults added. Extra inputs, which placeholders refer to, stay as they are.

    ``resolve`` replaces the placeholders in defaults. ``nothing``: inputs that may be null whatever is declared.
    A DAG's are bound to what it only hands on: an optional input of the pipeline that was not given, say, which a
    condition asks for.
    """
    typed = dict(given)
    for name, declared in component.inputs.parameters.items():
        if name in skipped or declared.type == "TASK_CONFIG":
            continue
        if name in given:
            typed[name] = as_type(given[name], declared.type, name)
            check_literals(typed[name], declared.literals, name)
        elif declared.has_default:
            typed[name] = as_type(resolve(declared.default), declared.type, name)
        elif name in nothing:
            typed[name] = None
        elif not declared.optional:
            raise TaskFailedError(f'neither value nor default value provided for non-optional parameter "{name}"')
    return typed
