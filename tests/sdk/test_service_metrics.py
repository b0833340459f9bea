"""What SageMaker says of itself in CloudWatch, as the SDK and boto3 read it; and an alarm that starts a pipeline."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.cloud import Cloud, unique
from tests.sdk.pipelines import Builder
from tests.sdk.test_pipeline_schedule import made, succeeded, until, written

SCRIPT = "for i in range(5): print(f'loss={1.0 / (i + 1)};', flush=True)"


@pytest.fixture
def builder(cloud: Cloud, tmp_path: Path) -> Builder:
    return Builder.make(cloud, tmp_path, "measured")


def total(cloud: Cloud, namespace: str, name: str, **dimensions: str) -> float:
    now = datetime.now(UTC)
    found = cloud.client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(minutes=1),
        Period=3600,
        Statistics=["Sum"],
    )["Datapoints"]
    return sum(point["Sum"] for point in found)


def test_the_sdk_reads_a_training_jobs_metrics(cloud: Cloud) -> None:
    from sagemaker.core.analytics import TrainingJobAnalytics

    name = unique("metrics")
    request: dict[str, Any] = cloud.script_request(name, SCRIPT)
    request["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "loss", "Regex": r"loss=([0-9.]+);"}]
    cloud.sagemaker.create_training_job(**request)
    assert cloud.trained(name)["TrainingJobStatus"] == "Completed"
    client = cloud.client("cloudwatch")
    asked = {"Namespace": "/aws/sagemaker/TrainingJobs", "Dimensions": [{"Name": "TrainingJobName", "Value": name}]}
    (listed,) = until(lambda: client.list_metrics(**asked)["Metrics"])
    assert listed["MetricName"] == "loss"
    frame = TrainingJobAnalytics(name, sagemaker_session=cloud.session).dataframe()
    assert set(frame["metric_name"]) == {"loss"}
    assert frame["value"].mean() == pytest.approx(sum(1 / (i + 1) for i in range(5)) / 5, abs=0.3)
    assert total(cloud, "/aws/sagemaker/TrainingJobs", "loss", TrainingJobName=name) == pytest.approx(137 / 60)


def test_pipelines_count_and_an_alarm_starts_one(cloud: Cloud, builder: Builder, tmp_path: Path) -> None:
    pipeline = made(builder)
    alarm = unique("failures")
    events, cloudwatch = cloud.client("events"), cloud.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=alarm, Namespace=alarm, MetricName="psi", Statistic="Maximum", Period=10, EvaluationPeriods=1,
        Threshold=0.2, ComparisonOperator="GreaterThanThreshold", TreatMissingData="notBreaching",
    )  # fmt: skip
    pattern = {
        "source": ["aws.cloudwatch"],
        "detail-type": ["CloudWatch Alarm State Change"],
        "detail": {"alarmName": [alarm], "state": {"value": ["ALARM"]}},
    }
    events.put_rule(Name=alarm, EventPattern=json.dumps(pattern))
    arn = cloud.sagemaker.describe_pipeline(PipelineName=pipeline.name)["PipelineArn"]
    parameters = {"PipelineParameterList": [{"Name": "Word", "Value": "$.detail.alarmName"}]}
    target = {"Id": "p", "Arn": arn, "RoleArn": cloud.role, "SageMakerPipelineParameters": parameters}
    events.put_targets(Rule=alarm, Targets=[target])
    cloudwatch.put_metric_data(
        Namespace=alarm, MetricData=[{"MetricName": "psi", "Value": 0.9, "StorageResolution": 1}]
    )
    until(lambda: cloud.sagemaker.list_pipeline_executions(PipelineName=pipeline.name)["PipelineExecutionSummaries"])
    execution = succeeded(cloud, pipeline.name)
    assert written(cloud, pipeline.name, execution) == alarm
    cloudwatch.delete_alarms(AlarmNames=[alarm])
    namespace = "AWS/Sagemaker/ModelBuildingPipeline"
    for name in ("ExecutionStarted", "ExecutionSucceeded"):
        assert total(cloud, namespace, name, PipelineName=pipeline.name) == 1
    assert total(cloud, namespace, "ExecutionFailed", PipelineName=pipeline.name) == 0
    assert total(cloud, namespace, "ExecutionDuration", PipelineName=pipeline.name) > 0
    for name in ("StepStarted", "StepSucceeded"):
        assert total(cloud, namespace, name, PipelineName=pipeline.name, StepName="say") == 1
