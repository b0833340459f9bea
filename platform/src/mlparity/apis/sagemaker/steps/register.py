"""RegisterModel steps: a new version in the model registry."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlparity.apis.sagemaker import model_package_groups, model_packages
from mlparity.apis.sagemaker.context import Caller, SageMaker
from mlparity.apis.sagemaker.errors import SageMakerError
from mlparity.apis.sagemaker.own_calls import checked_request
from mlparity.apis.sagemaker.steps import faults
from mlparity.apis.sagemaker.steps.resolution import resolver
from mlparity.engine.jobs import Job
from mlparity.engine.runs import StepContext, StepStatus, StepUpdate
from mlparity.errors import MlparityError

_TOKEN_LENGTH = 36  # the model's limit of a ClientToken


@dataclass(frozen=True)
class RegisterModelStep:
    """Makes the package group where it is missing, and a version in it."""

    api: Callable[[], SageMaker]

    def start(self, context: StepContext) -> StepUpdate:
        """Register. A restart in between finds the version by the token that names this step."""
        api = self.api()
        arguments: dict[str, Any] = resolver(api, context).resolve(context.plan.body["Arguments"])
        token = hashlib.sha256(f"{context.run.id}/{context.plan.name}".encode()).hexdigest()[:_TOKEN_LENGTH]
        caller = Caller(str(context.run.plan.context.get("RoleArn", "")), context.run.id)
        try:
            request = checked_request(api, "CreateModelPackage", {**arguments, "ClientToken": token})
            group = request.get("ModelPackageGroupName")
            if group:
                model_package_groups.ensure(api, group, caller)
            arn = model_packages.create(api, request, caller)["ModelPackageArn"]
        except (SageMakerError, MlparityError) as error:
            return faults.of_creation("CreateModelPackage", error)
        return StepUpdate(
            StepStatus.SUCCEEDED,
            outputs={**arguments, "ModelPackageArn": arn},
            details={"RegisterModel": {"Arn": arn}},
        )

    def on_job(self, context: StepContext, job: Job) -> StepUpdate:  # noqa: ARG002
        """Never: it has no job."""
        return StepUpdate(context.step.status)

    def stop(self, context: StepContext) -> None:
        """Nothing runs."""
