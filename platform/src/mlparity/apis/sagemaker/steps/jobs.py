"""Processing and Training steps: a job each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlparity.apis.sagemaker import processing_jobs, training_jobs
from mlparity.apis.sagemaker.context import SageMaker
from mlparity.apis.sagemaker.errors import SageMakerError
from mlparity.apis.sagemaker.job_status import failure_reason
from mlparity.apis.sagemaker.steps.resolution import checked_request, job_name, resolver
from mlparity.engine.jobs import Job, Phase
from mlparity.engine.runs import StepContext, StepStatus, StepUpdate
from mlparity.errors import InvalidRequestError

_ENDS = {
    Phase.COMPLETED: StepStatus.SUCCEEDED,
    Phase.FAILED: StepStatus.FAILED,
    Phase.STOPPED: StepStatus.STOPPED,
}


@dataclass(frozen=True)
class _JobStep:
    """What both have in common, given the job's noun and its two functions."""

    api: Callable[[], SageMaker]
    kind: str  # "TrainingJob"
    submit: Callable[..., Job]
    outputs: Callable[[SageMaker, Job], dict[str, Any]]

    def start(self, context: StepContext) -> StepUpdate:
        """Create the job; after a crash, find the one created before."""
        api = self.api()
        earlier = api.jobs.repository.of_run(context.run.id, context.plan.name)
        job = earlier[-1] if earlier else self._create(api, context)
        if job.phase.is_final:
            return self.on_job(context, job)
        return StepUpdate(StepStatus.EXECUTING, job_id=job.id, details=self._details(api, job))

    def on_job(self, context: StepContext, job: Job) -> StepUpdate:  # noqa: ARG002
        """The step ends as its job did; its outputs are the Describe response."""
        api = self.api()
        status = _ENDS[job.phase]
        if job.phase is Phase.STOPPED and job.stop_requested_at is None:
            status = StepStatus.FAILED  # out of time: nobody asked for it
        reason = self._reason(job) if status is StepStatus.FAILED else None
        return StepUpdate(
            status,
            outputs=self.outputs(api, job),
            details=self._details(api, job),
            failure_reason=reason,
            job_id=job.id,
        )

    def stop(self, context: StepContext) -> None:
        """Stop the job."""
        if context.step.job_id is not None:
            self.api().jobs.stop(context.step.job_id)

    def _create(self, api: SageMaker, context: StepContext) -> Job:
        arguments: Mapping[str, Any] = context.plan.body["Arguments"]
        member = f"{self.kind}Name"
        base = arguments.get(member)
        values = resolver(api, context)
        name = job_name(api, context, str(values.resolve(base)) if base else None)
        request = {**resolver(api, context, **{member: name}).resolve(arguments), member: name}
        experiment = context.run.plan.context.get("ExperimentName")
        if experiment and "ExperimentConfig" not in request:
            request["ExperimentConfig"] = {"ExperimentName": experiment, "TrialName": context.run.id}
        try:
            checked = checked_request(api, f"Create{self.kind}", request)
            return self.submit(api, checked, run_id=context.run.id, step=context.plan.name)
        except SageMakerError as error:
            raise InvalidRequestError(f"ClientError: Failed to invoke Create{self.kind}", error.message) from error

    def _details(self, api: SageMaker, job: Job) -> dict[str, Any]:
        kind = "training-job" if self.kind == "TrainingJob" else "processing-job"
        return {self.kind: {"Arn": api.arns.of(kind, job.name)}}

    def _reason(self, job: Job) -> str:
        if job.phase is Phase.STOPPED:
            return f"ClientError: {self.kind} {job.name} exceeded its MaxRuntimeInSeconds"
        return f"{self.kind} failed: {failure_reason(job)}"


def ProcessingStep(api: Callable[[], SageMaker]) -> _JobStep:  # noqa: N802 - reads as the step's name
    """A Processing step."""
    return _JobStep(api, processing_jobs.KIND, processing_jobs.submit, processing_jobs.outputs)


def TrainingStep(api: Callable[[], SageMaker]) -> _JobStep:  # noqa: N802 - reads as the step's name
    """A Training step."""
    return _JobStep(api, training_jobs.KIND, training_jobs.submit, training_jobs.outputs)
