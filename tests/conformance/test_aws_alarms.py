"""CloudWatch: metrics are read back by statistic; alarms change state by themselves, tell it and act."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlparity.apis.aws.metrics import ServiceMetric
from mlparity.testing import TestClock
from tests.conformance.aws_fixtures import Stack, stack

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
PSI: dict[str, Any] = {"Namespace": "mlparity/drift", "MetricName": "psi"}


class World:
    """A stack on a clock that the test moves."""

    def __init__(self, running: Stack, clock: TestClock) -> None:
        self.running, self.clock = running, clock
        self.account = running.config.account_id
        self.cloudwatch, self.sqs = running.client("cloudwatch"), running.client("sqs")

    def put(self, value: float, **more: Any) -> None:
        data = {"MetricName": "psi", "Value": value, **more}
        self.cloudwatch.put_metric_data(Namespace="mlparity/drift", MetricData=[data])

    def pass_time(self, minutes: int = 1) -> None:
        for _ in range(minutes):
            self.clock.advance(60)
            self.running.timers.run_due()

    def alarm(self, name: str = "drift", **changes: Any) -> None:
        self.cloudwatch.put_metric_alarm(
            **{
                "AlarmName": name, **PSI, "Statistic": "Average", "Period": 60, "EvaluationPeriods": 1,
                "Threshold": 0.2, "ComparisonOperator": "GreaterThanThreshold", **changes,
            }
        )  # fmt: skip

    def described(self, name: str = "drift") -> dict[str, Any]:
        (found,) = self.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
        return dict(found)

    def state(self, name: str = "drift") -> str:
        return str(self.described(name)["StateValue"])

    def queue(self, name: str) -> str:
        self.sqs.create_queue(QueueName=name)
        return f"arn:aws:sqs:us-east-1:{self.account}:{name}"

    def received(self, name: str) -> list[dict[str, Any]]:
        url = self.sqs.get_queue_url(QueueName=name)["QueueUrl"]
        found = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for message in found:
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in found]

    def history(self, kind: str, name: str = "drift") -> list[str]:
        items = self.cloudwatch.describe_alarm_history(
            AlarmName=name, HistoryItemType=kind, ScanBy="TimestampAscending"
        )["AlarmHistoryItems"]
        return [item["HistorySummary"] for item in items]


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    clock = TestClock(START)
    with stack(tmp_path, str(320000000000 + zlib.crc32(request.node.name.encode()) % 10**9), clock) as running:
        yield World(running, clock)


def test_statistics_by_period_dimension_and_unit(world: World) -> None:
    stage = [{"Name": "Stage", "Value": "prod"}]
    for minute, value in enumerate((1.0, 3.0, 8.0)):
        world.put(value, Dimensions=stage, Timestamp=START + timedelta(minutes=minute), Unit="Percent")
    world.put(100.0)
    asked = {
        **PSI, "Dimensions": stage, "StartTime": START, "EndTime": START + timedelta(hours=1),
    }  # fmt: skip
    found = world.cloudwatch.get_metric_statistics(
        **asked, Period=120, Statistics=["Average", "Sum", "Maximum", "Minimum", "SampleCount"],
        ExtendedStatistics=["p50"],
    )["Datapoints"]  # fmt: skip
    found.sort(key=lambda point: point["Timestamp"])
    assert [(point["Timestamp"], point["Average"], point["Sum"], point["SampleCount"]) for point in found] == [
        (START, 2.0, 4.0, 2.0),
        (START + timedelta(minutes=2), 8.0, 8.0, 1.0),
    ]
    assert found[0]["Unit"] == "Percent"
    assert found[0]["ExtendedStatistics"] == {"p50": 2.0}
    assert not world.cloudwatch.get_metric_statistics(**asked, Period=60, Statistics=["Sum"], Unit="Count")[
        "Datapoints"
    ]
    (listed,) = world.cloudwatch.list_metrics(**PSI, Dimensions=[{"Name": "Stage"}])["Metrics"]
    assert listed == {**PSI, "Dimensions": stage}
    assert len(world.cloudwatch.list_metrics(Namespace="mlparity/drift")["Metrics"]) == 2
    metric = {**PSI, "Dimensions": stage}
    query = {"Id": "m1", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "p90"}}
    pages = world.cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=[query, {**query, "Id": "m2", "Label": "two"}],
        StartTime=START, EndTime=START + timedelta(hours=1), ScanBy="TimestampAscending", MaxDatapoints=2,
    )  # fmt: skip
    results: dict[str, list[float]] = {}
    for page in pages:
        for result in page["MetricDataResults"]:
            results.setdefault(result["Label"], []).extend(result["Values"])
    assert results == {"psi": [1.0, 3.0, 8.0], "two": [1.0, 3.0, 8.0]}


@pytest.mark.parametrize(
    ("datum", "code"),
    [
        ({}, "InvalidParameterCombination"),
        ({"Value": 1.0, "Values": [1.0]}, "InvalidParameterCombination"),
        ({"Value": float("nan")}, "InvalidParameterValue"),
        ({"Value": float("inf")}, "InvalidParameterValue"),
        ({"Value": 1.0, "Timestamp": START - timedelta(days=15)}, "InvalidParameterValue"),
        ({"Value": 1.0, "Timestamp": START + timedelta(hours=3)}, "InvalidParameterValue"),
        ({"Values": [1.0, 2.0], "Counts": [1.0]}, "InvalidParameterValue"),
        ({"Value": 1.0, "StorageResolution": 7}, "InvalidParameterValue"),
        ({"Value": 1.0, "Unit": "Parsecs"}, "ValidationError"),
    ],
)
def test_data_that_cannot_be_are_refused_whole(world: World, datum: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError, match=code):
        world.cloudwatch.put_metric_data(
            Namespace="mlparity/drift",
            MetricData=[{"MetricName": "fine", "Value": 1.0}, {"MetricName": "psi", **datum}],
        )
    assert world.cloudwatch.list_metrics()["Metrics"] == []


def test_metric_math_is_refused_by_name(world: World) -> None:
    with pytest.raises(ClientError, match="metric math is not served"):
        world.cloudwatch.get_metric_data(
            MetricDataQueries=[{"Id": "e", "Expression": "m1/m2"}], StartTime=START, EndTime=START + timedelta(hours=1)
        )


def test_metrics_are_forgotten_after_15_days(world: World) -> None:
    world.put(1.0)
    world.clock.advance(16 * 86400)
    world.running.timers.run_due()
    found = world.cloudwatch.get_metric_statistics(
        **PSI, StartTime=START - timedelta(minutes=1), EndTime=START + timedelta(hours=1), Period=60, Statistics=["Sum"]
    )
    assert found["Datapoints"] == []
    assert world.cloudwatch.list_metrics()["Metrics"] == []


def test_an_alarm_goes_through_its_states_tells_and_acts(world: World) -> None:
    topic = world.running.client("sns").create_topic(Name="alarms")["TopicArn"]
    world.running.client("sns").subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=world.queue("mail"), Attributes={"RawMessageDelivery": "true"}
    )
    events = world.running.client("events")
    pattern = {"source": ["aws.cloudwatch"], "detail": {"alarmName": ["drift"], "state": {"value": ["ALARM"]}}}
    events.put_rule(Name="on-alarm", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="on-alarm", Targets=[{"Id": "q", "Arn": world.queue("bus")}])
    world.alarm(AlarmActions=[topic], AlarmDescription="inputs drift")
    fresh = world.described()
    assert fresh["StateValue"] == "INSUFFICIENT_DATA"
    assert fresh["StateReason"] == "Unchecked: Initial alarm creation"
    assert fresh["AlarmArn"] == f"arn:aws:cloudwatch:us-east-1:{world.account}:alarm:drift"
    world.pass_time()
    assert world.state() == "INSUFFICIENT_DATA"
    world.put(0.1)
    world.pass_time()
    assert world.state() == "OK"
    world.put(0.5)
    world.pass_time()
    found = world.described()
    assert found["StateValue"] == "ALARM"
    assert (
        "1 out of the last 1 datapoint [0.5 (02/03/26 08:02:00)] was greater than the threshold (0.2)"
        in found["StateReason"]
    )
    assert json.loads(found["StateReasonData"])["recentDatapoints"] == [0.5]
    assert found["StateUpdatedTimestamp"] == START + timedelta(minutes=3)
    (mail,) = world.received("mail")
    assert (mail["AlarmName"], mail["OldStateValue"], mail["NewStateValue"]) == ("drift", "OK", "ALARM")
    assert mail["Trigger"]["MetricName"] == "psi"
    (event,) = world.received("bus")
    assert event["detail-type"] == "CloudWatch Alarm State Change"
    assert event["resources"] == [found["AlarmArn"]]
    detail = event["detail"]
    assert detail["state"]["value"] == "ALARM"
    assert detail["previousState"]["value"] == "OK"
    assert detail["configuration"]["metrics"][0]["metricStat"]["metric"] == {
        "namespace": "mlparity/drift", "name": "psi", "dimensions": {},
    }  # fmt: skip
    world.pass_time(4)
    assert world.state() == "INSUFFICIENT_DATA"
    assert world.received("bus") == []
    assert world.history("StateUpdate") == [
        "Alarm updated from INSUFFICIENT_DATA to OK",
        "Alarm updated from OK to ALARM",
        "Alarm updated from ALARM to INSUFFICIENT_DATA",
    ]
    assert world.history("Action") == [f"Successfully executed action {topic}"]
    assert world.history("ConfigurationUpdate") == ['Alarm "drift" created']


def test_m_of_n_percentiles_and_high_resolution(world: World) -> None:
    world.alarm("two-of-three", EvaluationPeriods=3, DatapointsToAlarm=2, TreatMissingData="notBreaching")
    changes = {"ExtendedStatistic": "p90", "Statistic": None}
    request = {
        "AlarmName": "p90", **PSI, "Period": 60, "EvaluationPeriods": 1, "Threshold": 0.6,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold", **changes,
    }  # fmt: skip
    world.cloudwatch.put_metric_alarm(**{name: value for name, value in request.items() if value is not None})
    world.alarm("quick", Period=10, MetricName="fast")
    for value in (0.5, 0.1, 0.5):
        world.put(value)
        world.pass_time()
    assert world.state("two-of-three") == "ALARM"
    assert world.state("p90") == "OK"
    world.cloudwatch.put_metric_data(
        Namespace="mlparity/drift", MetricData=[{"MetricName": "psi", "Values": [0.1, 0.9], "Counts": [5, 5]}]
    )
    world.put(0.7, MetricName="fast", StorageResolution=1)
    world.clock.advance(10)
    world.running.timers.run_due()
    assert world.state("quick") == "ALARM"
    assert world.state("p90") == "OK"
    world.pass_time()
    assert world.state("p90") == "ALARM"


def test_states_set_by_hand_and_actions_switched_off(world: World) -> None:
    topic = world.running.client("sns").create_topic(Name="alarms")["TopicArn"]
    world.alarm(AlarmActions=[topic], TreatMissingData="ignore")
    cloudwatch = world.cloudwatch
    cloudwatch.disable_alarm_actions(AlarmNames=["drift"])
    assert world.described()["ActionsEnabled"] is False
    cloudwatch.set_alarm_state(AlarmName="drift", StateValue="ALARM", StateReason="a test", StateReasonData='{"a": 1}')
    world.pass_time()
    assert world.state() == "ALARM"
    assert world.described()["StateReason"] == "a test"
    assert world.history("Action") == []
    cloudwatch.enable_alarm_actions(AlarmNames=["drift"])
    cloudwatch.set_alarm_state(AlarmName="drift", StateValue="OK", StateReason="over")
    cloudwatch.set_alarm_state(AlarmName="drift", StateValue="ALARM", StateReason="again")
    world.pass_time()
    assert world.history("Action") == [f"Successfully executed action {topic}"]
    with pytest.raises(ClientError, match="ResourceNotFound"):
        cloudwatch.set_alarm_state(AlarmName="none", StateValue="OK", StateReason="x")
    cloudwatch.delete_alarms(AlarmNames=["drift", "none"])
    assert cloudwatch.describe_alarms()["MetricAlarms"] == []


def test_lists_tags_and_alarms_of_a_metric(world: World) -> None:
    for number in range(7):
        world.alarm(f"a{number}", Tags=[{"Key": "n", "Value": str(number)}], Dimensions=[{"Name": "D", "Value": "1"}])
    world.alarm("other", MetricName="other")
    world.cloudwatch.set_alarm_state(AlarmName="a3", StateValue="ALARM", StateReason="x")
    pages = world.cloudwatch.get_paginator("describe_alarms").paginate(PaginationConfig={"PageSize": 3})
    assert len([alarm for page in pages for alarm in page["MetricAlarms"]]) == 8
    (found,) = world.cloudwatch.describe_alarms(AlarmNamePrefix="a", StateValue="ALARM")["MetricAlarms"]
    assert found["AlarmName"] == "a3"
    mine = world.cloudwatch.describe_alarms_for_metric(**PSI, Dimensions=[{"Name": "D", "Value": "1"}])
    assert len(mine["MetricAlarms"]) == 7
    arn = found["AlarmArn"]
    assert world.cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "n", "Value": "3"}]
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        world.cloudwatch.list_tags_for_resource(ResourceARN=f"{arn}-none")
    waiter = world.cloudwatch.get_waiter("alarm_exists")
    waiter.wait(AlarmNames=["a3"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"Period": 45}, "Period must be"),
        ({"Period": 3600, "EvaluationPeriods": 200}, "seconds at most"),
        ({"DatapointsToAlarm": 2}, "DatapointsToAlarm"),
        ({"TreatMissingData": "maybe"}, "TreatMissingData"),
        ({"ExtendedStatistic": "p90"}, "Exactly one of Statistic"),
        ({"AlarmActions": ["arn:aws:lambda:us-east-1:123456789012:function:f"]}, "SNS topics"),
        ({"ComparisonOperator": "LessThanLowerThreshold"}, "anomaly detector"),
        ({"ThresholdMetricId": "m1"}, "is not served by mlparity"),
    ],
)
def test_alarms_that_cannot_be_evaluated_are_refused(world: World, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ClientError, match=said):
        world.alarm(**change)
    with pytest.raises(ClientError, match="PutCompositeAlarm is not served by mlparity"):
        world.cloudwatch.put_composite_alarm(AlarmName="c", AlarmRule="ALARM(a)")
    assert world.cloudwatch.describe_alarms()["MetricAlarms"] == []


def test_alarms_metrics_and_dashboards_survive_a_restart(tmp_path: Path) -> None:
    account, clock = "329999999999", TestClock(START)
    with stack(tmp_path, account, clock) as running:
        before = World(running, clock)
        before.alarm()
        before.put(0.5)
        before.running.services.publish_metrics(
            [ServiceMetric("/aws/sagemaker/TrainingJobs", "loss", {"TrainingJobName": "t"}, 0.25, "None", clock.now())]
        )
        before.cloudwatch.put_dashboard(DashboardName="d", DashboardBody='{"widgets": []}')
        before.pass_time()
        assert before.state() == "ALARM"
        described = before.described()
    clock.advance(3600)
    with stack(tmp_path, account, clock) as running:
        after = World(running, clock)
        assert after.described() == described
        assert after.history("StateUpdate") == ["Alarm updated from INSUFFICIENT_DATA to ALARM"]
        assert after.cloudwatch.get_dashboard(DashboardName="d")["DashboardBody"] == '{"widgets": []}'
        (loss,) = after.cloudwatch.list_metrics(Namespace="/aws/sagemaker/TrainingJobs")["Metrics"]
        assert loss["Dimensions"] == [{"Name": "TrainingJobName", "Value": "t"}]
        after.pass_time()
        assert after.state() == "INSUFFICIENT_DATA"
        after.put(0.5)
        after.pass_time()
        assert after.state() == "ALARM"
