"""Condition and Fail steps: they end at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mlparity.apis.sagemaker.context import SageMaker
from mlparity.apis.sagemaker.definition.conditions import holds
from mlparity.apis.sagemaker.definition.reader import ELSE, IF
from mlparity.apis.sagemaker.steps.resolution import resolver
from mlparity.engine.jobs import Job
from mlparity.engine.runs import StepContext, StepStatus, StepUpdate


@dataclass(frozen=True)
class ConditionStep:
    """True where every condition holds; the steps of one branch follow."""

    api: Callable[[], SageMaker]

    def start(self, context: StepContext) -> StepUpdate:
        """Decide."""
        values = resolver(self.api(), context)
        outcome = all(holds(item, values.resolve) for item in context.plan.body["Arguments"]["Conditions"])
        branch = IF if outcome else ELSE
        return StepUpdate(
            StepStatus.SUCCEEDED,
            branch=branch,
            outputs={"Outcome": branch},
            details={"Condition": {"Outcome": branch}},
        )

    def on_job(self, context: StepContext, job: Job) -> StepUpdate:  # noqa: ARG002
        """Never: it has no job."""
        return StepUpdate(context.step.status)

    def stop(self, context: StepContext) -> None:
        """Nothing runs."""


@dataclass(frozen=True)
class FailStep:
    """Fails the execution with its message."""

    api: Callable[[], SageMaker]

    def start(self, context: StepContext) -> StepUpdate:
        """Fail."""
        text = str(resolver(self.api(), context).resolve(context.plan.body["Arguments"].get("ErrorMessage", "")))
        return StepUpdate(
            StepStatus.FAILED,
            outputs={"ErrorMessage": text},
            details={"Fail": {"ErrorMessage": text}},
            failure_reason=text,
        )

    def on_job(self, context: StepContext, job: Job) -> StepUpdate:  # noqa: ARG002
        """Never: it has no job."""
        return StepUpdate(context.step.status)

    def stop(self, context: StepContext) -> None:
        """Nothing runs."""
