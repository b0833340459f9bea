"""Versions of pipelines, what may change of an execution, and how many steps run at once."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sdk.cloud import Cloud
from tests.sdk.pipelines import Builder, ended, steps_of


@pytest.fixture
def builder(cloud: Cloud, tmp_path: Path) -> Builder:
    return Builder.make(cloud, tmp_path, "versions")


def failing(builder: Builder, message: str) -> Any:
    from sagemaker.mlops.workflow.fail_step import FailStep

    return builder.pipeline([FailStep(name="Stop", error_message=message)])


def test_every_definition_is_a_version_that_can_be_described_and_started(cloud: Cloud, builder: Builder) -> None:
    failing(builder, "one").upsert(role_arn=cloud.role)
    pipeline = failing(builder, "two")
    pipeline.upsert(role_arn=cloud.role)
    listed = cloud.sagemaker.list_pipeline_versions(PipelineName=builder.name)["PipelineVersionSummaries"]
    assert [version["PipelineVersionId"] for version in listed] == [2, 1]
    assert pipeline.latest_pipeline_version_id == 2

    newest = pipeline.start()
    oldest = pipeline.start(pipeline_version_id=1)
    for execution, version, message in ((newest, 2, "two"), (oldest, 1, "one")):
        assert ended(execution)["PipelineExecutionStatus"] == "Failed"
        described = cloud.sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution.arn)
        assert described["PipelineVersionId"] == version
        assert steps_of(execution)["Stop"]["Metadata"]["Fail"]["ErrorMessage"] == message

    arn = cloud.sagemaker.describe_pipeline(PipelineName=builder.name)["PipelineArn"]
    changed = cloud.sagemaker.update_pipeline_version(
        PipelineArn=arn, PipelineVersionId=1, PipelineVersionDisplayName="first", PipelineVersionDescription="the old"
    )
    assert changed == {**changed, "PipelineArn": arn, "PipelineVersionId": 1}
    first = cloud.sagemaker.describe_pipeline(PipelineName=builder.name, PipelineVersionId=1)
    assert (first["PipelineVersionDisplayName"], first["PipelineVersionDescription"]) == ("first", "the old")
    assert '"one"' in first["PipelineDefinition"]
    assert '"two"' in cloud.sagemaker.describe_pipeline(PipelineName=builder.name)["PipelineDefinition"]
    listed = cloud.sagemaker.list_pipeline_versions(PipelineName=arn, SortOrder="Ascending", MaxResults=1)
    assert listed["PipelineVersionSummaries"][0]["LastExecutionPipelineExecutionArn"] == oldest.arn
    assert listed["NextToken"]


def test_a_version_that_is_not_there(cloud: Cloud, builder: Builder) -> None:
    pipeline = failing(builder, "one")
    pipeline.upsert(role_arn=cloud.role)
    for call in (
        lambda: pipeline.start(pipeline_version_id=7),
        lambda: cloud.sagemaker.describe_pipeline(PipelineName=builder.name, PipelineVersionId=7),
        lambda: cloud.sagemaker.list_pipeline_versions(PipelineName="nobody"),
    ):
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["Error"]["Code"] == "ResourceNotFound"


def test_a_pipeline_of_the_same_name_begins_with_version_one(cloud: Cloud, builder: Builder) -> None:
    for message in ("one", "two"):
        failing(builder, message).upsert(role_arn=cloud.role)
    cloud.sagemaker.delete_pipeline(PipelineName=builder.name)
    failing(builder, "three").upsert(role_arn=cloud.role)
    listed = cloud.sagemaker.list_pipeline_versions(PipelineName=builder.name)["PipelineVersionSummaries"]
    assert [version["PipelineVersionId"] for version in listed] == [1]


def test_parallelism_comes_from_the_pipeline_or_the_execution_and_may_change(cloud: Cloud, builder: Builder) -> None:
    from sagemaker.mlops.workflow.parallelism_config import ParallelismConfiguration

    script = "import time; time.sleep(0.3)"
    pipeline = builder.pipeline([builder.process(f"S{number}", script) for number in range(3)])
    pipeline.upsert(role_arn=cloud.role, parallelism_config=ParallelismConfiguration(1))
    described = cloud.sagemaker.describe_pipeline(PipelineName=builder.name)
    assert described["ParallelismConfiguration"] == {"MaxParallelExecutionSteps": 1}
    execution = pipeline.start()
    changed = cloud.sagemaker.update_pipeline_execution(
        PipelineExecutionArn=execution.arn,
        PipelineExecutionDisplayName="renamed",
        PipelineExecutionDescription="why",
    )
    assert changed["PipelineExecutionArn"] == execution.arn
    shown = ended(execution)
    assert (shown["PipelineExecutionDisplayName"], shown["PipelineExecutionDescription"]) == ("renamed", "why")
    assert shown["ParallelismConfiguration"] == {"MaxParallelExecutionSteps": 1}
    times = sorted((step["StartTime"], step["EndTime"]) for step in steps_of(execution).values())
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(times))

    wide = pipeline.start(parallelism_config=ParallelismConfiguration(3))
    assert ended(wide)["ParallelismConfiguration"] == {"MaxParallelExecutionSteps": 3}
    times = sorted((step["StartTime"], step["EndTime"]) for step in steps_of(wide).values())
    assert times[1][0] < times[0][1]
