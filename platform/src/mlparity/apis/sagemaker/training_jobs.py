"""Training jobs: create, describe, list, stop, delete."""

from __future__ import annotations

from typing import Any

from mlparity.apis.sagemaker import experiments, mlflow_resources, roles, tags, warm_pools
from mlparity.apis.sagemaker.context import API, Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import in_use, not_served, validation
from mlparity.apis.sagemaker.job_family import JobFamily
from mlparity.apis.sagemaker.job_status import failure_reason, job_status, secondary_status, transitions
from mlparity.apis.sagemaker.operation import Operation
from mlparity.apis.sagemaker.step_outputs import step_outputs
from mlparity.apis.sagemaker.training_contract import (
    DEFAULT_MAX_RUNTIME,
    metric_definitions,
    model_uri,
    refuse_unsupported,
    shown_output,
    training_spec,
)
from mlparity.engine.jobs import Job, NewJob
from mlparity.errors import ConflictError, NotFoundError
from mlparity.wire.json_values import jsonable

_JOBS = JobFamily("Training")
KIND = _JOBS.kind
_MAX_METRIC_DEFINITIONS = 40  # the model's limit
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
    roles.require(api, request["RoleArn"], api.arns.training_job(name))
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
    return _JOBS.listed(api, request, lambda job: _pool(api, job))


def _pool(api: SageMaker, job: Job) -> Response:
    pool = warm_pools.status(api, job)
    return {"SecondaryStatus": secondary_status(job), **({"WarmPoolStatus": pool} if pool else {})}


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
    return _JOBS.stop(api, find(api, request["TrainingJobName"]))


def delete(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DeleteTrainingJob: forgets a job that has ended; its artifacts stay."""
    return _JOBS.delete(api, request)


def outputs(api: SageMaker, job: Job) -> dict[str, Any]:
    """What pipeline steps may refer to: the Describe response."""
    return step_outputs(render(api, job))


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
