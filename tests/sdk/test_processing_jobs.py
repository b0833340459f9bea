"""Processing jobs through the SDK's processors and boto3: files in, files out, and how they fail."""

from __future__ import annotations

import io
import json
from typing import Any

import pandas as pd
import pytest
from botocore.exceptions import ClientError, WaiterError

from tests.sdk.cloud import JOBS, OFTEN, PROCESSING_LOGS, Cloud, loads, sklearn_image, unique

FAILS = """
import pathlib, sys
pathlib.Path("/opt/ml/output/message").write_text("no rows left")
pathlib.Path("/opt/ml/processing/out/partial.txt").write_text("half")
sys.exit(4)
"""
SLEEPS = "import time; print('sleeping', flush=True); time.sleep(300)"


def processor(cloud: Cloud, **changes: Any) -> Any:
    from sagemaker.core.processing import ScriptProcessor

    return ScriptProcessor(
        image_uri=sklearn_image(),
        command=["python3"],
        role=cloud.role,
        instance_count=1,
        instance_type="ml.m5.large",
        sagemaker_session=cloud.session,
        **changes,
    )


def received(name: str, uri: str) -> Any:
    from sagemaker.core.shapes import ProcessingInput, ProcessingS3Input

    source = ProcessingS3Input(
        s3_uri=uri, local_path=f"/opt/ml/processing/input/{name}", s3_data_type="S3Prefix", s3_input_mode="File"
    )
    return ProcessingInput(input_name=name, s3_input=source)


def produced(name: str, uri: str, path: str | None = None) -> Any:
    from sagemaker.core.shapes import ProcessingOutput, ProcessingS3Output

    path = path or f"/opt/ml/processing/output/{name}"
    return ProcessingOutput(
        output_name=name, s3_output=ProcessingS3Output(s3_uri=uri, local_path=path, s3_upload_mode="EndOfJob")
    )


@pytest.fixture(scope="module")
def split(cloud: Cloud, stack: Any) -> dict[str, Any]:
    """A job with two inputs and two outputs; described after its end."""
    with stack.environment_applied():
        base = unique("split")
        for part in range(2):
            frame = pd.DataFrame({"a": range(part * 5, part * 5 + 5), "b": [part] * 5})
            cloud.put(f"{base}/tables/{part}/part.csv", frame.to_csv(index=False))
        weights = cloud.put(f"{base}/weights/weights.json", json.dumps({"a": 2, "b": 100}))
        processor(cloud, base_job_name=base, env={"COLOUR": "blue"}, tags=[{"Key": "team", "Value": "sdk"}]).run(
            code=str(JOBS / "split.py"),
            inputs=[received("tables", cloud.uri(base, "tables")), received("weights", weights)],
            outputs=[produced(name, cloud.uri(base, "out", name)) for name in ("train", "test")],
            arguments=["--fraction", "0.8", "--label", "a label, with spaces"],
            wait=False,
            logs=False,
        )
        (found,) = cloud.sagemaker.list_processing_jobs(NameContains=base)["ProcessingJobSummaries"]
        return {"base": base, **cloud.processed(found["ProcessingJobName"])}


