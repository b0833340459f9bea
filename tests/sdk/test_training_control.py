"""Training jobs as boto3 sees them: waiters, failures, stopping, time limits, names in use."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import WaiterError

from tests.sdk.cloud import OFTEN, TRAINING_LOGS, Cloud, unique
from tests.sdk.refusals import refusal

FAILS = """
import pathlib, sys
pathlib.Path("/opt/ml/output/failure").write_text("the data has no label column")
pathlib.Path("/opt/ml/output/data/partial.txt").write_text("half")
sys.exit(3)
"""
SLEEPS = """
import pathlib, signal, sys, time
def stop(number, frame):
    pathlib.Path("/opt/ml/model/model.txt").write_text("saved when asked to stop")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("sleeping", flush=True)
time.sleep(300)
"""
DIES = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


@pytest.fixture(scope="module")
def failed(cloud: Cloud, stack: Any) -> dict[str, Any]:
    with stack.environment_applied():
        name = unique("fails")
        cloud.sagemaker.create_training_job(**cloud.script_request(name, FAILS))
        return cloud.trained(name)


def test_a_failure_file_is_the_reason(cloud: Cloud, failed: dict[str, Any]) -> None:
    assert failed["TrainingJobStatus"] == "Failed"
    assert failed["FailureReason"] == "AlgorithmError: the data has no label column, exit code: 3"
    assert failed["SecondaryStatusTransitions"][-1]["Status"] == "Failed"
    output = failed["OutputDataConfig"]["S3OutputPath"] + f"/{failed['TrainingJobName']}/output"
    assert cloud.keys(output + "/") == ["output.tar.gz"]  # what it wrote is kept, and there is no model
    assert cloud.archive(f"{output}/output.tar.gz") == {"partial.txt": b"half"}


def test_the_waiter_raises_for_a_failed_job_and_carries_the_answer(cloud: Cloud, failed: dict[str, Any]) -> None:
    waiter = cloud.sagemaker.get_waiter("training_job_completed_or_stopped")
    with pytest.raises(WaiterError) as caught:
        waiter.wait(TrainingJobName=failed["TrainingJobName"], WaiterConfig=OFTEN)
    assert caught.value.last_response["TrainingJobStatus"] == "Failed"


def test_a_program_that_is_killed_has_the_signals_exit_code(cloud: Cloud) -> None:
    name = unique("dies")
    cloud.sagemaker.create_training_job(**cloud.script_request(name, DIES))
    described = cloud.trained(name)
    assert described["TrainingJobStatus"] == "Failed"
    assert described["FailureReason"].startswith("AlgorithmError: ")
    assert described["FailureReason"].endswith("exit code: 137")


def test_a_stopped_job_keeps_the_model_that_its_handler_wrote(cloud: Cloud) -> None:
    name = unique("stopped")
    cloud.sagemaker.create_training_job(**cloud.script_request(name, SLEEPS))
    cloud.until_logged(TRAINING_LOGS, name, "sleeping")
    cloud.sagemaker.stop_training_job(TrainingJobName=name)
    described = cloud.trained(name)
    assert described["TrainingJobStatus"] == "Stopped"
    assert described["SecondaryStatus"] == "Stopped"
    assert "FailureReason" not in described
    model = cloud.archive(described["ModelArtifacts"]["S3ModelArtifacts"])
    assert model == {"model.txt": b"saved when asked to stop"}
    again = refusal(lambda: cloud.sagemaker.stop_training_job(TrainingJobName=name))
    assert again == (
        "ValidationException",
        "The request was rejected because the training job is in status Stopped.",
    )


def test_a_job_that_is_out_of_time_is_stopped(cloud: Cloud) -> None:
    name = unique("overdue")
    limit = {"StoppingCondition": {"MaxRuntimeInSeconds": 1}}
    cloud.sagemaker.create_training_job(**cloud.script_request(name, SLEEPS, **limit))
    described = cloud.trained(name)
    assert described["TrainingJobStatus"] == "Stopped"
    assert described["SecondaryStatus"] == "MaxRuntimeExceeded"
    assert described["SecondaryStatusTransitions"][-1]["Status"] == "MaxRuntimeExceeded"
    assert cloud.archive(described["ModelArtifacts"]["S3ModelArtifacts"]).keys() == {"model.txt"}


def test_a_name_is_taken_for_good(cloud: Cloud, failed: dict[str, Any]) -> None:
    name = failed["TrainingJobName"]
    answer = refusal(lambda: cloud.sagemaker.create_training_job(**cloud.script_request(name, FAILS)))
    assert answer[0] == "ResourceInUse"
    assert "Training job names must be unique within an AWS account and region" in answer[1]
    assert failed["TrainingJobArn"] in answer[1]
    with pytest.raises(cloud.sagemaker.exceptions.ResourceInUse):
        cloud.sagemaker.create_training_job(**cloud.script_request(name, FAILS))


def test_a_job_is_deleted_once(cloud: Cloud) -> None:
    name = unique("gone")
    cloud.sagemaker.create_training_job(**cloud.script_request(name, "pass", Tags=[{"Key": "a", "Value": "b"}]))
    arn = cloud.trained(name)["TrainingJobArn"]
    cloud.sagemaker.delete_training_job(TrainingJobName=name)
    answer = refusal(lambda: cloud.sagemaker.describe_training_job(TrainingJobName=name))
    assert answer == ("ValidationException", "Requested resource not found.")
    assert refusal(lambda: cloud.sagemaker.list_tags(ResourceArn=arn))[0] in {"ValidationException", "ResourceNotFound"}
    assert cloud.log(TRAINING_LOGS, name) == []


def test_an_image_without_a_local_runtime_is_refused_by_name(cloud: Cloud) -> None:
    algorithm = {"TrainingImage": "123456789012.dkr.ecr.us-east-1.amazonaws.com/mine:1", "TrainingInputMode": "File"}
    request = cloud.training_request(unique("image"), AlgorithmSpecification=algorithm)
    kind, text = refusal(lambda: cloud.sagemaker.create_training_job(**request))
    assert kind == "ValidationException"
    assert "123456789012.dkr.ecr.us-east-1.amazonaws.com/mine:1" in text


def test_a_role_that_is_not_there_is_refused(cloud: Cloud) -> None:
    lost = "arn:aws:iam::123456789012:role/lost"
    request = cloud.script_request(unique("role"), "pass", RoleArn=lost)
    kind, text = refusal(lambda: cloud.sagemaker.create_training_job(**request))
    assert kind == "ValidationException"
    assert text.startswith(f"Could not assume role {lost}. Please ensure that the role exists and allows principal")


def test_what_is_not_served_is_refused_before_it_runs(cloud: Cloud) -> None:
    name = unique("market")
    algorithm = {
        "AlgorithmName": "arn:aws:sagemaker:us-east-1:865070037744:algorithm/bought",
        "TrainingInputMode": "File",
    }
    request = cloud.training_request(name, AlgorithmSpecification=algorithm)
    kind, text = refusal(lambda: cloud.sagemaker.create_training_job(**request))
    assert kind == "ValidationException"
    assert "AlgorithmName" in text
    assert refusal(lambda: cloud.sagemaker.describe_training_job(TrainingJobName=name))[0] == "ValidationException"
