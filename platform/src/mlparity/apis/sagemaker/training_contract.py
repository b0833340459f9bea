"""SageMaker's training container contract: a CreateTrainingJob request as a job.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlparity.apis.sagemaker.arns import Arns
from mlparity.apis.sagemaker.context import Request
from mlparity.apis.sagemaker.errors import not_served, validation
from mlparity.engine.jobs import (
    Instance,
    JobInput,
    JobOutput,
    JobSpec,
    LogStream,
    MetricDefinition,
    Retries,
    TrackingRequest,
)
from mlparity.engine.script_mode.environment import decoded

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
DEFAULT_MAX_RUNTIME = 86400
_INPUT = "/opt/ml/input"
_CODE = "/opt/ml/code"
MAX_INSTANCES = 8  # processes of one machine

ImageMetrics = Callable[[str], Mapping[str, str]]


def refuse_unsupported(request: Request) -> None:
    """Refuse by name what would change the job's meaning if it were dropped."""
    algorithm = request.get("AlgorithmSpecification", {})
    resources = request.get("ResourceConfig", {})
    refused = {
        "AlgorithmSpecification.AlgorithmName": "AlgorithmName" in algorithm,
        "ResourceConfig.InstancePreferences": "InstancePreferences" in resources,
        "ResourceConfig.InstanceGroups": bool(resources.get("InstanceGroups")),
        "ServerlessJobConfig": "ServerlessJobConfig" in request,
        "ModelPackageConfig": "ModelPackageConfig" in request,
        "DebugRuleConfigurations": bool(request.get("DebugRuleConfigurations")),
        "ProfilerRuleConfigurations": bool(request.get("ProfilerRuleConfigurations")),
    }
    for feature, present in refused.items():
        if present:
            raise not_served(feature)
    if "TrainingImage" not in algorithm:
        raise validation("AlgorithmSpecification must have TrainingImage or AlgorithmName")
    if resources.get("InstanceCount", 1) > MAX_INSTANCES:
        raise not_served(f"ResourceConfig.InstanceCount above {MAX_INSTANCES}")
    for channel in request.get("InputDataConfig", ()):
        _refuse_channel(channel, _input_mode(request, channel))
    _check_spot(request)


def _check_spot(request: Request) -> None:
    """The vendor's rules for managed spot training."""
    stopping = request.get("StoppingCondition", {})
    wait, run = stopping.get("MaxWaitTimeInSeconds"), stopping.get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME)
    if not request.get("EnableManagedSpotTraining"):
        if wait is not None:
            raise validation("MaxWaitTimeInSeconds can only be specified when EnableManagedSpotTraining is true")
        return
    if wait is None:
        raise validation("MaxWaitTimeInSeconds must be specified when EnableManagedSpotTraining is true")
    if wait < run:
        raise validation("MaxWaitTimeInSeconds must be greater than or equal to MaxRuntimeInSeconds")


def _input_mode(request: Request, channel: Mapping[str, Any]) -> str:
    """File, FastFile or Pipe: the channel's own, else the job's."""
    return str(channel.get("InputMode") or request["AlgorithmSpecification"].get("TrainingInputMode", "File"))


def _refuse_channel(channel: Mapping[str, Any], mode: str) -> None:
    source = channel.get("DataSource", {})
    name = channel["ChannelName"]
    if "S3DataSource" not in source:
        raise not_served(f"channel {name}: a DataSource other than S3DataSource")
    if mode != "Pipe" and channel.get("RecordWrapperType", "None") != "None":
        raise not_served(f"channel {name}: RecordWrapperType RecordIO in {mode} mode")
    if mode != "Pipe" and channel.get("ShuffleConfig"):
        raise not_served(f"channel {name}: ShuffleConfig in {mode} mode")
    if source["S3DataSource"]["S3DataType"] not in {"S3Prefix", "ManifestFile"}:
        raise not_served(f"channel {name}: S3DataType {source['S3DataSource']['S3DataType']}")


