"""SageMaker's processing container contract: a CreateProcessingJob request as a job.

https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlparity.apis.sagemaker.arns import Arns
from mlparity.apis.sagemaker.context import Request
from mlparity.apis.sagemaker.errors import not_served, validation
from mlparity.engine.jobs import Instance, JobInput, JobOutput, JobSpec, LogStream

LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
DEFAULT_MAX_RUNTIME = 86400
_ROOT = "/opt/ml"
MAX_INSTANCES = 8  # processes of one machine


def refuse_unsupported(request: Request) -> None:
    """Refuse by name what would change the job's meaning if it were dropped."""
    cluster = request["ProcessingResources"]["ClusterConfig"]
    if "InstancePreferences" in cluster:
        raise not_served("ProcessingResources.ClusterConfig.InstancePreferences")
    if "InstanceType" not in cluster:
        raise validation("ProcessingResources.ClusterConfig must have an InstanceType")
    if cluster.get("InstanceCount", 1) > MAX_INSTANCES:
        raise not_served(f"ProcessingResources.ClusterConfig.InstanceCount above {MAX_INSTANCES}")
    for item in request.get("ProcessingInputs", ()):
        name = item["InputName"]
        source = item.get("S3Input")
        if source is None:
            raise not_served(f"input {name}: DatasetDefinition")
        if source.get("S3InputMode", "File") != "File":
            raise not_served(f"input {name}: S3InputMode {source['S3InputMode']}")
        _require_path(f"input {name}", source)
    for item in request.get("ProcessingOutputConfig", {}).get("Outputs", ()):
        name = item["OutputName"]
        target = item.get("S3Output")
        if target is None:
            raise not_served(f"output {name}: FeatureStoreOutput")
        _require_path(f"output {name}", target)


def _require_path(what: str, location: Mapping[str, Any]) -> None:
    path = location.get("LocalPath", "")
    if not path.startswith("/opt/ml/processing/"):
        raise validation(f"{what}: LocalPath {path!r} must lie under /opt/ml/processing/")


def processing_spec(request: Request, arns: Arns, stream_suffix: str) -> JobSpec:
    """The job that a (validated) request asks for."""
    name = request["ProcessingJobName"]
    app = request["AppSpecification"]
    entry = list(app.get("ContainerEntrypoint", ()))
    arguments = list(app.get("ContainerArguments", ()))
    return JobSpec(
        image=app["ImageUri"],
        command=[*entry, *arguments] if entry else [],
        arguments=arguments,
        environment={
            "PROCESSING_JOB_NAME": name,
            "PROCESSING_JOB_ARN": arns.processing_job(name),
            "AWS_REGION": arns.region,
            **request.get("Environment", {}),
        },
        role=request["RoleArn"],
        instances=_instances(request, f"{name}/{{host}}-{stream_suffix}"),
        roots=[_ROOT],
        files=_config_files(request, arns),
        folders=["/opt/ml/processing", "/opt/ml/output"],
        inputs=[_input(item) for item in request.get("ProcessingInputs", ())],
        outputs=[_output(item) for item in request.get("ProcessingOutputConfig", {}).get("Outputs", ())],
        working_directory="/opt/ml/processing",
        max_runtime_seconds=request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME),
        message_file="/opt/ml/output/message",
    )


def _input(item: Mapping[str, Any]) -> JobInput:
    source = item["S3Input"]
    kind = "manifest" if source.get("S3DataType") == "ManifestFile" else "prefix"
    return JobInput(
        item["InputName"],
        source["S3Uri"],
        source["LocalPath"],
        kind,
        sharded=source.get("S3DataDistributionType") == "ShardedByS3Key",
        unpack=source.get("S3CompressionType") == "Gzip",
    )


def _output(item: Mapping[str, Any]) -> JobOutput:
    target = item["S3Output"]
    continuous = target.get("S3UploadMode") == "Continuous"
    return JobOutput(item["OutputName"], target["LocalPath"], target["S3Uri"], continuous=continuous)


def _config_files(request: Request, arns: Arns) -> dict[str, str]:
    document = {
        **{key: value for key, value in request.items() if key != "Tags"},
        "ProcessingJobArn": arns.processing_job(request["ProcessingJobName"]),
    }
    return {"/opt/ml/config/processingjobconfig.json": json.dumps(document)}


def _instances(request: Request, stream: str) -> list[Instance]:
    cluster = request["ProcessingResources"]["ClusterConfig"]
    names = [f"algo-{number}" for number in range(1, cluster.get("InstanceCount", 1) + 1)]
    return [
        Instance(
            name,
            LogStream(LOG_GROUP, stream.format(host=name)),
            files={
                "/opt/ml/config/resourceconfig.json": json.dumps(
                    {"current_host": name, "current_instance_type": cluster["InstanceType"], "hosts": names}
                )
            },
        )
        for name in names
    ]
