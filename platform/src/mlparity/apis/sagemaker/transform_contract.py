"""SageMaker's batch transform as a job: a CreateTransformJob request and its model, as a plan for our program.

https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlparity.apis.sagemaker import hosted_containers, transform_capture
from mlparity.apis.sagemaker.arns import Arns
from mlparity.apis.sagemaker.context import Request
from mlparity.apis.sagemaker.errors import not_served, validation
from mlparity.engine.jobs import Instance, JobInput, JobOutput, JobSpec, LogStream
from mlparity.engine.workspace import parse_uri
from mlparity.serving import exchange
from mlparity.serving.exchange import media_type
from mlparity.serving.transform.association import compile_path
from mlparity.serving.transform.plan import ContainerPlan, Settings, TransformPlan

LOG_GROUP = "/aws/sagemaker/TransformJobs"
MAX_INSTANCES = 8  # processes of one machine
_ROOT = "/opt/ml"
_OURS = "/opt/ml/transform"  # what belongs to the transform program, not to the containers
_MAX_PAYLOAD_MB = 100
_MAX_RUNTIME = 28 * 86400  # SageMaker gives transform jobs no stopping condition; this is its quota for jobs
_TIMEOUT_SECONDS, _RETRIES = 600, 3  # ModelClientConfig's defaults
_ASSOCIABLE = (exchange.CSV, exchange.JSON, exchange.JSON_LINES)


def refuse_unsupported(request: Request) -> None:
    """Refuse what SageMaker refuses, and by name what would change the job's meaning if it were dropped."""
    source = request["TransformInput"]
    split = source.get("SplitType", "None")
    data_type = source["DataSource"]["S3DataSource"]["S3DataType"]
    refused = {
        f"TransformInput.SplitType {split}": split not in {"None", "Line"},
        f"TransformInput.DataSource.S3DataSource.S3DataType {data_type}": data_type not in {"S3Prefix", "ManifestFile"},
        f"TransformResources.InstanceCount above {MAX_INSTANCES}": request["TransformResources"]["InstanceCount"]
        > MAX_INSTANCES,
    }
    for feature, present in refused.items():
        if present:
            raise not_served(feature)
    transform_capture.refuse_unsupported(request)
    payload, parallel = request.get("MaxPayloadInMB"), request.get("MaxConcurrentTransforms", 0)
    if payload is not None and payload * max(1, parallel) > _MAX_PAYLOAD_MB:
        raise validation(f"MaxConcurrentTransforms * MaxPayloadInMB cannot exceed {_MAX_PAYLOAD_MB} MB")
    _check_association(request)


def _check_association(request: Request) -> None:
    wanted = request.get("DataProcessing", {})
    paths = [wanted.get("InputFilter", "$"), wanted.get("OutputFilter", "$")]
    for path in paths:
        try:
            compile_path(path)
        except ValueError as error:
            raise validation(f"DataProcessing: {error}") from error
    if paths == ["$", "$"] and wanted.get("JoinSource", "None") == "None":
        return
    content_type = request["TransformInput"].get("ContentType", "")
    accept = request["TransformOutput"].get("Accept", content_type)
    for member, value in (("ContentType", content_type), ("Accept", accept)):
        if media_type(value) not in _ASSOCIABLE:
            raise validation(f"DataProcessing needs {member} to be one of {', '.join(_ASSOCIABLE)}, not {value!r}")


