"""A stack that is stopped and started again: its schedules go on, its alarms and rules are there."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from mlparity.testing.stack import running_stack

DEFINITION = {
    "Version": "2020-12-01",
    "Steps": [{"Name": "reached", "Type": "Fail", "Arguments": {"ErrorMessage": "it was started"}}],
}
OFF = {"Mode": "OFF"}
# The minute that the schedule waits is over sooner for the second stack: its clock is ahead.
LATER = f"{Path(__file__).with_name('later_plane.py')}:build"


def executions(sagemaker: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sagemaker.list_pipeline_executions(PipelineName="minutely")[
        "PipelineExecutionSummaries"
    ]
    return [each for each in found if each["PipelineExecutionStatus"] == "Failed"]


def until_more_than(sagemaker: Any, count: int) -> int:
    deadline = time.monotonic() + 120
    while len(executions(sagemaker)) <= count:
        assert time.monotonic() < deadline, "the schedule did not fire"
        time.sleep(0.5)
    return len(executions(sagemaker))


@pytest.mark.slow
def test_a_schedule_goes_on_after_a_restart(tmp_path: Path) -> None:
    with running_stack(tmp_path, mlflow=False) as stack:
        sagemaker = stack.client("sagemaker")
        role = stack.config.role_arn
        arn = sagemaker.create_pipeline(
            PipelineName="minutely",
            PipelineDefinition=json.dumps(DEFINITION),
            RoleArn=role,
            ClientRequestToken="t" * 32,
        )["PipelineArn"]
        stack.client("scheduler").create_schedule(
            Name="minutely",
            ScheduleExpression="rate(1 minute)",
            FlexibleTimeWindow=OFF,
            Target={"Arn": arn, "RoleArn": role, "SageMakerPipelineParameters": {}},
        )
        stack.client("events").put_rule(Name="daily", ScheduleExpression="rate(1 day)")
        stack.client("cloudwatch").put_metric_alarm(
            AlarmName="a", Namespace="n", MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1,
            Threshold=1, ComparisonOperator="GreaterThanThreshold",
        )  # fmt: skip
        before = until_more_than(sagemaker, 0)
    with running_stack(tmp_path, mlflow=False, control_plane=LATER) as stack:
        assert stack.client("scheduler").get_schedule(Name="minutely")["State"] == "ENABLED"
        assert stack.client("events").describe_rule(Name="daily")["ScheduleExpression"] == "rate(1 day)"
        (alarm,) = stack.client("cloudwatch").describe_alarms()["MetricAlarms"]
        assert alarm["StateValue"] == "INSUFFICIENT_DATA"
        assert until_more_than(stack.client("sagemaker"), before) == before + 1
