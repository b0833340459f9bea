"""What each type of pipeline step does when the engine reaches it."""

from __future__ import annotations

from collections.abc import Callable

from mlparity.apis.sagemaker.context import API, SageMaker
from mlparity.apis.sagemaker.steps.decisions import ConditionStep, FailStep
from mlparity.apis.sagemaker.steps.jobs import ProcessingStep, TrainingStep
from mlparity.apis.sagemaker.steps.register import RegisterModelStep
from mlparity.engine.runs import StepHandler


def handlers(api: Callable[[], SageMaker]) -> dict[tuple[str, str], StepHandler]:
    """The handlers by (api, step type). ``api`` is called late: it holds the engine that holds these."""
    return {
        (API, "Processing"): ProcessingStep(api),
        (API, "Training"): TrainingStep(api),
        (API, "Condition"): ConditionStep(api),
        (API, "Fail"): FailStep(api),
        (API, "RegisterModel"): RegisterModelStep(api),
    }


__all__ = ["handlers"]
