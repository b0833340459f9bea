"""Tuning steps: a hyperparameter tuning job. It is not a job of the engine, so its end is reported to the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlparity.apis.sagemaker import tuning_jobs
from mlparity.apis.sagemaker.context import API, SageMaker
from mlparity.apis.sagemaker.definition.step_types import SERVED
from mlparity.apis.sagemaker.errors import SageMakerError
from mlparity.apis.sagemaker.own_calls import checked_request
from mlparity.apis.sagemaker.steps import faults
from mlparity.apis.sagemaker.steps.naming import step_name
from mlparity.apis.sagemaker.steps.resolution import resolver
from mlparity.engine.jobs import Job
from mlparity.engine.runs import StepContext, StepStatus, StepUpdate
from mlparity.engine.tuning.tunings import Tuning, TuningStatus
from mlparity.errors import MlparityError, NotFoundError

_NAME = 32  # the model's limit of a tuning job's name
_ENDS = {
    TuningStatus.COMPLETED: StepStatus.SUCCEEDED,
    TuningStatus.FAILED: StepStatus.FAILED,
    TuningStatus.STOPPED: StepStatus.STOPPED,
}


@dataclass(frozen=True)
class TuningStep:
    """Starts the tuning job; ``on_tuning`` hears of its end."""

    api: Callable[[], SageMaker]

    def start(self, context: StepContext) -> StepUpdate:
        """Create it. A restart in between finds the tuning job by the name that follows from this step."""
        api = self.api()
        name = step_name(context, "", _NAME)
        try:
            tuning = api.tunings.repository.find(API, tuning_jobs.KIND, name)
        except NotFoundError:
            try:
                tuning = self._create(api, context, name)
            except (SageMakerError, MlparityError) as error:
                return faults.of_creation("CreateHyperParameterTuningJob", error)
        if tuning.status.is_final:
            return ended(api, tuning)
        return StepUpdate(StepStatus.EXECUTING, details=_shown(api, name))

    def on_job(self, context: StepContext, job: Job) -> StepUpdate:  # noqa: ARG002
        """Never: it has no job."""
        return StepUpdate(context.step.status)

    def stop(self, context: StepContext) -> None:
        """Stop the tuning job; the step ends when it has ended."""
        api = self.api()
        api.tunings.stop(tuning_jobs.find(api, step_name(context, "", _NAME)).id)

    def cache_inputs(self, context: StepContext) -> Mapping[str, Any]:
        """The attributes that SageMaker documents for the type, resolved."""
        request = resolver(self.api(), context).resolve(context.plan.body["Arguments"])
        counted = {name: request[name] for name in SERVED[context.plan.kind].cached or () if request.get(name)}
        definition = counted.get("TrainingJobDefinition")
        if definition:
            counted["TrainingJobDefinition"] = {
                name: definition[name] for name in _COUNTED_OF_DEFINITION if definition.get(name)
            }
        return counted

    @staticmethod
    def _create(api: SageMaker, context: StepContext, name: str) -> Tuning:
        arguments: dict[str, Any] = resolver(api, context).resolve(context.plan.body["Arguments"])
        request = {**arguments, "HyperParameterTuningJobName": name}
        checked = checked_request(api, "CreateHyperParameterTuningJob", request)
        return tuning_jobs.submit(api, checked, run_id=context.run.id, step=context.plan.name)


_COUNTED_OF_DEFINITION = (
    "AlgorithmSpecification",
    "HyperParameterRanges",
    "InputDataConfig",
    "StaticHyperParameters",
    "TuningObjective",
)


def ended(api: SageMaker, tuning: Tuning) -> StepUpdate:
    """The step of a tuning that has ended."""
    status = _ENDS[tuning.status]
    reason = f"HyperParameterTuningJob failed: {tuning.failure_reason}" if status is StepStatus.FAILED else None
    return StepUpdate(
        status, outputs=tuning_jobs.outputs(api, tuning), details=_shown(api, tuning.name), failure_reason=reason
    )


def on_tuning(api: SageMaker, tuning: Tuning) -> None:
    """Report the end of a step's tuning to its run; a TuningService listener."""
    if tuning.status.is_final and tuning.run_id is not None and tuning.step is not None:
        api.runs.report(tuning.run_id, tuning.step, ended(api, tuning))


def _shown(api: SageMaker, name: str) -> dict[str, Any]:
    return {"TuningJob": {"Arn": tuning_jobs.arn(api, name)}}
