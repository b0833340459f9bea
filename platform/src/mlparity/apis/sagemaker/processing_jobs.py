"""Processing jobs: create, describe, list, stop, delete."""

from __future__ import annotations

from typing import Any

from mlparity.apis.sagemaker import experiments, roles, tags
from mlparity.apis.sagemaker.context import API, Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import in_use, validation
from mlparity.apis.sagemaker.job_family import JobFamily
from mlparity.apis.sagemaker.job_status import exit_code, failure_reason, job_status
from mlparity.apis.sagemaker.operation import Operation
from mlparity.apis.sagemaker.processing_contract import processing_spec, refuse_unsupported
from mlparity.apis.sagemaker.step_outputs import step_outputs
from mlparity.engine.jobs import FailureKind, Job, NewJob, Phase
from mlparity.errors import ConflictError, NotFoundError
from mlparity.wire.json_values import jsonable

_JOBS = JobFamily("Processing")
KIND = _JOBS.kind
_ECHOED = (
    "ProcessingInputs",
    "ProcessingOutputConfig",
    "ProcessingResources",
    "StoppingCondition",
    "AppSpecification",
    "Environment",
    "NetworkConfig",
    "RoleArn",
    "ExperimentConfig",
    "MonitoringScheduleArn",
)


def create(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """CreateProcessingJob."""
    job = submit(api, request)
    return {"ProcessingJobArn": api.arns.processing_job(job.name)}


def submit(
    api: SageMaker,
    request: Request,
    *,
    run_id: str | None = None,
    step: str | None = None,
    record: Request | None = None,
) -> Job:
    """Start the job that a validated request asks for; ``record`` is kept with it, for who started it."""
    refuse_unsupported(request)
    if run_id is None:  # a pipeline's experiments are made by it
        experiments.require_config(api, request.get("ExperimentConfig", {}))
    name = request["ProcessingJobName"]
    roles.require(api, request["RoleArn"], api.arns.processing_job(name))
    suffix = str(int(api.clock.now().timestamp() * 1000))
    spec = processing_spec(request, api.arns, suffix)
    with api.transaction():
        tags.set_on_create(api, api.arns.processing_job(name), request)
        try:
            job = api.jobs.submit(NewJob(API, KIND, name, {**jsonable(request), **(record or {})}, spec, run_id, step))
        except ConflictError as error:
            raise in_use(
                "Job name must be unique within an AWS account and region, and a job with this name already exists "
                f"({api.arns.processing_job(name)})"
            ) from error
    return job


def describe(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DescribeProcessingJob."""
    return render(api, find(api, request["ProcessingJobName"]))


def find(api: SageMaker, name: str) -> Job:
    """The job, or SageMaker's error for its absence."""
    try:
        return api.jobs.repository.find(API, KIND, name)
    except NotFoundError:
        raise validation(f"Could not find requested job with name: {name}") from None


def render(api: SageMaker, job: Job) -> Response:
    """A processing job as DescribeProcessingJob shows it."""
    response: Response = {name: job.request[name] for name in _ECHOED if job.request.get(name) is not None}
    response |= {
        "ProcessingJobName": job.name,
        "ProcessingJobArn": api.arns.processing_job(job.name),
        "ProcessingJobStatus": job_status(job),
        "CreationTime": job.created_at,
        "LastModifiedTime": job.modified_at,
    }
    if job.started_at is not None:
        response["ProcessingStartTime"] = job.started_at
    if job.ended_at is not None:
        response["ProcessingEndTime"] = job.ended_at
    if message := job.results.get("message"):
        response["ExitMessage"] = message
    if job.phase is Phase.FAILED:
        response["FailureReason"] = reason(job)
    return response


def reason(job: Job) -> str:
    """``FailureReason`` of a processing job that failed."""
    if job.failure_kind is FailureKind.PROGRAM:
        return f"AlgorithmError: See job logs for more information, exit code: {exit_code(job)}"
    return failure_reason(job)


def list_(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListProcessingJobs."""
    return _JOBS.listed(api, request, lambda job: {"FailureReason": reason(job)} if job.phase is Phase.FAILED else {})


def stop(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """StopProcessingJob: asks; a job that has ended is refused."""
    return _JOBS.stop(api, find(api, request["ProcessingJobName"]))


def delete(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DeleteProcessingJob: forgets a job that has ended."""
    return _JOBS.delete(api, request)


def outputs(api: SageMaker, job: Job) -> dict[str, Any]:
    """What pipeline steps may refer to: the Describe response."""
    return step_outputs(render(api, job))


OPERATIONS = (
    Operation("CreateProcessingJob", create, "up to 8 instances, as processes; S3 inputs in File mode and S3 outputs"),
    Operation("DescribeProcessingJob", describe),
    Operation("ListProcessingJobs", list_),
    Operation("StopProcessingJob", stop),
    Operation("DeleteProcessingJob", delete),
)