def transform_spec(
    request: Request, containers: Sequence[Mapping[str, Any]], arns: Arns, stream_suffix: str
) -> JobSpec:
    """The job that a (validated) request asks for, with its model's resolved containers."""
    name = request["TransformJobName"]
    resources = request["TransformResources"]
    source = request["TransformInput"]["DataSource"]["S3DataSource"]
    count = resources["InstanceCount"]
    instances = [
        Instance(f"algo-{number}", LogStream(LOG_GROUP, f"{name}/i-{number:017x}-{stream_suffix}"))
        for number in range(1, count + 1)
    ]
    data = JobInput(
        "data",
        source["S3Uri"],
        f"{_OURS}/input",
        kind="manifest" if source["S3DataType"] == "ManifestFile" else "prefix",
        sharded=count > 1,
    )
    plan = TransformPlan(
        containers=[_container_plan(request, number, item) for number, item in enumerate(containers)],
        settings=_settings(request),
        input=data.path,
        output=f"{_OURS}/output",
        failure=f"{_OURS}/failure",
        source=_log_name(source),
    )
    return JobSpec(
        image=containers[0]["Image"],
        command=["python3", "-m", "mlparity.serving.transform.driver", f"{_OURS}/plan.json"],
        environment={"AWS_REGION": arns.region, "TRANSFORM_JOB_NAME": name},
        instances=instances,
        roots=[_ROOT],
        files={f"{_OURS}/plan.json": plan.to_json()},
        folders=["/opt/ml/model", data.path],
        inputs=[data, *(item for number, one in enumerate(containers) for item in _artifacts(number, one))],
        outputs=[JobOutput("data", plan.output, request["TransformOutput"]["S3OutputPath"], on_failure=True)],
        working_directory=_ROOT,
        max_runtime_seconds=_MAX_RUNTIME,
        stop_grace_seconds=5,
        failure_file=plan.failure,
    )


def _log_name(source: Mapping[str, Any]) -> str:
    bucket, key = parse_uri(source["S3Uri"])
    return f"{bucket}/{key.rpartition('/')[0]}/" if "/" in key else f"{bucket}/"


def _model_folder(number: int) -> str:
    """The first container's is where the contract has it; one sandbox has one /opt/ml/model."""
    return "/opt/ml/model" if number == 0 else f"{_OURS}/{number}/model"


def _artifacts(number: int, container: Mapping[str, Any]) -> list[JobInput]:
    uri, packed = hosted_containers.artifact(container)
    inputs = []
    if uri:
        path = f"{_OURS}/{number}/archive" if packed else _model_folder(number)
        inputs.append(JobInput(f"model-{number}", uri, path))
    code = container["Environment"].get("SAGEMAKER_SUBMIT_DIRECTORY", "")
    if code.startswith("s3://"):
        inputs.append(JobInput(f"code-{number}", code, f"{_OURS}/{number}/code"))
    return inputs


def _container_plan(request: Request, number: int, container: Mapping[str, Any]) -> ContainerPlan:
    environment = {**container["Environment"], **request.get("Environment", {})}
    uri, packed = hosted_containers.artifact(container)
    code = environment.get("SAGEMAKER_SUBMIT_DIRECTORY", "")
    if code.startswith("/opt/ml/model"):
        environment["SAGEMAKER_SUBMIT_DIRECTORY"] = code.replace("/opt/ml/model", _model_folder(number), 1)
    return ContainerPlan(
        model=_model_folder(number),
        archive=f"{_OURS}/{number}/archive" if uri and packed else "",
        code=f"{_OURS}/{number}/code" if code.startswith("s3://") else "",
        environment=environment,
    )


def _settings(request: Request) -> Settings:
    source, target = request["TransformInput"], request["TransformOutput"]
    client = request.get("ModelClientConfig", {})
    association = request.get("DataProcessing", {})
    strategy = request.get("BatchStrategy")
    return Settings(
        content_type=source.get("ContentType", ""),
        accept=target.get("Accept", ""),
        split_lines=source.get("SplitType") == "Line",
        gzip=source.get("CompressionType") == "Gzip",
        assemble_lines=target.get("AssembleWith") == "Line",
        multi_record=None if strategy is None else strategy == "MultiRecord",
        max_payload_mb=request.get("MaxPayloadInMB"),
        max_concurrent=request.get("MaxConcurrentTransforms"),
        timeout_seconds=client.get("InvocationsTimeoutInSeconds", _TIMEOUT_SECONDS),
        max_retries=client.get("InvocationsMaxRetries", _RETRIES),
        input_filter=association.get("InputFilter", "$"),
        output_filter=association.get("OutputFilter", "$"),
        join_input=association.get("JoinSource") == "Input",
    )
