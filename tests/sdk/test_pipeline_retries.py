"""A step whose machine is lost is tried again: the control plane is killed under the first attempt."""

from __future__ import annotations

import json
import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlparity.testing.stack import RunningStack, running_stack
from tests.sdk.cloud import sklearn_image
from tests.sdk.pipelines import until

# Notes every attempt as an object; the first one then runs for longer than anybody waits.
SCRIPT = """
import boto3, sys, time
s3, bucket = boto3.client("s3"), sys.argv[1]
number = s3.list_objects_v2(Bucket=bucket, Prefix="attempts/")["KeyCount"] + 1
s3.put_object(Bucket=bucket, Key=f"attempts/{number}", Body=b"")
if number == 1:
    time.sleep(600)
"""


@pytest.fixture
def fragile(tmp_path: Path) -> Iterator[RunningStack]:
    """A stack of its own, as it is to be killed."""
    with running_stack(tmp_path, mlflow=False) as running:
        yield running


def definition(bucket: str, role: str, policies: list[dict[str, Any]]) -> str:
    step = {
        "Name": "Flaky",
        "Type": "Processing",
        "Arguments": {
            "ProcessingResources": {
                "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10}
            },
            "AppSpecification": {
                "ImageUri": sklearn_image(),
                "ContainerEntrypoint": ["python3", "-c", "import os; exec(os.environ['SCRIPT'])"],
                "ContainerArguments": [bucket],
            },
            "Environment": {"SCRIPT": SCRIPT},
            "RoleArn": role,
        },
        "RetryPolicies": policies,
    }
    return json.dumps({"Version": "2020-12-01", "Steps": [step]})


@pytest.mark.slow
def test_a_lost_job_runs_a_second_time(fragile: RunningStack) -> None:
    sagemaker, s3, bucket = fragile.client("sagemaker"), fragile.client("s3"), fragile.config.default_bucket
    policy = {
        "ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"],
        "IntervalSeconds": 1,
        "BackoffRate": 1.0,
        "MaxAttempts": 2,
    }
    sagemaker.create_pipeline(
        PipelineName="flaky",
        PipelineDefinition=definition(bucket, fragile.config.role_arn, [policy]),
        RoleArn=fragile.config.role_arn,
        ClientRequestToken=uuid.uuid4().hex,
    )
    arn = sagemaker.start_pipeline_execution(PipelineName="flaky")["PipelineExecutionArn"]
    s3.get_waiter("object_exists").wait(Bucket=bucket, Key="attempts/1", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    plane = next(child for child in fragile.record().children if child.name == "control-plane")
    os.kill(plane.pid, signal.SIGKILL)

    until(sagemaker, arn, "Succeeded")
    (step,) = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    assert (step["StepStatus"], step["AttemptCount"]) == ("Succeeded", 2)
    assert s3.list_objects_v2(Bucket=bucket, Prefix="attempts/")["KeyCount"] == 2
    jobs = sagemaker.list_processing_jobs(SortBy="CreationTime", SortOrder="Ascending")["ProcessingJobSummaries"]
    assert [job["ProcessingJobStatus"] for job in jobs] == ["Failed", "Completed"]
    assert jobs[0]["FailureReason"].startswith("InternalServerError")
    assert step["Metadata"]["ProcessingJob"]["Arn"] == jobs[1]["ProcessingJobArn"]
