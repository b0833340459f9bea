"""What need not run again: cached steps, selective execution, and executions that go on where they failed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sdk.cloud import Cloud
from tests.sdk.pipelines import Builder, ended, statuses, steps_of

# Says who it is, so that nobody can mistake one run's output for another's.
STAMP = """
import json, os, sys, uuid
document = {"value": float(sys.argv[1]), "stamp": uuid.uuid4().hex}
open("/opt/ml/processing/out/report.json", "w").write(json.dumps(document))
"""
ADD_ONE = """
import json
found = json.load(open("/opt/ml/processing/before/report.json"))
found["value"] += 1
open("/opt/ml/processing/out/report.json", "w").write(json.dumps(found))
"""
# Fails as long as there is no object that says otherwise.
ONCE_ALLOWED = """
import boto3, json, sys
bucket, _, key = sys.argv[1].removeprefix("s3://").partition("/")
boto3.client("s3").get_object(Bucket=bucket, Key=key)
found = json.load(open("/opt/ml/processing/before/report.json"))
open("/opt/ml/processing/out/report.json", "w").write(json.dumps(found))
"""


@pytest.fixture
def builder(cloud: Cloud, tmp_path: Path) -> Builder:
    return Builder.make(cloud, tmp_path, "reuse")


def report(cloud: Cloud, execution: Any, step: str) -> dict[str, Any]:
    """What a processing step wrote, found through its job."""
    arn = steps_of(execution)[step]["Metadata"]["ProcessingJob"]["Arn"]
    job = cloud.sagemaker.describe_processing_job(ProcessingJobName=arn.rpartition("/")[2])
    output = job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
    found: dict[str, Any] = json.loads(cloud.get(f"{output}/report.json"))
    return found


def jobs_of(cloud: Cloud, execution: Any) -> list[str]:
    """The processing jobs of an execution: SageMaker names them after it."""
    execution_id = execution.arn.rpartition("/")[2]
    pages = cloud.sagemaker.get_paginator("list_processing_jobs").paginate(NameContains=execution_id)
    return [job["ProcessingJobName"] for page in pages for job in page["ProcessingJobSummaries"]]


def out(step: Any) -> Any:
    return step.properties.ProcessingOutputConfig.Outputs["out"].S3Output.S3Uri


def two_steps(builder: Builder, **options: Any) -> tuple[Any, Any, Any]:
    from sagemaker.core.workflow.parameters import ParameterFloat

    value = ParameterFloat("Value", default_value=1.0)
    first = builder.process("First", STAMP, outputs=["out"], arguments=[value.to_string()], **options)
    second = builder.process("Second", ADD_ONE, inputs={"before": out(first)}, outputs=["out"])
    return first, second, builder.pipeline([first, second], [value])


def test_a_cached_step_gives_the_earlier_object_and_runs_no_job(cloud: Cloud, builder: Builder) -> None:
    from sagemaker.mlops.workflow.steps import CacheConfig

    _, _, pipeline = two_steps(builder, cache_config=CacheConfig(enable_caching=True, expire_after="30d"))
    pipeline.upsert(role_arn=cloud.role)
    made = pipeline.start()
    assert ended(made)["PipelineExecutionStatus"] == "Succeeded"
    again = pipeline.start()
    assert ended(again)["PipelineExecutionStatus"] == "Succeeded"
    other = pipeline.start(parameters={"Value": 5.0})
    assert ended(other)["PipelineExecutionStatus"] == "Succeeded"

    assert "CacheHitResult" not in steps_of(made)["First"]
    assert steps_of(again)["First"]["CacheHitResult"] == {"SourcePipelineExecutionArn": made.arn}
    assert steps_of(again)["First"]["Metadata"] == steps_of(made)["First"]["Metadata"]
    assert "CacheHitResult" not in steps_of(again)["Second"]
    stamps = [report(cloud, execution, "Second") for execution in (made, again, other)]
    assert stamps[0] == stamps[1] == {**report(cloud, made, "First"), "value": 2.0}
    assert stamps[2]["value"] == 6.0
    assert stamps[2]["stamp"] != stamps[0]["stamp"]
    assert [len(jobs_of(cloud, execution)) for execution in (made, again, other)] == [2, 1, 2]


def test_selected_steps_run_on_what_the_earlier_execution_left(cloud: Cloud, builder: Builder) -> None:
    from sagemaker.mlops.workflow.selective_execution_config import SelectiveExecutionConfig

    _, _, pipeline = two_steps(builder)
    pipeline.upsert(role_arn=cloud.role)
    whole = pipeline.start()
    ended(whole)
    part = pipeline.start(selective_execution_config=SelectiveExecutionConfig(selected_steps=["Second"]))
    assert ended(part)["PipelineExecutionStatus"] == "Succeeded"

    config = cloud.sagemaker.describe_pipeline_execution(PipelineExecutionArn=part.arn)["SelectiveExecutionConfig"]
    assert config == {"SourcePipelineExecutionArn": whole.arn, "SelectedSteps": [{"StepName": "Second"}]}
    shown = steps_of(part)
    assert shown["First"]["SelectiveExecutionResult"] == {"SourcePipelineExecutionArn": whole.arn}
    assert shown["First"]["Metadata"] == steps_of(whole)["First"]["Metadata"]
    assert shown["Second"]["Metadata"] != steps_of(whole)["Second"]["Metadata"]
    assert report(cloud, part, "Second")["stamp"] == report(cloud, whole, "First")["stamp"]
    assert len(jobs_of(cloud, part)) == 1

    first_only = pipeline.start(
        selective_execution_config=SelectiveExecutionConfig(["First"], reference_latest_execution=False)
    )
    assert ended(first_only)["PipelineExecutionStatus"] == "Succeeded"
    assert statuses(first_only) == {"First": "Succeeded"}


def test_a_selection_without_what_it_needs_is_refused_as_on_aws(cloud: Cloud, builder: Builder) -> None:
    from sagemaker.mlops.workflow.selective_execution_config import SelectiveExecutionConfig

    _, _, pipeline = two_steps(builder)
    pipeline.upsert(role_arn=cloud.role)
    with pytest.raises(ClientError) as caught:
        pipeline.start(
            selective_execution_config=SelectiveExecutionConfig(["Second"], reference_latest_execution=False)
        )
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert (
        "Invalid SourcePipelineExecutionArn: null. The selected steps [Second] have dependencies on [First]"
        in caught.value.response["Error"]["Message"]
    )


def test_a_failed_execution_is_retried_and_keeps_what_succeeded(cloud: Cloud, builder: Builder) -> None:
    permit = cloud.uri(builder.name, "permit")
    first = builder.process("First", STAMP, outputs=["out"], arguments=["1"])
    second = builder.process("Second", ONCE_ALLOWED, inputs={"before": out(first)}, outputs=["out"], arguments=[permit])
    pipeline = builder.pipeline([first, second])
    pipeline.upsert(role_arn=cloud.role)
    execution = pipeline.start()
    failed = ended(execution)
    assert failed["PipelineExecutionStatus"] == "Failed"
    assert statuses(execution) == {"First": "Succeeded", "Second": "Failed"}
    before = report(cloud, execution, "First")

    cloud.put(f"{builder.name}/permit", "yes")
    answer = cloud.sagemaker.retry_pipeline_execution(PipelineExecutionArn=execution.arn)
    assert answer["PipelineExecutionArn"] == execution.arn
    after = ended(execution)
    assert after["PipelineExecutionStatus"] == "Succeeded"
    assert "FailureReason" not in after
    assert report(cloud, execution, "Second") == before
    assert len(jobs_of(cloud, execution)) == 3  # First once, Second twice
    with pytest.raises(ClientError) as caught:
        cloud.sagemaker.retry_pipeline_execution(PipelineExecutionArn=execution.arn)
    assert "Only pipeline executions with status Failed or Stopped" in caught.value.response["Error"]["Message"]
