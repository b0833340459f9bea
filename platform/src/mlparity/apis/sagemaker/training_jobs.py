"""Training jobs: create, describe, list, stop, delete."""

from __future__ import annotations

from typing import Any

from mlparity.apis.sagemaker import experiments, mlflow_resources, tags, warm_pools
from mlparity.apis.sagemaker.context import API, Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import in_use, not_found, not_served, validation
from mlparity.apis.sagemaker.job_status import failure_reason, job_status, secondary_status, transitions
from mlparity.apis.sagemaker.listing import page_request, times, with_token
from mlparity.apis.sagemaker.operation import Operation
from mlparity.apis.sagemaker.training_contract import (
    DEFAULT_MAX_RUNTIME,
    metric_definitions,
    model_uri,
    refuse_unsupported,
    shown_output,
    training_spec,
)
from mlparity.engine.job_repository import JobFilter
from mlparity.engine.jobs import Job, NewJob, Phase
from mlparity.errors import ConflictError, NotFoundError
from mlparity.wire.json_values import jsonable

KIND = "TrainingJob"
_MAX_METRIC_DEFINITIONS = 40  # the model's limit
_SORT = {"Name": "name", "CreationTime": "created_at", "Status": "phase"}
# Members of the request that Describe gives back as they came.
_ECHOED = (
    "HyperParameters",
    "RoleArn",
    "InputDataConfig",
    "ResourceConfig",
    "VpcConfig",
    "CheckpointConfig",
    "DebugHookConfig",
    "TensorBoardOutputConfig",
    "ExperimentConfig",
    "ProfilerConfig",
    "Environment",
    "RemoteDebugConfig",
    "InfraCheckConfig",
    "MlflowConfig",
    "TuningJobArn",
    "RetryStrategy",
)


