"""Schedules and events start pipelines that really run: the SDK's triggers, and a rule on a model's approval."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sdk.cloud import Cloud, unique, xgboost_image
from tests.sdk.pipelines import Builder

WRITES = """
import pathlib, sys
pathlib.Path("/opt/ml/processing/said").mkdir(parents=True, exist_ok=True)
pathlib.Path("/opt/ml/processing/said/word.txt").write_text(sys.argv[1])
"""


def until(condition: Callable[[], Any], seconds: float = 120) -> Any:
    """Ask every 200 ms until there is an answer."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)
    return answer


def executions(cloud: Cloud, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cloud.sagemaker.list_pipeline_executions(PipelineName=name)[
        "PipelineExecutionSummaries"
    ]
    return found


def succeeded(cloud: Cloud, name: str) -> dict[str, Any]:
    """The only execution of a pipeline, once it has ended."""

    def ended() -> dict[str, Any] | None:
        found = executions(cloud, name)
        assert len(found) <= 1
        done = found and found[0]["PipelineExecutionStatus"] not in {"Executing", "Stopping"}
        return found[0] if done else None

    execution: dict[str, Any] = until(ended)
    described: dict[str, Any] = cloud.sagemaker.describe_pipeline_execution(
        PipelineExecutionArn=execution["PipelineExecutionArn"]
    )
    assert described["PipelineExecutionStatus"] == "Succeeded", described
    return described


@pytest.fixture
def builder(cloud: Cloud, tmp_path: Path) -> Builder:
    return Builder.make(cloud, tmp_path, "scheduled")


def made(builder: Builder) -> Any:
    """A pipeline that writes its parameter to S3."""
    from sagemaker.core.workflow.parameters import ParameterString

    word = ParameterString("Word", default_value="usual")
    step = builder.process("say", WRITES, outputs=["said"], arguments=[word])
    pipeline = builder.pipeline([step], [word])
    pipeline.upsert(role_arn=builder.cloud.role)
    return pipeline


def written(cloud: Cloud, pipeline: str, execution: dict[str, Any]) -> str:
    run = execution["PipelineExecutionArn"].rpartition("/")[2]
    return cloud.get(cloud.uri(pipeline, run, "say", "said", "word.txt")).decode()


def test_the_sdks_triggers_start_the_pipeline(cloud: Cloud, builder: Builder) -> None:
    from sagemaker.mlops.workflow.triggers import PipelineSchedule

    pipeline = made(builder)
    soon = datetime.now(UTC) + timedelta(seconds=2)
    trigger = PipelineSchedule(name=unique("at"), at=soon)
    (arn,) = pipeline.put_triggers([trigger], role_arn=cloud.role)
    assert arn.endswith(f":schedule/default/{trigger.name}")
    described = pipeline.describe_trigger(trigger.name)
    assert described["Schedule_Expression"] == f"at({soon:%Y-%m-%dT%H:%M:%S})"
    assert described["Schedule_State"] == "ENABLED"
    assert described["Schedule_Role"] == cloud.role
    execution = succeeded(cloud, pipeline.name)
    assert written(cloud, pipeline.name, execution) == "usual"
    assert ":assumed-role/" in execution["CreatedBy"]["IamIdentity"]["Arn"]
    nightly = PipelineSchedule(name=trigger.name, cron="0 2 ? * MON-FRI *", enabled=False)
    assert pipeline.put_triggers([nightly], role_arn=cloud.role) == [arn]
    assert pipeline.describe_trigger(trigger.name)["Schedule_State"] == "DISABLED"
    pipeline.delete_triggers([trigger.name])
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        pipeline.describe_trigger(trigger.name)
    assert len(executions(cloud, pipeline.name)) == 1


def test_a_rate_begins_at_once(cloud: Cloud, builder: Builder) -> None:
    from sagemaker.mlops.workflow.triggers import PipelineSchedule

    pipeline = made(builder)
    trigger = PipelineSchedule(name=unique("daily"), rate=(1, "day"))
    pipeline.put_triggers([trigger], role_arn=cloud.role)
    succeeded(cloud, pipeline.name)
    pipeline.delete_triggers([trigger.name])


def test_an_approved_model_starts_a_pipeline(cloud: Cloud, builder: Builder) -> None:
    pipeline = made(builder)
    group = unique("flights")
    events = cloud.client("events")
    pattern = {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Package State Change"],
        "detail": {"ModelPackageGroupName": [group], "ModelApprovalStatus": ["Approved"]},
    }
    events.put_rule(Name=group, EventPattern=json.dumps(pattern))
    arn = cloud.sagemaker.describe_pipeline(PipelineName=pipeline.name)["PipelineArn"]
    parameters = [{"Name": "Word", "Value": "$.detail.ModelPackageGroupName"}]
    events.put_targets(
        Rule=group,
        Targets=[
            {
                "Id": "deploy",
                "Arn": arn,
                "RoleArn": cloud.role,
                "SageMakerPipelineParameters": {"PipelineParameterList": parameters},
            }
        ],
    )
    cloud.sagemaker.create_model_package_group(ModelPackageGroupName=group)
    package = cloud.sagemaker.create_model_package(
        ModelPackageGroupName=group,
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification={
            "Containers": [{"Image": xgboost_image(), "ModelDataUrl": cloud.put(f"{group}/model.tar.gz", b"model")}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )["ModelPackageArn"]
    cloud.sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")
    execution = succeeded(cloud, pipeline.name)
    assert written(cloud, pipeline.name, execution) == group
    events.remove_targets(Rule=group, Ids=["deploy"])
    events.delete_rule(Name=group)