def test_outputs_are_computed_from_the_inputs(cloud: Cloud, split: dict[str, Any]) -> None:
    assert split["ProcessingJobStatus"] == "Completed", split.get("FailureReason")
    out = cloud.uri(split["base"], "out")
    assert cloud.keys(out + "/") == ["test/deep/test.csv", "test/seen.json", "train/train.csv"]
    train = pd.read_csv(io.BytesIO(cloud.get(f"{out}/train/train.csv")))
    test = pd.read_csv(io.BytesIO(cloud.get(f"{out}/test/deep/test.csv")))
    assert train["a"].tolist() == list(range(8))
    assert train["score"].tolist() == [2 * a + 100 * (a // 5) for a in range(8)]
    assert test["score"].tolist() == [116, 118]


def test_the_script_saw_the_contract(cloud: Cloud, split: dict[str, Any]) -> None:
    seen = loads(cloud.get(cloud.uri(split["base"], "out", "test", "seen.json")))
    assert seen["arguments"] == ["--fraction", "0.8", "--label", "a label, with spaces"]
    assert seen["environment"]["COLOUR"] == "blue"
    assert seen["environment"]["PROCESSING_JOB_NAME"] == split["ProcessingJobName"]
    assert seen["environment"]["PROCESSING_JOB_ARN"] == split["ProcessingJobArn"]
    config = seen["config"]["processingjobconfig.json"]
    assert config["ProcessingJobArn"] == split["ProcessingJobArn"]
    assert {item["InputName"] for item in config["ProcessingInputs"]} == {"tables", "weights", "code"}
    assert seen["config"]["resourceconfig.json"]["current_host"] == "algo-1"


def test_describe_shows_request_times_and_message(cloud: Cloud, split: dict[str, Any]) -> None:
    assert split["ExitMessage"] == "10 rows"
    assert split["CreationTime"] <= split["ProcessingStartTime"] <= split["ProcessingEndTime"]
    assert split["AppSpecification"]["ContainerEntrypoint"][0] == "python3"
    assert [item["OutputName"] for item in split["ProcessingOutputConfig"]["Outputs"]] == ["train", "test"]
    assert split["Environment"] == {"COLOUR": "blue"}
    assert "rows=10" in cloud.log(PROCESSING_LOGS, split["ProcessingJobName"])
    tags = cloud.sagemaker.list_tags(ResourceArn=split["ProcessingJobArn"])["Tags"]
    assert tags == [{"Key": "team", "Value": "sdk"}]


def test_a_framework_processor_sends_its_whole_folder(cloud: Cloud) -> None:
    from sagemaker.core.processing import FrameworkProcessor

    base = unique("framework")
    FrameworkProcessor(
        image_uri=sklearn_image(),
        command=["python3"],
        role=cloud.role,
        instance_count=1,
        instance_type="ml.m5.large",
        base_job_name=base,
        sagemaker_session=cloud.session,
    ).run(
        code="main.py",
        source_dir=str(JOBS / "framework"),
        outputs=[produced("result", cloud.uri(base, "result"), "/opt/ml/processing/output")],
        arguments=["ab", "c"],
        wait=False,
        logs=False,
    )
    (found,) = cloud.sagemaker.list_processing_jobs(NameContains=base)["ProcessingJobSummaries"]
    described = cloud.processed(found["ProcessingJobName"])
    assert described["ProcessingJobStatus"] == "Completed", described.get("FailureReason")
    assert cloud.get(cloud.uri(base, "result", "result.txt")) == b"abab cc"


@pytest.fixture(scope="module")
def failed(cloud: Cloud, stack: Any) -> dict[str, Any]:
    with stack.environment_applied():
        name = unique("process-fails")
        output = cloud.processing_output("out", cloud.uri(name, "out"))
        request = cloud.processing_request(name, FAILS, ProcessingOutputConfig={"Outputs": [output]})
        cloud.sagemaker.create_processing_job(**request)
        return cloud.processed(name)


def test_a_failed_script_fails_the_job_with_its_code_and_message(cloud: Cloud, failed: dict[str, Any]) -> None:
    assert failed["ProcessingJobStatus"] == "Failed"
    assert failed["FailureReason"].startswith("AlgorithmError: ")
    assert failed["FailureReason"].endswith("exit code: 4")
    assert failed["ExitMessage"] == "no rows left"
    waiter = cloud.sagemaker.get_waiter("processing_job_completed_or_stopped")
    with pytest.raises(WaiterError) as caught:
        waiter.wait(ProcessingJobName=failed["ProcessingJobName"], WaiterConfig=OFTEN)
    assert caught.value.last_response["ProcessingJobStatus"] == "Failed"


def test_the_name_of_a_failed_job_is_taken_too(cloud: Cloud, failed: dict[str, Any]) -> None:
    with pytest.raises(cloud.sagemaker.exceptions.ResourceInUse, match="must be unique") as caught:
        cloud.sagemaker.create_processing_job(**cloud.processing_request(failed["ProcessingJobName"], FAILS))
    assert failed["ProcessingJobArn"] in str(caught.value)


def test_a_missing_input_is_the_clients_error(cloud: Cloud) -> None:
    name = unique("no-input")
    missing = cloud.uri(unique("nowhere"), "data")
    inputs = [cloud.processing_input("data", missing)]
    cloud.sagemaker.create_processing_job(**cloud.processing_request(name, "pass", ProcessingInputs=inputs))
    described = cloud.processed(name)
    assert described["ProcessingJobStatus"] == "Failed"
    assert described["FailureReason"].startswith("ClientError: ")
    assert missing in described["FailureReason"]


def test_a_running_job_stops_when_asked(cloud: Cloud) -> None:
    name = unique("process-stops")
    cloud.sagemaker.create_processing_job(**cloud.processing_request(name, SLEEPS))
    cloud.sagemaker.stop_processing_job(ProcessingJobName=name)
    described = cloud.processed(name)
    assert described["ProcessingJobStatus"] == "Stopped"
    with pytest.raises(ClientError, match="is in status Stopped") as caught:
        cloud.sagemaker.stop_processing_job(ProcessingJobName=name)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_a_job_that_is_out_of_time_is_stopped(cloud: Cloud) -> None:
    name = unique("process-overdue")
    request = cloud.processing_request(name, SLEEPS, StoppingCondition={"MaxRuntimeInSeconds": 1})
    cloud.sagemaker.create_processing_job(**request)
    described = cloud.processed(name)
    assert described["ProcessingJobStatus"] == "Stopped"
    ran = (described["ProcessingEndTime"] - described["ProcessingStartTime"]).total_seconds()
    assert 1 <= ran < 30


def test_paths_outside_the_contract_are_refused(cloud: Cloud) -> None:
    output = {**cloud.processing_output("out", cloud.uri("x"))}
    output["S3Output"] = {**output["S3Output"], "LocalPath": "/etc"}
    request = cloud.processing_request(unique("etc"), "pass", ProcessingOutputConfig={"Outputs": [output]})
    with pytest.raises(ClientError, match="/opt/ml/processing") as caught:
        cloud.sagemaker.create_processing_job(**request)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


WHO = """
import boto3, pathlib
pathlib.Path("/opt/ml/processing/out/who.txt").write_text(boto3.client("sts").get_caller_identity()["Arn"])
"""


def test_a_job_acts_as_its_own_role_and_nobody_elses(cloud: Cloud) -> None:
    name, role = unique("who"), unique("FeatureRole")
    trusted = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trusted]})
    arn = cloud.client("iam").create_role(RoleName=role, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    outputs = {"Outputs": [cloud.processing_output("out", cloud.uri(name))]}
    request = cloud.processing_request(name, WHO, ProcessingOutputConfig=outputs)
    cloud.sagemaker.create_processing_job(**{**request, "RoleArn": arn})
    cloud.processed(name)
    assert cloud.get(cloud.uri(name, "who.txt")).decode().endswith(f":assumed-role/{role}/SageMaker")