def training_spec(request: Request, arns: Arns, stream_suffix: str, image_metrics: ImageMetrics) -> JobSpec:
    """The job that a (validated) request asks for."""
    name = request["TrainingJobName"]
    algorithm = request["AlgorithmSpecification"]
    entry = algorithm.get("ContainerEntrypoint")
    inputs = [_channel_input(channel, _input_mode(request, channel)) for channel in request.get("InputDataConfig", ())]
    code = [] if entry else _submitted_code(request)
    inputs += code
    checkpoint = request.get("CheckpointConfig")
    if checkpoint:
        inputs.append(JobInput("checkpoints", checkpoint["S3Uri"], _checkpoint_path(checkpoint), required=False))
    return JobSpec(
        image=algorithm["TrainingImage"],
        command=[*entry, *algorithm.get("ContainerArguments", ())] if entry else [],
        arguments=["train"],
        environment=_environment(request, arns),
        role=request["RoleArn"],
        instances=instances(request, f"{name}/{{host}}-{stream_suffix}"),
        roots=["/opt/ml"],
        files=_config_files(request),
        folders=[f"{_INPUT}/config", f"{_INPUT}/data", "/opt/ml/model", _CODE, "/opt/ml/output/data"],
        inputs=inputs,
        outputs=_outputs(request),
        working_directory=_CODE,
        max_runtime_seconds=request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME),
        failure_file="/opt/ml/output/failure",
        requirements_file=f"{_CODE}/requirements.txt" if code else "",
        metrics=metric_definitions(algorithm, image_metrics),
        tracking=_tracking(request, arns),
        retries=Retries(
            attempts=request.get("RetryStrategy", {}).get("MaximumRetryAttempts", 0),
            interruptible=request.get("EnableManagedSpotTraining", False),
            max_wait_seconds=request.get("StoppingCondition", {}).get("MaxWaitTimeInSeconds", 0),
        ),
    )


def instances(request: Request, stream: str) -> list[Instance]:
    """The job's machines; ``stream`` is their log stream with a place for ``{host}``."""
    names = [f"algo-{number}" for number in range(1, request.get("ResourceConfig", {}).get("InstanceCount", 1) + 1)]
    return [
        Instance(
            name,
            LogStream(LOG_GROUP, stream.format(host=name)),
            environment={"CURRENT_HOST": name},
            files={f"{_INPUT}/config/resourceconfig.json": json.dumps(_resource_config(request, name, names))},
        )
        for name in names
    ]


def _resource_config(request: Request, host: str, hosts: Sequence[str]) -> dict[str, Any]:
    instance_type = request.get("ResourceConfig", {}).get("InstanceType", "ml.m5.large")
    group = {"instance_group_name": "homogeneousCluster", "instance_type": instance_type, "hosts": list(hosts)}
    return {
        "current_host": host,
        "current_instance_type": instance_type,
        "current_group_name": "homogeneousCluster",
        "hosts": list(hosts),
        "instance_groups": [group],
        "network_interface_name": "lo",
    }


def _checkpoint_path(checkpoint: Mapping[str, Any]) -> str:
    path: str = checkpoint.get("LocalPath", "/opt/ml/checkpoints")
    if not path.startswith("/opt/ml/"):
        raise not_served(f"CheckpointConfig.LocalPath {path}: only a path under /opt/ml")
    return path


def metric_definitions(algorithm: Mapping[str, Any], image_metrics: ImageMetrics) -> list[MetricDefinition]:
    """The request's own definitions; those of a built-in algorithm's image where it gives none."""
    given = algorithm.get("MetricDefinitions")
    if given:
        return [MetricDefinition(item["Name"], item["Regex"]) for item in given]
    if algorithm.get("ContainerEntrypoint"):
        return []
    return [MetricDefinition(name, pattern) for name, pattern in image_metrics(algorithm["TrainingImage"]).items()]


def model_uri(request: Request) -> str:
    """Where the model goes: ``S3OutputPath/JOB/output/model.tar.gz``."""
    prefix = f"{request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{request['TrainingJobName']}/output"
    packed = request["OutputDataConfig"].get("CompressionType", "GZIP") == "GZIP"
    return f"{prefix}/model.tar.gz" if packed else f"{prefix}/model/"


