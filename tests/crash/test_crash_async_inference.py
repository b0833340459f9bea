"""The control plane is killed while asynchronous requests wait and run: afterwards every one has its answer."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlparity.testing import faults
from mlparity.testing.stack import RunningStack, running_stack
from tests.crash.invariants import processes_of

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
REQUESTS = 8
INFERENCE = """
import time

def model_fn(model_dir):
    return None

def input_fn(body, content_type):
    return body

def predict_fn(text, model):
    time.sleep(0.4)
    return text

def output_fn(text, accept):
    return "answer to " + (text if isinstance(text, str) else text.decode()), "text/plain"
"""


def until(holds: Callable[[], Any], seconds: float = 120.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return value


def archive() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(INFERENCE)
        tar.addfile(member, io.BytesIO(INFERENCE.encode()))
    return packed.getvalue()


def host(stack: RunningStack) -> None:
    """An asynchronous endpoint that takes one request at a time."""
    sagemaker, bucket = stack.client("sagemaker"), stack.config.default_bucket
    stack.client("s3").put_object(Bucket=bucket, Key="model.tar.gz", Body=archive())
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{bucket}/model.tar.gz",
                 "Environment": {"SAGEMAKER_PROGRAM": "inference.py"}}  # fmt: skip
    sagemaker.create_model(ModelName="slow", PrimaryContainer=container, ExecutionRoleArn=stack.config.role_arn)
    sagemaker.create_endpoint_config(
        EndpointConfigName="slow",
        ProductionVariants=[
            {"VariantName": "A", "ModelName": "slow", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        ],
        AsyncInferenceConfig={
            "OutputConfig": {"S3OutputPath": f"s3://{bucket}/out", "S3FailurePath": f"s3://{bucket}/failed"},
            "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 1},
        },
    )
    sagemaker.create_endpoint(EndpointName="slow", EndpointConfigName="slow")
    until(lambda: status(stack) == "InService")


def status(stack: RunningStack) -> str:
    return str(stack.client("sagemaker").describe_endpoint(EndpointName="slow")["EndpointStatus"])


def stored(stack: RunningStack, prefix: str) -> dict[str, str]:
    s3, bucket = stack.client("s3"), stack.config.default_bucket
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ())]
    return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in keys}


@pytest.mark.slow
def test_every_request_is_answered_after_a_kill(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_stack(data, mlflow=False) as stack:
        host(stack)
        s3, bucket = stack.client("s3"), stack.config.default_bucket
        expected = {}
        for number in range(REQUESTS):
            s3.put_object(Bucket=bucket, Key=f"in/{number}", Body=f"row {number}".encode())
            asked = stack.client("sagemaker-runtime").invoke_endpoint_async(
                EndpointName="slow", InputLocation=f"s3://{bucket}/in/{number}", ContentType="text/plain"
            )
            expected[asked["OutputLocation"].removeprefix(f"s3://{bucket}/")] = f"answer to row {number}"
        until(lambda: stored(stack, "out/"))
        assert faults.kill(stack, faults.Part.CONTROL_PLANE) is not None
        faults.bring_up(stack)
        until(lambda: len(stored(stack, "out/")) == REQUESTS)
        assert stored(stack, "out/") == expected
        assert stored(stack, "failed/") == {}
        until(lambda: status(stack) == "InService")
        stack.client("sagemaker").delete_endpoint(EndpointName="slow")
    assert processes_of(data) == {}
