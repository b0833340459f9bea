"""What a DAG hands out once it has ended: the outputs of its tasks, chosen (OneOf) or gathered (Collected)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlparity.engine.runs import Step, StepStatus
from mlparity.pipeline_ir.definition import Component, Selector
from mlparity.pipeline_ir.tasks import ArtifactValue, TaskValues


def dag_outputs(component: Component, steps: Mapping[str, Step]) -> TaskValues:
    """The outputs of one run of a DAG. What only tasks that were skipped would have made is absent."""
    if component.dag is None:
        only = next(iter(steps.values()))
        return TaskValues.from_json(only.outputs)
    parameters: dict[str, Any] = {}
    artifacts: dict[str, Sequence[ArtifactValue]] = {}
    for name, selectors in component.dag.parameter_outputs.items():
        found = _first(selectors, steps, "parameters")
        if found is not None:
            parameters[name] = found[0]
    for name, selectors in component.dag.artifact_outputs.items():
        found = _first(selectors, steps, "artifacts")
        if found is not None:
            artifacts[name] = tuple(ArtifactValue.from_json(item) for item in found[0])
    return TaskValues(parameters, artifacts)


def _first(selectors: Sequence[Selector], steps: Mapping[str, Step], kind: str) -> tuple[Any] | None:
    for selector in selectors:
        step = steps[selector.producer]
        made = step.outputs.get(kind, {})
        if step.status is StepStatus.SUCCEEDED and selector.key in made:
            return (made[selector.key],)
    return None


def collected(component: Component, iterations: Sequence[TaskValues]) -> TaskValues:
    """The outputs of a loop, by iteration: of nested loops, parameters nest and artifacts are one flat list."""
    return TaskValues(
        {
            name: [item.parameters[name] for item in iterations if name in item.parameters]
            for name in component.outputs.parameters
        },
        {
            name: tuple(artifact for item in iterations for artifact in item.artifacts.get(name, ()))
            for name in component.outputs.artifacts
        },
    )