def shown_output(config: Mapping[str, Any]) -> dict[str, Any]:
    """``OutputDataConfig`` as Describe shows it: the SDK reads the key's name though there is none."""
    return {"KmsKeyId": "", **config}


def _channel_input(channel: Mapping[str, Any], mode: str) -> JobInput:
    """FastFile's files are there before the start, as File's are: what a program sees is the same."""
    source = channel["DataSource"]["S3DataSource"]
    return JobInput(
        name=channel["ChannelName"],
        uri=source["S3Uri"],
        path=f"{_INPUT}/data/{channel['ChannelName']}",
        kind="manifest" if source["S3DataType"] == "ManifestFile" else "prefix",
        sharded=source.get("S3DataDistributionType") == "ShardedByS3Key",
        unpack=channel.get("CompressionType") == "Gzip",
        stream=mode == "Pipe",
        record_io=channel.get("RecordWrapperType") == "RecordIO",
        shuffle_seed=channel.get("ShuffleConfig", {}).get("Seed"),
    )


def _submitted_code(request: Request) -> list[JobInput]:
    """Script mode: the archive of the user's code, where the images' own program looks for it unpacked."""
    given = request.get("HyperParameters", {})
    submitted = decoded(given.get("sagemaker_submit_directory"))
    if "sagemaker_program" not in given or not isinstance(submitted, str) or not submitted.startswith("s3://"):
        return []
    return [JobInput("sagemaker_submit_directory", submitted, _CODE, "archive")]


def _outputs(request: Request) -> list[JobOutput]:
    packed = request["OutputDataConfig"].get("CompressionType", "GZIP") == "GZIP"
    folder = f"{request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{request['TrainingJobName']}/output"
    data = f"{folder}/output.tar.gz" if packed else f"{folder}/data/"
    outputs = [
        JobOutput("model", "/opt/ml/model", model_uri(request), archive=packed),
        JobOutput("data", "/opt/ml/output/data", data, archive=packed, on_failure=True),
    ]
    checkpoint = request.get("CheckpointConfig")
    if checkpoint:
        path = _checkpoint_path(checkpoint)
        outputs.append(JobOutput("checkpoints", path, checkpoint["S3Uri"], on_failure=True, continuous=True))
    return outputs


def _environment(request: Request, arns: Arns) -> dict[str, str]:
    name = request["TrainingJobName"]
    return {
        "TRAINING_JOB_NAME": name,
        "TRAINING_JOB_ARN": arns.training_job(name),
        "AWS_REGION": arns.region,
        **request.get("Environment", {}),
    }


def _config_files(request: Request) -> dict[str, str]:
    channels = {
        channel["ChannelName"]: {
            "ContentType": channel.get("ContentType"),
            # the vendor writes FastFile as File
            "TrainingInputMode": "Pipe" if _input_mode(request, channel) == "Pipe" else "File",
            "S3DistributionType": channel["DataSource"]["S3DataSource"].get(
                "S3DataDistributionType", "FullyReplicated"
            ),
            "RecordWrapperType": channel.get("RecordWrapperType", "None"),
        }
        for channel in request.get("InputDataConfig", ())
    }
    config = f"{_INPUT}/config"
    return {
        f"{config}/hyperparameters.json": json.dumps(request.get("HyperParameters", {})),
        f"{config}/inputdataconfig.json": json.dumps(channels),
        f"{config}/checkpointconfig.json": json.dumps(request.get("CheckpointConfig", {})),
    }


def _tracking(request: Request, arns: Arns) -> TrackingRequest:
    wanted = request.get("MlflowConfig") or {}
    experiment = wanted.get("MlflowExperimentName") or request.get("ExperimentConfig", {}).get("ExperimentName")
    name = request["TrainingJobName"]
    return TrackingRequest(
        experiment=experiment or "sagemaker-training-jobs",
        run_name=wanted.get("MlflowRunName") or name,
        tags={"sagemaker.training_job_name": name, "sagemaker.training_job_arn": arns.training_job(name)},
    )
