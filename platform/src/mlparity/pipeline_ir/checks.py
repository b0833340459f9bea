"""Refuses, before anything starts, what contradicts itself and what cannot run on this machine, by name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlparity.engine.process import Runtime
from mlparity.errors import RuntimeUnavailableError
from mlparity.pipeline_ir.cel import check_expression
from mlparity.pipeline_ir.definition import (
    ROOT,
    Component,
    Container,
    Dag,
    Importer,
    Pipeline,
    Source,
    SourceKind,
    Task,
)
from mlparity.pipeline_ir.errors import InvalidPipelineError, UnsupportedPipelineError
from mlparity.pipeline_ir.kubernetes import check_settings
from mlparity.pipeline_ir.placeholders import mentions, unresolvable
from mlparity.pipeline_ir.plans import in_order
from mlparity.pipeline_ir.quantities import quantity
from mlparity.storage.uris import SCHEMES

_STUBS = {"argostub/createpvc": "CreatePVC", "argostub/deletepvc": "DeletePVC"}


@dataclass(frozen=True)
class Allowed:
    """What a pipeline may ask for here.

    ``runtime_of`` raises ``RuntimeUnavailableError`` for an unknown image. ``placeholders`` are the API's own.
    """

    runtime_of: Callable[[str], Runtime]
    placeholders: Collection[str] = ()


def check_pipeline(pipeline: Pipeline, allowed: Allowed) -> None:
    """Check every task that can be reached. Raises ``InvalidPipelineError`` and ``UnsupportedPipelineError``."""
    _check_component(pipeline, pipeline.root, (ROOT,), allowed, set())


def _check_component(
    pipeline: Pipeline,
    component: Component,
    path: Sequence[str],
    allowed: Allowed,
    done: set[str],
) -> None:
    if component.name in done or component.dag is None:
        return
    _check_order(component.name, component.dag)
    _check_selectors(component.name, component.dag)
    for task in component.dag.tasks.values():
        _check_sources(pipeline, component, task, allowed)
        _check_iterator(task)
        if task.condition:
            check_expression(task.condition, f"the condition of task {task.name}")
        inner = pipeline.components.get(task.component)
        if inner is None:
            raise InvalidPipelineError(f"task {task.name} is invalid", f"there is no component {task.component!r}")
        if inner.name in path:
            raise InvalidPipelineError(f"task {task.name} is invalid", f"component {inner.name} lies inside itself")
        if inner.dag is None:
            _check_executor(pipeline, task, inner, allowed)
        _check_component(pipeline, inner, (*path, inner.name), allowed, done)
    done.add(component.name)


def _check_order(name: str, dag: Dag) -> None:
    for task in dag.tasks.values():
        for other in task.dependencies:
            if other not in dag.tasks:
                raise InvalidPipelineError(f"task {task.name} is invalid", f"there is no task {other!r} in {name}")
    before: set[str] = set()
    for task in in_order(dag.tasks.values()):
        if not before.issuperset(task.dependencies):
            raise InvalidPipelineError(f"the tasks of {name} depend on each other in a circle", f"{task.name} is one")
        before.add(task.name)


def _check_selectors(name: str, dag: Dag) -> None:
    for outputs in (dag.parameter_outputs, dag.artifact_outputs):
        for output, selectors in outputs.items():
            for selector in selectors:
                if selector.producer not in dag.tasks:
                    raise InvalidPipelineError(
                        f"the output {output} of {name} is invalid", f"there is no task {selector.producer!r}"
                    )


def _check_sources(pipeline: Pipeline, component: Component, task: Task, allowed: Allowed) -> None:
    for key, source in (*task.parameters.items(), *task.artifacts.items()):
        if source.expression:
            check_expression(source.expression, f"the input {key} of task {task.name}")
        _check_constant(task, key, source, allowed)
    for key, source in task.parameters.items():
        _check_origin(pipeline, component, task, key, source, "parameter")
    for key, source in task.artifacts.items():
        _check_origin(pipeline, component, task, key, source, "artifact")


def _check_origin(pipeline: Pipeline, component: Component, task: Task, key: str, source: Source, kind: str) -> None:
    """What a task is given must be declared. KFP's compiler forgets some of what texts with several parts mention."""
    if source.kind is SourceKind.COMPONENT_INPUT:
        where, declared = f"{component.name} has no input", component.inputs
    elif source.kind is SourceKind.TASK_OUTPUT and component.dag is not None:
        producer = pipeline.components.get(component.dag.tasks[source.producer].component)
        if producer is None:
            return  # told where the producer is checked
        where, declared = f"task {source.producer} has no output", producer.outputs
    else:
        return
    if source.key not in (declared.parameters if kind == "parameter" else declared.artifacts):
        raise InvalidPipelineError(f"the input {key} of task {task.name} is invalid", f"{where} {kind} {source.key!r}")


