"""Model steps: a model that transform steps and endpoints use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlparity.apis.sagemaker import models
from mlparity.apis.sagemaker.context import SageMaker
from mlparity.apis.sagemaker.errors import SageMakerError
from mlparity.apis.sagemaker.own_calls import checked_request
from mlparity.apis.sagemaker.steps import faults
from mlparity.apis.sagemaker.steps.naming import step_name
from mlparity.apis.sagemaker.steps.resolution import resolver
from mlparity.engine.jobs import Job
from mlparity.engine.runs import StepContext, StepStatus, StepUpdate
from mlparity.errors import MlparityError, NotFoundError

_NAME = 63


@dataclass(frozen=True)
class ModelStep:
    """Creates the model; a pipeline names it itself, as SageMaker does."""

    api: Callable[[], SageMaker]

    def start(self, context: StepContext) -> StepUpdate:
        """Create it. A restart in between finds the model by the name that follows from this step."""
        api = self.api()
        arguments: dict[str, Any] = resolver(api, context).resolve(context.plan.body["Arguments"])
        name = step_name(context, "pipelines", _NAME)
        try:
            document = api.documents.get(models.KIND, name)
        except NotFoundError:
            try:
                document = models.make(api, checked_request(api, "CreateModel", {**arguments, "ModelName": name}))
            except (SageMakerError, MlparityError) as error:
                return faults.of_creation("CreateModel", error)
        return StepUpdate(
            StepStatus.SUCCEEDED,
            outputs=models.outputs(api, document),
            details={"Model": {"Arn": api.arns.of("model", name)}},
        )

    def on_job(self, context: StepContext, job: Job) -> StepUpdate:  # noqa: ARG002
        """Never: it has no job."""
        return StepUpdate(context.step.status)

    def stop(self, context: StepContext) -> None:
        """Nothing runs."""
