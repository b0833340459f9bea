"""Steps that are a job each: Processing, Training, and whatever else is one.

Another type of job step is a ``JobKind`` here or beside its job's operations, a line in ``steps.handlers`` and one in
``definition.step_types.SERVED``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlparity.apis.sagemaker import processing_jobs, training_jobs, transform_jobs
from mlparity.apis.sagemaker.context import SageMaker
from mlparity.apis.sagemaker.definition.step_types import SERVED
from mlparity.apis.sagemaker.job_status import failure_reason
from mlparity.apis.sagemaker.own_calls import checked_request
from mlparity.apis.sagemaker.steps import faults
from mlparity.apis.sagemaker.steps.resolution import job_name, resolver
from mlparity.engine.jobs import Job, Phase
from mlparity.engine.runs import StepContext, StepStatus, StepUpdate

_ENDS = {
    Phase.COMPLETED: StepStatus.SUCCEEDED,
    Phase.FAILED: StepStatus.FAILED,
    Phase.STOPPED: StepStatus.STOPPED,
}


@dataclass(frozen=True)
class JobKind:
    """What a job step needs to know of its job.

    ``noun``: as in ``Create{noun}`` and ``{noun}Name``. ``submit(api, request, run_id=, step=)`` starts the job that a
    checked request asks for. ``outputs(api, job)``: the Describe response, as JSON, which later steps refer to.
    """

    noun: str  # "TrainingJob"
    arn_kind: str  # "training-job"
    submit: Callable[..., Job]
    outputs: Callable[[SageMaker, Job], dict[str, Any]]
    metadata: str = ""  # its member of the step's Metadata, where that is not the noun: "TuningJob"
    takes_experiment: bool = True  # whether the request has ExperimentConfig
    failure: Callable[[Job], str] = failure_reason  # what its Describe says as FailureReason


@dataclass(frozen=True)
class JobStep:
    """A step that is a job."""

    api: Callable[[], SageMaker]
    kind: JobKind

    def start(self, context: StepContext) -> StepUpdate:
        """Create the job; after a crash, find the one created before."""
        api = self.api()
        earlier = api.jobs.repository.of_run(context.run.id, context.plan.name)
        mine = [job for job in earlier if job.id not in context.step.past_jobs]
        try:
            job = mine[-1] if mine else self._create(api, context)
        except Exception as error:  # noqa: BLE001 - the fault decides whether it is tried again
            return faults.of_creation(f"Create{self.kind.noun}", error)
        if job.phase.is_final:
            return self.on_job(context, job)
        return StepUpdate(StepStatus.EXECUTING, job_id=job.id, details=self._details(api, job))

    def on_job(self, context: StepContext, job: Job) -> StepUpdate:  # noqa: ARG002
        """The step ends as its job did; its outputs are the Describe response."""
        api = self.api()
        status = _ENDS[job.phase]
        if job.phase is Phase.STOPPED and job.stop_requested_at is None:
            status = StepStatus.FAILED  # out of time: nobody asked for it
        failed = status is StepStatus.FAILED
        return StepUpdate(
            status,
            outputs=self.kind.outputs(api, job),
            details=self._details(api, job),
            failure_reason=self._reason(job) if failed else None,
            fault=faults.of_job(job) if failed else None,
            job_id=job.id,
        )

    def stop(self, context: StepContext) -> None:
        """Stop the job."""
        if context.step.job_id is not None:
            self.api().jobs.stop(context.step.job_id)

    def cache_inputs(self, context: StepContext) -> Mapping[str, Any]:
        """The attributes that SageMaker documents for the type, resolved."""
        member = f"{self.kind.noun}Name"
        request = resolver(self.api(), context, **{member: ""}).resolve(context.plan.body["Arguments"])
        counted = SERVED[context.plan.kind].cached or tuple(request)
        return {name: request[name] for name in counted if request.get(name) is not None and name != member}

    def _create(self, api: SageMaker, context: StepContext) -> Job:
        arguments: Mapping[str, Any] = context.plan.body["Arguments"]
        member = f"{self.kind.noun}Name"
        base = arguments.get(member)
        values = resolver(api, context)
        name = job_name(api, context, str(values.resolve(base)) if base else None)
        request = {**resolver(api, context, **{member: name}).resolve(arguments), member: name}
        experiment = context.run.plan.context.get("ExperimentName")
        if self.kind.takes_experiment and experiment and "ExperimentConfig" not in request:
            trial = context.run.plan.context.get("TrialName") or context.run.id
            request["ExperimentConfig"] = {"ExperimentName": experiment, "TrialName": trial}
        tracking = context.run.plan.context.get("MlflowConfig")
        if self.kind.noun == training_jobs.KIND and tracking and "MlflowConfig" not in request:
            request["MlflowConfig"] = tracking
        checked = checked_request(api, f"Create{self.kind.noun}", request)
        return self.kind.submit(api, checked, run_id=context.run.id, step=context.plan.name)

    def _details(self, api: SageMaker, job: Job) -> dict[str, Any]:
        return {self.kind.metadata or self.kind.noun: {"Arn": api.arns.of(self.kind.arn_kind, job.name)}}

    def _reason(self, job: Job) -> str:
        if job.phase is Phase.STOPPED:
            return f"ClientError: {self.kind.noun} {job.name} exceeded its MaxRuntimeInSeconds"
        return f"{self.kind.noun} failed: {self.kind.failure(job)}"


PROCESSING = JobKind(processing_jobs.KIND, "processing-job", processing_jobs.submit, processing_jobs.outputs)
TRAINING = JobKind(training_jobs.KIND, "training-job", training_jobs.submit, training_jobs.outputs)
TRANSFORM = JobKind(
    transform_jobs.KIND,
    "transform-job",
    transform_jobs.submit,
    transform_jobs.outputs,
    failure=transform_jobs.transform_failure,
)