def _check_constant(task: Task, key: str, source: Source, allowed: Allowed) -> None:
    for text in _texts(source.value):
        unknown = unresolvable(text, allowed.placeholders)
        if unknown is not None:
            raise UnsupportedPipelineError(
                f"the input {key} of task {task.name} cannot be given", f"the placeholder {unknown} has no meaning here"
            )


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _check_iterator(task: Task) -> None:
    iterator = task.iterator
    if iterator is None:
        return
    inputs = task.artifacts if iterator.over_artifacts else task.parameters
    if not iterator.item_input or (iterator.items is None and iterator.input not in inputs):
        raise InvalidPipelineError(
            f"the loop of task {task.name} is invalid", f"it has no input {iterator.input!r} to go over"
        )


def _check_executor(pipeline: Pipeline, task: Task, component: Component, allowed: Allowed) -> None:
    executor = pipeline.executors.get(component.executor)
    if executor is None:
        raise InvalidPipelineError(
            f"component {component.name} is invalid", f"there is no executor {component.executor!r}"
        )
    for name, declared in component.inputs.parameters.items():
        if declared.type == "TASK_CONFIG":
            raise UnsupportedPipelineError(
                f"task {task.name} cannot be run: its input {name} is a TaskConfig", "there is no pod to take it from"
            )
    if isinstance(executor, Importer):
        _check_importer(task, executor)
    else:
        check_settings(pipeline.kubernetes.get(component.executor, {}), task.name)
        _check_container(task, executor, allowed)


def _check_container(task: Task, container: Container, allowed: Allowed) -> None:
    if container.image in _STUBS:
        raise UnsupportedPipelineError(
            f"task {task.name} cannot be run: it is a {_STUBS[container.image]}", "there are no volumes here"
        )
    if container.accelerator:
        raise UnsupportedPipelineError(
            f"task {task.name} cannot be run: it asks for an accelerator ({container.accelerator})",
            "there is none on this machine",
        )
    texts = (container.image, *container.command, *container.args, *container.environment.values())
    for text in texts:
        unknown = unresolvable(text, allowed.placeholders)
        if unknown is not None:
            raise UnsupportedPipelineError(
                f"task {task.name} cannot be run: the placeholder {unknown} has no meaning here",
                "it stands in its image, command, arguments or environment",
            )
    for what, text in (("CPU limit", container.cpu_limit), ("memory limit", container.memory_limit)):
        if not mentions(text):
            quantity(text, f"{what} of task {task.name}")
    if not mentions(container.image):
        try:
            runtime = allowed.runtime_of(container.image)
        except RuntimeUnavailableError as error:
            raise UnsupportedPipelineError(
                f"task {task.name} cannot be run: {error.what}", error.why, error.hint
            ) from error
        if not container.command and runtime.kind != "container" and not runtime.module:
            raise UnsupportedPipelineError(
                f"task {task.name} cannot be run: it names no command",
                f"what stands for {container.image} here has no entry point of its own",
            )


def _check_importer(task: Task, importer: Importer) -> None:
    if importer.to_workspace:
        raise UnsupportedPipelineError(
            f"task {task.name} cannot be run: it downloads to the pipeline's workspace", "there is no workspace here"
        )
    scheme, separator, _ = importer.uri.partition("://")
    if importer.uri and not mentions(importer.uri) and (not separator or scheme not in SCHEMES):
        allowed = " or ".join(f"{name}://" for name in SCHEMES)
        raise UnsupportedPipelineError(
            f"task {task.name} cannot be run: {importer.uri!r} is in no bucket", f"an importer reads {allowed}"
        )
