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
_POLL_SECONDS = 0.005
_QUIET_SHARE = 0.8
_LIMIT_SECONDS = 300


def client(service: str, url: str, key: str = "mlparity", secret: str = "mlparity-local-only") -> Any:
    """A boto3 client for a loopback endpoint."""
    session: Any = boto3.Session(aws_access_key_id=key, aws_secret_access_key=secret, region_name="us-east-1")
    return session.client(service, endpoint_url=url)


def sagemaker_client(url: str) -> Any:
    """A boto3 client of SageMaker."""
    return client("sagemaker", url)


def ended(status: str) -> bool:
    """Whether a job's status is final."""
    return status in {"Completed", "Failed", "Stopped"}


def definition(steps: Sequence[Mapping[str, Any]], parameters: Sequence[Mapping[str, Any]] = ()) -> str:
    """A pipeline definition, as the SDK would send it."""
    return json.dumps({"Version": "2020-12-01", "Metadata": {}, "Parameters": list(parameters), "Steps": list(steps)})


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


class PipelineRunner:
    """Starts executions of one pipeline and waits for their ends, without disturbing them much.

    Asking all the time would take from the two cores what is to be measured: so it keeps still for most of the time
    that the quickest execution has taken until now, and asks every 5 ms from then on. An execution that had ended by
    the first question is not measured: it is run again, with half of that time.
    """

    def __init__(self, sagemaker: Any, name: str) -> None:
        self._sagemaker = sagemaker
        self._name = name
        self._quickest = 0.0
        self.runs = 0  # the unmeasured ones, too

    def run(self) -> float:
        """Seconds from the call to the end as the client sees it. Raises where a step did not succeed."""
        while (seconds := self._run(_QUIET_SHARE * self._quickest)) is None:
            self._quickest /= 2
        self._quickest = min(seconds, self._quickest or seconds)
        return seconds

    def _run(self, quiet: float) -> float | None:
        """None where it ended while nobody asked."""
        self.runs += 1
        begun = time.perf_counter()
        execution = self._sagemaker.start_pipeline_execution(
            PipelineName=self._name, ClientRequestToken=uuid.uuid4().hex
        )
        arn = execution["PipelineExecutionArn"]
        slept = quiet - (time.perf_counter() - begun)
        time.sleep(max(0.0, slept))
        asked = 0
        while True:
            answer = self._sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
            status, seconds = answer["PipelineExecutionStatus"], time.perf_counter() - begun
            if status == "Succeeded":
                return seconds if asked or slept <= 0 else None
            if status != "Executing" or seconds > _LIMIT_SECONDS:
                why = _reasons(self._sagemaker, arn)
                raise RuntimeError(f"the execution is {status} after {seconds:.1f} s: {why}")
            asked += 1
            time.sleep(_POLL_SECONDS)


def _reasons(sagemaker: Any, arn: str) -> str:
    steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    return "; ".join(f"{step['StepName']}: {step['FailureReason']}" for step in steps if "FailureReason" in step)
