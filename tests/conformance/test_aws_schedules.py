"""EventBridge Scheduler and the rules with schedules: they fire, at the right times, once, also after a restart."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlparity.apis.aws.message import AwsError
from mlparity.apis.aws.targets import Principal
from mlparity.testing import TestClock
from tests.conformance.aws_fixtures import Stack, stack

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)  # a Monday
OFF = {"Mode": "OFF"}


class Pipelines:
    """Stands where SageMaker is: keeps what was asked of it; the same token starts once."""

    def __init__(self) -> None:
        self.started: dict[str, tuple[Mapping[str, Any], Principal]] = {}
        self.errors: list[AwsError] = []

    def __call__(self, request: Mapping[str, Any], token: str, caller: Principal) -> str:
        if self.errors:
            raise self.errors.pop(0)
        self.started.setdefault(token, (request, caller))
        return f"{request['PipelineName']}/execution/{token[:12]}"

    @property
    def requests(self) -> list[Mapping[str, Any]]:
        return [request for request, _ in self.started.values()]


class World:
    """A stack on a clock that the test moves."""

    def __init__(self, running: Stack, clock: TestClock, pipelines: Pipelines) -> None:
        self.running, self.clock, self.pipelines = running, clock, pipelines
        self.account = running.config.account_id
        self.role = running.config.role_arn
        self.scheduler, self.sqs = running.client("scheduler"), running.client("sqs")

    def queue(self, name: str) -> str:
        self.sqs.create_queue(QueueName=name)
        return f"arn:aws:sqs:us-east-1:{self.account}:{name}"

    def pipeline(self, name: str) -> str:
        return f"arn:aws:sagemaker:us-east-1:{self.account}:pipeline/{name}"

    def received(self, arn: str, **wanted: Any) -> list[dict[str, Any]]:
        url = self.sqs.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
        found = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, **wanted).get("Messages", [])
        for message in found:
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return list(found)

    def bodies(self, arn: str) -> list[str]:
        return [message["Body"] for message in self.received(arn)]

    def pass_time(self, minutes: float) -> None:
        """Minute by minute, as the timer thread would see it."""
        end = self.clock.now() + timedelta(minutes=minutes)
        while self.clock.now() < end:
            self.clock.advance(min(60.0, (end - self.clock.now()).total_seconds()))
            self.running.timers.run_due()


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    clock, pipelines = TestClock(START), Pipelines()
    account = str(310000000000 + zlib.crc32(request.node.name.encode()) % 10**9)
    with stack(tmp_path, account, clock, pipelines) as running:
        yield World(running, clock, pipelines)


def test_a_rate_starts_at_its_start_date_and_ends_at_its_end_date(world: World) -> None:
    queue = world.queue("rate")
    world.scheduler.create_schedule(
        Name="rate",
        ScheduleExpression="rate(5 minutes)",
        StartDate=START + timedelta(minutes=2),
        EndDate=START + timedelta(minutes=13),
        FlexibleTimeWindow=OFF,
        Target={"Arn": queue, "RoleArn": world.role},
    )
    seen = []
    for _ in range(20):
        world.pass_time(1)
        seen += [json.loads(body)["time"] for body in world.bodies(queue)]
    assert seen == ["2026-03-02T08:02:00Z", "2026-03-02T08:07:00Z", "2026-03-02T08:12:00Z"]
    assert world.scheduler.get_schedule(Name="rate")["State"] == "ENABLED"


def test_a_target_without_input_is_given_the_vendors_event(world: World) -> None:
    queue = world.queue("event")
    world.scheduler.create_schedule(
        Name="event",
        ScheduleExpression="rate(1 hour)",
        FlexibleTimeWindow=OFF,
        Target={"Arn": queue, "RoleArn": world.role},
    )
    world.running.timers.run_due()  # a rate without a start date begins at once
    (body,) = world.bodies(queue)
    event = json.loads(body)
    arn = f"arn:aws:scheduler:us-east-1:{world.account}:schedule/default/event"
    assert event.pop("id")
    assert event == {
        "version": "0", "detail-type": "Scheduled Event", "source": "aws.scheduler", "account": world.account,
        "time": "2026-03-02T08:00:00Z", "region": "us-east-1", "resources": [arn], "detail": "{}",
    }  # fmt: skip


def test_cron_follows_its_time_zone_and_context_attributes_are_filled(world: World) -> None:
    queue = world.queue("cron")
    world.scheduler.create_schedule(
        Name="cron",
        ScheduleExpression="cron(30 3 ? * MON-FRI *)",
        ScheduleExpressionTimezone="America/New_York",  # 08:30 UTC in winter
        FlexibleTimeWindow=OFF,
        Target={
            "Arn": queue,
            "RoleArn": world.role,
            "Input": "<aws.scheduler.scheduled-time> <aws.scheduler.schedule-arn> <aws.scheduler.attempt-number>",
        },
    )
    world.pass_time(29)
    assert world.bodies(queue) == []
    world.pass_time(2)
    assert world.bodies(queue) == [
        f"2026-03-02T08:30:00Z arn:aws:scheduler:us-east-1:{world.account}:schedule/default/cron 1"
    ]


def test_a_one_time_schedule_starts_a_pipeline_once_and_deletes_itself(world: World) -> None:
    world.scheduler.create_schedule(
        Name="once",
        ScheduleExpression="at(2026-03-02T08:10:00)",
        FlexibleTimeWindow=OFF,
        ActionAfterCompletion="DELETE",
        Target={
            "Arn": world.pipeline("train"),
            "RoleArn": world.role,
            "SageMakerPipelineParameters": {"PipelineParameterList": [{"Name": "Months", "Value": "3"}]},
        },
    )
    world.pass_time(30)
    ((request, caller),) = world.pipelines.started.values()
    assert request == {
        "PipelineName": world.pipeline("train"),
        "PipelineParameters": [{"Name": "Months", "Value": "3"}],
    }
    name = world.running.config.role_name
    assert caller.arn.startswith(f"arn:aws:sts::{world.account}:assumed-role/{name}/")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        world.scheduler.get_schedule(Name="once")


def test_the_universal_target_starts_pipelines_by_the_operations_own_request(world: World) -> None:
    given = {"PipelineName": "train", "PipelineExecutionDisplayName": "nightly"}
    world.scheduler.create_schedule(
        Name="universal",
        ScheduleExpression="at(2026-03-02T08:01:00)",
        FlexibleTimeWindow=OFF,
        Target={
            "Arn": "arn:aws:scheduler:::aws-sdk:sagemaker:startPipelineExecution",
            "RoleArn": world.role,
            "Input": json.dumps(given),
        },
    )
    world.pass_time(2)
    assert world.pipelines.requests == [given]


def test_topics_and_buses_are_targets(world: World) -> None:
    queue = world.queue("ends")
    topic = world.running.client("sns").create_topic(Name="topic")["TopicArn"]
    world.running.client("sns").subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes={"RawMessageDelivery": "true"}
    )
    events = world.running.client("events")
    events.put_rule(Name="mine", EventPattern=json.dumps({"source": ["my.schedule"]}))
    events.put_targets(Rule="mine", Targets=[{"Id": "q", "Arn": queue, "InputPath": "$.detail"}])
    bus = f"arn:aws:events:us-east-1:{world.account}:event-bus/default"
    targets = [
        {"Arn": topic, "Input": "to the topic"},
        {"Arn": bus, "Input": '{"n": 1}', "EventBridgeParameters": {"Source": "my.schedule", "DetailType": "T"}},
    ]
    for number, target in enumerate(targets):
        world.scheduler.create_schedule(
            Name=f"s{number}",
            ScheduleExpression="at(2026-03-02T08:01:00)",
            FlexibleTimeWindow=OFF,
            Target={"RoleArn": world.role, **target},
        )
    world.pass_time(2)
    assert sorted(world.bodies(queue)) == ["to the topic", '{"n": 1}']


def test_a_flexible_window_moves_the_invocation_within_it(world: World) -> None:
    queue = world.queue("flexible")
    for number in range(8):
        world.scheduler.create_schedule(
            Name=f"flexible{number}",
            ScheduleExpression="at(2026-03-02T08:10:00)",
            FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 10},
            Target={"Arn": queue, "RoleArn": world.role, "Input": str(number)},
        )
    counts = []
    for _ in range(25):
        world.pass_time(1)
        counts.append(len(world.bodies(queue)))
    assert sum(counts[:9]) == 0
    assert sum(counts[9:21]) == 8
    assert max(counts) < 8


def test_a_failing_target_is_tried_again_and_then_goes_to_the_dead_letter_queue(world: World) -> None:
    dead = world.queue("dead")

    def create(name: str) -> None:
        world.scheduler.create_schedule(
            Name=name,
            ScheduleExpression=f"at({world.clock.now() + timedelta(minutes=1):%Y-%m-%dT%H:%M:%S})",
            FlexibleTimeWindow=OFF,
            Target={
                "Arn": world.pipeline("train"),
                "RoleArn": world.role,
                "RetryPolicy": {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 3600},
                "DeadLetterConfig": {"Arn": dead},
            },
        )

    busy = AwsError("ServiceUnavailable", "busy", 503)
    world.pipelines.errors = [busy, busy]
    create("third-time-lucky")
    world.pass_time(5)
    assert len(world.pipelines.started) == 1
    world.pipelines.errors = [busy, busy, busy]
    create("given-up")
    world.pass_time(5)
    world.pipelines.errors = [AwsError("ResourceNotFound", "no such pipeline")]
    create("refused")
    world.pass_time(5)
    assert len(world.pipelines.started) == 1
    messages = world.received(dead, MessageAttributeNames=["All"])
    found = {}
    for message in messages:
        attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
        found[attributes.pop("SCHEDULE_ARN").rpartition("/")[2]] = attributes
    assert found["given-up"]["EXHAUSTED_RETRY_CONDITION"] == "MaximumRetryAttempts"
    assert found["given-up"]["RETRY_ATTEMPTS"] == "2"
    assert found["given-up"]["ERROR_CODE"] == "ServiceUnavailable"
    assert found["given-up"]["TARGET_ARN"] == world.pipeline("train")
    # What refuses would refuse again: no retries.
    assert found["refused"]["ERROR_CODE"] == "ResourceNotFound"
    assert found["refused"]["RETRY_ATTEMPTS"] == "0"
    assert "EXHAUSTED_RETRY_CONDITION" not in found["refused"]


def test_updates_states_and_deletion_count_at_once(world: World) -> None:
    queue = world.queue("changing")
    target = {"Arn": queue, "RoleArn": world.role, "Input": "x"}

    def put(expression: str, state: str, operation: str = "update_schedule") -> None:
        getattr(world.scheduler, operation)(
            Name="changing", ScheduleExpression=expression, State=state, FlexibleTimeWindow=OFF, Target=target
        )

    put("cron(0/1 * * * ? *)", "DISABLED", "create_schedule")
    world.pass_time(3)
    assert world.bodies(queue) == []
    put("cron(0/1 * * * ? *)", "ENABLED")
    world.pass_time(2)
    assert len(world.bodies(queue)) >= 2
    put("cron(0 0 1 1 ? 2030)", "ENABLED")
    world.bodies(queue)
    world.pass_time(3)
    assert world.bodies(queue) == []
    world.scheduler.delete_schedule(Name="changing")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        world.scheduler.delete_schedule(Name="changing")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ScheduleExpression": "cron(* * * * * *)"}, "Invalid Schedule Expression"),
        ({"ScheduleExpression": "rate(1 week)"}, "Invalid Schedule Expression"),
        ({"ScheduleExpressionTimezone": "Mars/Olympus"}, "ScheduleExpressionTimezone"),
        ({"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}}, "MaximumWindowInMinutes"),
        ({"FlexibleTimeWindow": {"Mode": "SOMETIMES"}}, "enum value set"),
        ({"GroupName": "nope"}, "ResourceNotFoundException"),
        ({"StartDate": START - timedelta(hours=1)}, "cannot be earlier than 5 minutes ago"),
        ({"EndDate": START - timedelta(hours=1)}, "EndDate"),
        ({"State": "ON"}, "enum value set"),
        ({"Target": {"Arn": "arn:aws:lambda:us-east-1:1:function:f"}}, "not a supported target"),
        ({"Target": {"Arn": "arn:aws:scheduler:::aws-sdk:ec2:stopInstances", "Input": "{}"}}, "not a supported target"),
        ({"Target": {"Arn": "arn:aws:scheduler:::aws-sdk:sagemaker:startPipelineExecution"}}, "RequestJson"),
        ({"Target": {"Arn": "nonsense"}}, "correct format"),
        ({"Target": {"Arn": "arn:aws:events:us-east-1:1:event-bus/default"}}, "EventBridgeParameters is required"),
        ({"Target": {"Arn": "arn:aws:sqs:us-east-1:1:q", "SageMakerPipelineParameters": {}}}, "not valid for target"),
        ({"Target": {"Arn": "arn:aws:sqs:us-east-1:1:q.fifo"}}, "MessageGroupId"),
        (
            {"Target": {"RoleArn": "arn:aws:iam::123456789012:role/none"}},
            "must allow AWS EventBridge Scheduler to assume",
        ),
        (
            {"Target": {"DeadLetterConfig": {"Arn": "arn:aws:sqs:us-east-1:123456789012:d.fifo"}}},
            "deadLetterConfig.arn",
        ),
        ({"Target": {"RetryPolicy": {"MaximumRetryAttempts": 186}}}, "less than or equal to 185"),
    ],
)
def test_what_cannot_be_is_refused_when_the_schedule_is_made(world: World, change: dict[str, Any], said: str) -> None:
    request: dict[str, Any] = {
        "Name": "bad", "ScheduleExpression": "rate(1 day)", "FlexibleTimeWindow": OFF,
        "Target": {"Arn": f"arn:aws:sqs:us-east-1:{world.account}:q", "RoleArn": world.role},
    }  # fmt: skip
    request |= {**change, "Target": request["Target"] | change.get("Target", {})}
    with pytest.raises(ClientError, match=said):
        world.scheduler.create_schedule(**request)
    assert world.scheduler.list_schedules()["Schedules"] == []


def test_groups_lists_and_tags(world: World) -> None:
    scheduler = world.scheduler
    arn = scheduler.create_schedule_group(Name="team", Tags=[{"Key": "a", "Value": "1"}])["ScheduleGroupArn"]
    with pytest.raises(ClientError, match="ConflictException"):
        scheduler.create_schedule_group(Name="team")
    scheduler.tag_resource(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    scheduler.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert scheduler.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    queue = world.queue("q")
    for number in range(5):
        for group in ("default", "team"):
            scheduler.create_schedule(
                Name=f"s{number}",
                GroupName=group,
                State="DISABLED" if number % 2 else "ENABLED",
                ScheduleExpression="rate(1 day)",
                FlexibleTimeWindow=OFF,
                Target={"Arn": queue, "RoleArn": world.role},
            )
    pages = scheduler.get_paginator("list_schedules").paginate(PaginationConfig={"PageSize": 3})
    assert len([each for page in pages for each in page["Schedules"]]) == 10
    found = scheduler.list_schedules(GroupName="team", State="DISABLED", NamePrefix="s")["Schedules"]
    assert [(each["Name"], each["GroupName"]) for each in found] == [("s1", "team"), ("s3", "team")]
    assert [each["Name"] for each in scheduler.list_schedule_groups()["ScheduleGroups"]] == ["default", "team"]
    scheduler.delete_schedule_group(Name="team")
    assert len(scheduler.list_schedules()["Schedules"]) == 5
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        scheduler.get_schedule_group(Name="team")
    with pytest.raises(ClientError, match="ValidationException"):
        scheduler.delete_schedule_group(Name="default")


def test_rules_with_schedules_fire_from_when_they_were_made(world: World) -> None:
    queue = world.queue("rules")
    events = world.running.client("events")
    for name, expression in (("each", "rate(2 minutes)"), ("noon", "cron(5 8 * * ? *)")):
        events.put_rule(Name=name, ScheduleExpression=expression)
        events.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": queue}])
    world.pass_time(5)
    found = [json.loads(body) for body in world.bodies(queue)]
    times = sorted((event["time"], event["resources"][0].rpartition("/")[2]) for event in found)
    assert times == [
        ("2026-03-02T08:02:00Z", "each"),
        ("2026-03-02T08:04:00Z", "each"),
        ("2026-03-02T08:05:00Z", "noon"),
    ]
    assert {event["source"] for event in found} == {"aws.events"}
    assert {event["detail-type"] for event in found} == {"Scheduled Event"}
    events.disable_rule(Name="each")
    world.pass_time(4)
    assert world.bodies(queue) == []
    for expression in ("rate(1 minutes)", "cron(* * * * * *)", "at(2026-03-02T08:10:00)"):
        with pytest.raises(ClientError, match="ScheduleExpression is not valid"):
            events.put_rule(Name="bad", ScheduleExpression=expression)


def test_rules_start_pipelines_with_values_from_the_event(world: World) -> None:
    events = world.running.client("events")
    events.put_rule(Name="approved", EventPattern=json.dumps({"source": ["aws.sagemaker"]}))
    target: dict[str, Any] = {
        "Id": "p",
        "Arn": world.pipeline("deploy"),
        "SageMakerPipelineParameters": {
            "PipelineParameterList": [
                {"Name": "Package", "Value": "$.detail.ModelPackageArn"},
                {"Name": "Version", "Value": "$.detail.ModelPackageVersion"},
                {"Name": "Stage", "Value": "prod"},
            ]
        },
    }
    with pytest.raises(ClientError, match="RoleArn is required for target"):
        events.put_targets(Rule="approved", Targets=[target])
    with pytest.raises(ClientError, match=r"cannot be assumed by principal 'events.amazonaws.com'"):
        events.put_targets(Rule="approved", Targets=[target | {"RoleArn": "arn:aws:iam::123456789012:role/none"}])
    events.put_targets(Rule="approved", Targets=[target | {"RoleArn": world.role}])
    event = {
        "id": "7c4e6c1e-4f4b-4d0a-9a55-3d1f0d7b6a10",
        "source": "aws.sagemaker",
        "detail-type": "SageMaker Model Package State Change",
        "detail": {"ModelPackageArn": "arn:x", "ModelPackageVersion": 3},
    }
    world.running.services.publish(event)
    world.running.services.publish(event)  # a crash repeats a delivery
    assert world.pipelines.requests == [
        {
            "PipelineName": world.pipeline("deploy"),
            "PipelineParameters": [
                {"Name": "Package", "Value": "arn:x"},
                {"Name": "Version", "Value": "3"},
                {"Name": "Stage", "Value": "prod"},
            ],
        }
    ]
    # Busy at first: the event is kept and tried again.
    world.pipelines.errors = [AwsError("ServiceUnavailable", "busy", 503)]
    world.running.services.publish(event | {"id": "another"})
    assert len(world.pipelines.started) == 1
    world.pass_time(1)
    assert len(world.pipelines.started) == 2


def test_all_of_it_survives_a_restart(tmp_path: Path) -> None:
    account, clock, pipelines = "319999999999", TestClock(START), Pipelines()
    with stack(tmp_path, account, clock, pipelines) as running:
        before = World(running, clock, pipelines)
        queue = before.queue("kept")
        before.scheduler.create_schedule(
            Name="each", ScheduleExpression="rate(10 minutes)", FlexibleTimeWindow=OFF,
            Target={"Arn": queue, "RoleArn": before.role, "Input": "schedule"},
        )  # fmt: skip
        before.scheduler.create_schedule(
            Name="train", ScheduleExpression="at(2026-03-02T08:01:00)", FlexibleTimeWindow=OFF,
            Target={"Arn": before.pipeline("train"), "RoleArn": before.role},
        )  # fmt: skip
        events = running.client("events")
        events.put_rule(Name="rule", ScheduleExpression="rate(15 minutes)")
        events.put_targets(Rule="rule", Targets=[{"Id": "q", "Arn": queue, "Input": "rule"}])
        pipelines.errors = [AwsError("ServiceUnavailable", "busy", 503)] * 2
        clock.advance(60)
        running.timers.run_due()
        assert before.bodies(queue) == ["schedule"]
        assert pipelines.started == {}
    clock.advance(61 * 60)  # down: 08:01 to 09:02
    pipelines.errors = []
    with stack(tmp_path, account, clock, pipelines) as running:
        running.services.warm()
        after = World(running, clock, pipelines)
        running.timers.run_due()
        assert len(pipelines.started) == 1  # the retry that was owed
        assert after.bodies(queue) == []  # nothing is made up for
        assert after.scheduler.get_schedule(Name="each")["State"] == "ENABLED"
        after.pass_time(8)
        assert after.bodies(queue) == ["schedule"]  # 09:10
        after.pass_time(5)
        assert after.bodies(queue) == ["rule"]  # 09:15
