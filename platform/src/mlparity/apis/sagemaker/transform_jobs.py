"""Batch transform jobs: create, describe, list, stop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mlparity.apis.sagemaker import models, roles, tags
from mlparity.apis.sagemaker.context import API, Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import in_use, not_found
from mlparity.apis.sagemaker.job_family import JobFamily
from mlparity.apis.sagemaker.job_status import failure_reason, job_status
from mlparity.apis.sagemaker.operation import Operation
from mlparity.apis.sagemaker.step_outputs import step_outputs
from mlparity.apis.sagemaker.transform_contract import refuse_unsupported, transform_spec
from mlparity.engine.jobs import FailureKind, Job, NewJob, Phase
from mlparity.errors import ConflictError, NotFoundError
from mlparity.wire.json_values import jsonable

_JOBS = JobFamily("Transform")
KIND = _JOBS.kind
_ECHOED = (
    "ModelName",
    "MaxConcurrentTransforms",
    "ModelClientConfig",
    "MaxPayloadInMB",
    "BatchStrategy",
    "Environment",
    "TransformInput",
    "TransformOutput",
    "TransformResources",
    "DataProcessing",
    "DataCaptureConfig",
    "ExperimentConfig",
)


def create(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """CreateTransformJob."""
    return {"TransformJobArn": arn(api, submit(api, request).name)}


def arn(api: SageMaker, name: str) -> str:
    """Of a transform job."""
    return _JOBS.arn(api, name)


def submit(api: SageMaker, request: Request, *, run_id: str | None = None, step: str | None = None) -> Job:
    """Start the job that a validated request asks for."""
    refuse_unsupported(request)
    name = request["TransformJobName"]
    model = models.find(api, request["ModelName"])
    containers = models.containers(model)
    for container in containers:
        api.image_metrics(container["Image"])  # raises where no runtime stands for the image
    role = model.body.get("ExecutionRoleArn", "")
    if role:
        roles.require(api, role, arn(api, name))
    suffix = str(int(api.clock.now().timestamp() * 1000))
    spec = transform_spec(request, containers, api.arns, suffix)
    spec = replace(spec, role=role)
    try:
        with api.transaction():
            job = api.jobs.submit(NewJob(API, KIND, name, jsonable(request), spec, run_id, step))
            tags.set_on_create(api, arn(api, name), request)
    except ConflictError as error:
        raise in_use(
            "Job name must be unique within an AWS account and region, and a job with this name already exists "
            f"({arn(api, name)})"
        ) from error
    return job


def describe(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DescribeTransformJob."""
    return render(api, find(api, request["TransformJobName"]))


def find(api: SageMaker, name: str) -> Job:
    """The job, or SageMaker's error for its absence."""
    try:
        return api.jobs.repository.find(API, KIND, name)
    except NotFoundError:
        raise not_found(f"Could not find requested job with name: {name}") from None


def render(api: SageMaker, job: Job) -> Response:
    """A transform job as DescribeTransformJob shows it."""
    response: Response = {name: job.request[name] for name in _ECHOED if job.request.get(name) is not None}
    source = {"CompressionType": "None", "SplitType": "None", **job.request["TransformInput"]}
    target = {"AssembleWith": "None", "KmsKeyId": "", **job.request["TransformOutput"]}
    response |= {
        "TransformJobName": job.name,
        "TransformJobArn": arn(api, job.name),
        "TransformJobStatus": job_status(job),
        "TransformInput": source,
        "TransformOutput": target,
        "CreationTime": job.created_at,
        "DataProcessing": {
            "InputFilter": "$",
            "OutputFilter": "$",
            "JoinSource": "None",
            **job.request.get("DataProcessing", {}),
        },
    }
    if job.started_at is not None:
        response["TransformStartTime"] = job.started_at
    if job.ended_at is not None:
        response["TransformEndTime"] = job.ended_at
    if reason := transform_failure(job):
        response["FailureReason"] = reason
    return response


def transform_failure(job: Job) -> str:
    """``FailureReason``; "" where the job has not failed."""
    if job.phase is Phase.FAILED and job.failure_kind is FailureKind.PROGRAM:
        return job.failure_reason or "AlgorithmError: See job logs for more information"
    return failure_reason(job)


def list_(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListTransformJobs."""
    return _JOBS.listed(api, request, lambda job: {"FailureReason": told} if (told := transform_failure(job)) else {})


def stop(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """StopTransformJob: asks; a job that has ended is refused."""
    return _JOBS.stop(api, find(api, request["TransformJobName"]))


def outputs(api: SageMaker, job: Job) -> dict[str, Any]:
    """What pipeline steps may refer to: the Describe response."""
    return step_outputs(render(api, job))


OPERATIONS = (
    Operation(
        "CreateTransformJob",
        create,
        "split by line or not at all; up to 8 instances, as processes; no data capture",
    ),
    Operation("DescribeTransformJob", describe),
    Operation("ListTransformJobs", list_),
    Operation("StopTransformJob", stop),
)
