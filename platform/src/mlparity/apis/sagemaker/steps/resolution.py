"""The values that a step's references have when it starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlparity.apis.sagemaker.context import SageMaker
from mlparity.apis.sagemaker.definition.references import PropertyFile, Resolver
from mlparity.engine.runs import StepContext
from mlparity.engine.workspace import parse_uri


def resolver(api: SageMaker, context: StepContext, **execution: Any) -> Resolver:
    """A resolver over the run's parameters and the outputs of the steps that have ended."""
    plan = context.run.plan

    def read(uri: str) -> str:
        return api.store.get_bytes(*parse_uri(uri)).decode("utf-8")

    def outputs(step: str) -> Mapping[str, Any]:
        return context.steps[step].outputs if step in context.steps else {}

    return Resolver(
        parameters=plan.parameters,
        execution={**plan.context, "CurrentDateTime": api.clock.now().isoformat(), **execution},
        step_outputs=outputs,
        property_files={
            (step.name, item["PropertyFileName"]): PropertyFile(item["OutputName"], item["FilePath"])
            for step in plan.steps
            for item in step.body.get("PropertyFiles") or ()
        },
        read=read,
    )


def job_name(api: SageMaker, context: StepContext, base: str | None) -> str:
    """``pipelines-EXECUTION-Step-RANDOM``, as SageMaker names a step's job; 63 characters at most."""
    execution = context.run.id
    tail = api.ids.token(10)
    if base:  # use_custom_job_prefix
        return f"{base[: 63 - len(execution) - len(tail) - 2].rstrip('-')}-{execution}-{tail}"
    room = 63 - len(f"pipelines-{execution}--{tail}")
    step = context.plan.name.replace("_", "-")[:room].rstrip("-")
    return f"pipelines-{execution}-{step}-{tail}"
