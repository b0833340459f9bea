"""What the SageMaker benchmarks share: a client, names, and a pipeline run to its end."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import boto3

ROLE_ARN = "arn:aws:iam::123456789012:role/MlparitySageMakerRole"
SKLEARN_IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.4-2-cpu-py3"
BUCKET = "sagemaker-us-east-1-123456789012"  # the stack makes it
_POLL_SECONDS = 0.01
_LIMIT_SECONDS = 300


def client(service: str, url: str) -> Any:
    """A boto3 client for a loopback endpoint."""
    session: Any = boto3.Session(
        aws_access_key_id="mlparity", aws_secret_access_key="mlparity-local-only", region_name="us-east-1"
    )
    return session.client(service, endpoint_url=url)


def sagemaker_client(url: str) -> Any:
    """A boto3 client of SageMaker."""
    return client("sagemaker", url)


def ended(status: str) -> bool:
    """Whether a job's status is final."""
    return status in {"Completed", "Failed", "Stopped"}


def definition(steps: Sequence[Mapping[str, Any]], parameters: Sequence[Mapping[str, Any]] = ()) -> str:
    """A pipeline definition, as the SDK would send it."""
    return json.dumps(
        {"Version": "2020-12-01", "Metadata": {}, "Parameters": list(parameters), "Steps": list(steps)}
    )


def processing(
    name: str,
    arguments: Sequence[str],
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A Processing step: ``inputs`` and ``outputs`` are NAME -> S3 URI (or reference), under /opt/ml/processing."""
    return {
        "Name": name,
        "Type": "Processing",
        "Arguments": {
            "ProcessingResources": {
                "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10}
            },
            "AppSpecification": {"ImageUri": SKLEARN_IMAGE, "ContainerEntrypoint": list(arguments)},
            "RoleArn": ROLE_ARN,
            "ProcessingInputs": [
                {
                    "InputName": key,
                    "AppManaged": False,
                    "S3Input": {
                        "S3Uri": uri,
                        "LocalPath": f"/opt/ml/processing/input/{key}",
                        "S3DataType": "S3Prefix",
                        "S3InputMode": "File",
                    },
                }
                for key, uri in inputs.items()
            ],
            "ProcessingOutputConfig": {
                "Outputs": [
                    {
                        "OutputName": key,
                        "AppManaged": False,
                        "S3Output": {
                            "S3Uri": uri,
                            "LocalPath": f"/opt/ml/processing/output/{key}",
                            "S3UploadMode": "EndOfJob",
                        },
                    }
                    for key, uri in (outputs or {}).items()
                ]
            },
        },
        **more,
    }


def run_pipeline(sagemaker: Any, name: str) -> float:
    """Start an execution and wait for its end; seconds. Raises where a step did not succeed."""
    begun = time.perf_counter()
    execution = sagemaker.start_pipeline_execution(PipelineName=name, ClientRequestToken=uuid.uuid4().hex)
    arn = execution["PipelineExecutionArn"]
    while True:
        status = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"]
        seconds = time.perf_counter() - begun
        if status == "Succeeded":
            return seconds
        if status != "Executing" or seconds > _LIMIT_SECONDS:
            raise RuntimeError(f"the execution is {status} after {seconds:.1f} s: {_reasons(sagemaker, arn)}")
        time.sleep(_POLL_SECONDS)


def _reasons(sagemaker: Any, arn: str) -> str:
    steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    return "; ".join(f"{step['StepName']}: {step['FailureReason']}" for step in steps if "FailureReason" in step)
