"""What each type of pipeline step does when the engine reaches it."""

from __future__ import annotations

from collections.abc import Callable

from mlparity.apis.sagemaker.context import API, SageMaker
from mlparity.apis.sagemaker.steps.callback import CallbackStep
from mlparity.apis.sagemaker.steps.decisions import ConditionStep, FailStep
from mlparity.apis.sagemaker.steps.jobs import PROCESSING, TRAINING, TRANSFORM, JobStep
from mlparity.apis.sagemaker.steps.lambda_step import LambdaStep
from mlparity.apis.sagemaker.steps.model import ModelStep
from mlparity.apis.sagemaker.steps.quality_check import QualityCheckStep
from mlparity.apis.sagemaker.steps.register import RegisterModelStep
from mlparity.apis.sagemaker.steps.tuning import TuningStep
from mlparity.engine.runs import StepHandler


def handlers(api: Callable[[], SageMaker]) -> dict[tuple[str, str], StepHandler]:
    """The handlers by (api, step type). ``api`` is called late: it holds the engine that holds these."""
    return {
        (API, "Processing"): JobStep(api, PROCESSING),
        (API, "Training"): JobStep(api, TRAINING),
        (API, "Transform"): JobStep(api, TRANSFORM),
        (API, "Tuning"): TuningStep(api),
        (API, "Model"): ModelStep(api),
        (API, "Condition"): ConditionStep(api),
        (API, "Fail"): FailStep(api),
        (API, "RegisterModel"): RegisterModelStep(api),
        (API, "QualityCheck"): QualityCheckStep(api),
        (API, "Callback"): CallbackStep(api),
        (API, "Lambda"): LambdaStep(api),
    }


__all__ = ["handlers"]