def create(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """CreateTrainingJob."""
    job = submit(api, request)
    return {"TrainingJobArn": api.arns.training_job(job.name)}


def submit(api: SageMaker, request: Request, *, run_id: str | None = None, step: str | None = None) -> Job:
    """Start the job that a validated request asks for."""
    refuse_unsupported(request)
    _require_named(api, request, run_id)
    name = request["TrainingJobName"]
    suffix = str(int(api.clock.now().timestamp() * 1000))
    spec = training_spec(request, api.arns, suffix, api.image_metrics)
    with api.transaction():
        tags.set_on_create(api, api.arns.training_job(name), request)
        try:
            job = api.jobs.submit(NewJob(API, KIND, name, jsonable(request), spec, run_id, step))
        except ConflictError as error:
            raise in_use(
                "Training job names must be unique within an AWS account and region, and a training job with this name "
                f"already exists ({api.arns.training_job(name)})"
            ) from error
        warm_pools.claim(api, request, api.arns.training_job(name))
    return job


def _require_named(api: SageMaker, request: Request, run_id: str | None) -> None:
    """Refuse what the request names and is not there. A pipeline's experiments are made by it."""
    if "MlflowConfig" in request:
        mlflow_resources.require(api, request["MlflowConfig"]["MlflowResourceArn"])
    if run_id is None:
        experiments.require_config(api, request.get("ExperimentConfig", {}))


def describe(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DescribeTrainingJob."""
    return render(api, find(api, request["TrainingJobName"]))


def find(api: SageMaker, name: str) -> Job:
    """The job, or SageMaker's error for its absence."""
    try:
        return api.jobs.repository.find(API, KIND, name)
    except NotFoundError:
        raise validation("Requested resource not found.") from None


def render(api: SageMaker, job: Job) -> Response:
    """A training job as DescribeTrainingJob shows it."""
    request = job.request
    response: Response = {name: request[name] for name in _ECHOED if request.get(name) is not None}
    algorithm = dict(request["AlgorithmSpecification"])
    definitions = metric_definitions(algorithm, api.image_metrics)
    if definitions:
        shown = definitions[:_MAX_METRIC_DEFINITIONS]
        algorithm["MetricDefinitions"] = [{"Name": item.name, "Regex": item.pattern} for item in shown]
    algorithm.setdefault("EnableSageMakerMetricsTimeSeries", False)
    response |= {
        "TrainingJobName": job.name,
        "TrainingJobArn": api.arns.training_job(job.name),
        "AlgorithmSpecification": algorithm,
        "OutputDataConfig": shown_output(request["OutputDataConfig"]),
        "ModelArtifacts": {"S3ModelArtifacts": model_uri(request)},
        "TrainingJobStatus": job_status(job),
        "SecondaryStatus": secondary_status(job),
        "StoppingCondition": request.get("StoppingCondition", {"MaxRuntimeInSeconds": DEFAULT_MAX_RUNTIME}),
        "CreationTime": job.created_at,
        "LastModifiedTime": job.modified_at,
        "SecondaryStatusTransitions": transitions(job),
        "EnableNetworkIsolation": request.get("EnableNetworkIsolation", False),
        "EnableInterContainerTrafficEncryption": request.get("EnableInterContainerTrafficEncryption", False),
        "EnableManagedSpotTraining": request.get("EnableManagedSpotTraining", False),
    }
    if reason := failure_reason(job):
        response["FailureReason"] = reason
    if pool := warm_pools.status(api, job):
        response["WarmPoolStatus"] = pool
    response |= _run_times(job)
    response |= _measured(job)
    return response


def _run_times(job: Job) -> Response:
    if job.started_at is None:
        return {}
    times_: Response = {"TrainingStartTime": job.started_at}
    if job.ended_at is not None:
        seconds = max(1, round((job.ended_at - job.started_at).total_seconds()))
        times_ |= {
            "TrainingEndTime": job.ended_at,
            "TrainingTimeInSeconds": seconds,
            "BillableTimeInSeconds": seconds,
        }
    return times_


def _measured(job: Job) -> Response:
    measured: Response = {}
    metrics = job.results.get("metrics")
    if metrics:
        measured["FinalMetricDataList"] = [
            {"MetricName": name, "Value": value, "Timestamp": job.ended_at or job.modified_at}
            for name, value in metrics.items()
        ]
    run = job.results.get("tracking")
    if run and run["run_id"]:
        measured["MlflowDetails"] = {"MlflowExperimentId": run["experiment_id"], "MlflowRunId": run["run_id"]}
    return measured


def list_(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListTrainingJobs."""
    if "TrainingPlanArnEquals" in request:
        return {"TrainingJobSummaries": []}  # no job here has a training plan
    if "WarmPoolStatusEquals" in request:
        raise not_served("WarmPoolStatusEquals")
    page = api.jobs.repository.list(
        job_filter(KIND, request), page_request(request, _SORT, default_sort="CreationTime", default_order="Descending")
    )
    return with_token({"TrainingJobSummaries": [_summary(api, job) for job in page.items]}, page)


def job_filter(kind: str, request: Request) -> JobFilter:
    """The filters that ListTrainingJobs and ListProcessingJobs share."""
    phases, stopping = _phases(request.get("StatusEquals"))
    return JobFilter(
        API,
        kind,
        name_contains=request.get("NameContains"),
        phases=phases,
        stopping=stopping,
        modified_after=request.get("LastModifiedTimeAfter"),
        modified_before=request.get("LastModifiedTimeBefore"),
        **times(request),
    )


def _phases(status: str | None) -> tuple[list[Phase] | None, bool | None]:
    active = [phase for phase in Phase if not phase.is_final]
    known: dict[str, tuple[list[Phase], bool | None]] = {
        "Completed": ([Phase.COMPLETED], None),
        "Failed": ([Phase.FAILED], None),
        "Stopped": ([Phase.STOPPED], None),
        "InProgress": (active, False),
        "Stopping": (active, True),
    }
    if status is None:
        return None, None
    return known.get(status, ([], None))


def _summary(api: SageMaker, job: Job) -> Response:
    summary: Response = {
        "TrainingJobName": job.name,
        "TrainingJobArn": api.arns.training_job(job.name),
        "CreationTime": job.created_at,
        "LastModifiedTime": job.modified_at,
        "TrainingJobStatus": job_status(job),
        "SecondaryStatus": secondary_status(job),
    }
    if job.ended_at is not None:
        summary["TrainingEndTime"] = job.ended_at
    if pool := warm_pools.status(api, job):
        summary["WarmPoolStatus"] = pool
    return summary


def update(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """UpdateTrainingJob: how long a warm pool stays."""
    for feature in ("ProfilerConfig", "ProfilerRuleConfigurations", "RemoteDebugConfig"):
        if feature in request:
            raise not_served(feature)
    job = find(api, request["TrainingJobName"])
    seconds = warm_pools.keep_alive(request)
    pool = warm_pools.status(api, job)
    if pool is None or pool["Status"] != "Available":
        raise validation("The warm pool of the training job is not in status Available, so that it cannot be updated")
    warm_pools.set_keep_alive(api, job, seconds)
    return {"TrainingJobArn": api.arns.training_job(job.name)}


def stop(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """StopTrainingJob: asks; a job that has ended is refused."""
    job = find(api, request["TrainingJobName"])
    if job.phase.is_final:
        raise validation(f"The request was rejected because the training job is in status {job_status(job)}.")
    api.jobs.stop(job.id)
    return {}


def delete(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DeleteTrainingJob: forgets a job that has ended; its artifacts stay."""
    try:
        job = api.jobs.repository.find(API, KIND, request["TrainingJobName"])
    except NotFoundError:
        raise not_found("Requested resource not found.") from None
    if not job.phase.is_final:
        raise in_use(f"Training job {job.name} is in status {job_status(job)}: stop it before you delete it")
    api.jobs.repository.delete(job.id)
    api.tags.remove(api.arns.training_job(job.name))
    return {}


def outputs(api: SageMaker, job: Job) -> dict[str, Any]:
    """What pipeline steps may refer to: the Describe response."""
    value = jsonable(render(api, job))
    assert isinstance(value, dict)  # noqa: S101 - jsonable keeps the kind
    return value


OPERATIONS = (
    Operation(
        "CreateTrainingJob",
        create,
        "up to 8 instances, as processes; File, FastFile (its files are there before the start) and Pipe input, "
        "no augmented manifests; built-in XGBoost reads pipes of CSV only; no debugger or marketplace algorithms",
    ),
    Operation("DescribeTrainingJob", describe),
    Operation("ListTrainingJobs", list_, "not by WarmPoolStatusEquals"),
    Operation("StopTrainingJob", stop),
    Operation("UpdateTrainingJob", update, "warm pools only"),
    Operation("DeleteTrainingJob", delete),
)
