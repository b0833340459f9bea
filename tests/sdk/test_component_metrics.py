"""SageMaker Metrics: values put for a trial component are summed up, found, read back as a series, and refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from tests.sdk.cloud import Cloud, unique

BEGIN = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
LOSSES = [4.0, 2.0, 1.0, 0.5, 0.25]


@pytest.fixture
def component(cloud: Cloud) -> str:
    name = unique("run")
    cloud.sagemaker.create_trial_component(TrialComponentName=name)
    data = [
        {"MetricName": "loss", "Timestamp": BEGIN + timedelta(seconds=30 * step), "Step": step, "Value": value}
        for step, value in enumerate(LOSSES)
    ]
    client = cloud.client("sagemaker-metrics")
    for batch in (data[:3], [*data[3:], {"MetricName": "accuracy", "Timestamp": BEGIN, "Value": 0.5}]):
        assert client.batch_put_metrics(TrialComponentName=name, MetricData=batch).get("Errors", []) == []
    return name


def test_a_component_shows_what_was_put_for_it(cloud: Cloud, component: str) -> None:
    described = cloud.sagemaker.describe_trial_component(TrialComponentName=component)
    metrics = {item["MetricName"]: item for item in described["Metrics"]}
    assert sorted(metrics) == ["accuracy", "loss"]
    loss = metrics["loss"]
    assert loss["SourceArn"] == described["TrialComponentArn"]
    assert loss["TimeStamp"] == BEGIN + timedelta(minutes=2)
    assert (loss["Count"], loss["Min"], loss["Max"], loss["Last"]) == (5, 0.25, 4.0, 0.25)
    assert loss["Avg"] == pytest.approx(sum(LOSSES) / 5)
    assert loss["StdDev"] == pytest.approx(np.std(LOSSES))
    found = cloud.sagemaker.search(
        Resource="ExperimentTrialComponent",
        SearchExpression={
            "Filters": [
                {"Name": "TrialComponentName", "Operator": "Equals", "Value": component},
                {"Name": "Metrics.loss.Min", "Operator": "LessThan", "Value": "0.3"},
            ]
        },
    )["Results"]
    assert [item["TrialComponent"]["Metrics"] for item in found] == [described["Metrics"]]
    cloud.sagemaker.delete_trial_component(TrialComponentName=component)
    cloud.sagemaker.create_trial_component(TrialComponentName=component)
    assert "Metrics" not in cloud.sagemaker.describe_trial_component(TrialComponentName=component)


def test_series_come_by_step_and_by_time(cloud: Cloud, component: str) -> None:
    arn = cloud.sagemaker.describe_trial_component(TrialComponentName=component)["TrialComponentArn"]
    usual = {"MetricName": "loss", "ResourceArn": arn}

    def query(**members: Any) -> dict[str, Any]:
        return {**usual, "MetricStat": "Avg", "XAxisType": "Timestamp", "Period": "OneMinute", **members}

    queries = [
        query(MetricStat="Last", XAxisType="IterationNumber", Period="IterationNumber", Start=1, End=3),
        query(),
        query(MetricName="none"),
        query(Period="IterationNumber"),
        query(ResourceArn=arn.replace(component, "other")),
    ]
    results = cloud.client("sagemaker-metrics").batch_get_metrics(MetricQueries=queries)["MetricQueryResults"]
    statuses = [result["Status"] for result in results]
    assert statuses == ["Complete", "Complete", "Complete", "ValidationError", "ValidationError"]
    assert (results[0]["XAxisValues"], results[0]["MetricValues"]) == ([1, 2, 3], [2.0, 1.0, 0.5])
    minute = int(BEGIN.timestamp() * 1000)
    assert results[1]["XAxisValues"] == [minute, minute + 60_000, minute + 120_000]
    assert results[1]["MetricValues"] == [3.0, 0.75, 0.25]
    assert results[2]["XAxisValues"] == []


def test_what_cannot_be_put_is_refused(cloud: Cloud, component: str) -> None:
    client = cloud.client("sagemaker-metrics")
    wrong = {"MetricName": "loss", "Timestamp": BEGIN, "Value": float("nan")}
    answer = client.batch_put_metrics(TrialComponentName=component, MetricData=[wrong])
    assert answer["Errors"] == [{"Code": "VALIDATION_ERROR", "MetricIndex": 0}]
    with pytest.raises(ClientError, match="ResourceNotFound"):
        client.batch_put_metrics(TrialComponentName=unique("none"), MetricData=[{**wrong, "Value": 1.0}])
    with pytest.raises(ClientError, match="ValidationException"):
        client.batch_put_metrics(TrialComponentName=component, MetricData=[{**wrong, "Value": 1.0}] * 11)
