"""EventBridge: service events and users' events reach the targets of matching rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.aws_fixtures import Stack, stack

ACCOUNT = "300000000001"
PACKAGE = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:model-package/flights/3"
APPROVED = {
    "id": "7c4e6c1e-4f4b-4d0a-9a55-3d1f0d7b6a10",
    "source": "aws.sagemaker",
    "detail-type": "SageMaker Model Package State Change",
    "resources": [PACKAGE],
    "time": datetime(2026, 11, 5, 6, 7, 8, tzinfo=UTC),
    "detail": {"ModelPackageGroupName": "flights", "ModelApprovalStatus": "Approved", "ModelPackageVersion": 3},
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack(tmp_path_factory.mktemp("events"), ACCOUNT) as found:
        yield found


class Target:
    """A queue, and rules that send to it."""

    def __init__(self, running: Stack, name: str) -> None:
        self.events, self.sqs, self.name = running.client("events"), running.client("sqs"), name
        self.url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        self.arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"

    def listen(self, pattern: dict[str, Any], **target: Any) -> None:
        self.events.put_rule(Name=self.name, EventPattern=json.dumps(pattern))
        self.events.put_targets(Rule=self.name, Targets=[{"Id": "q", "Arn": self.arn, **target}])

    def received(self) -> list[str]:
        found = self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages", [])
        for message in found:
            self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return [message["Body"] for message in found]


def test_an_approval_reaches_the_queue_in_the_vendors_envelope(running: Stack) -> None:
    target = Target(running, "approvals")
    target.listen(
        {
            "source": ["aws.sagemaker"],
            "detail-type": ["SageMaker Model Package State Change"],
            "detail": {"ModelApprovalStatus": ["Approved"], "ModelPackageGroupName": [{"prefix": "fli"}]},
        }
    )
    running.services.publish(APPROVED)
    running.services.publish(APPROVED | {"detail": APPROVED["detail"] | {"ModelApprovalStatus": "Rejected"}})
    running.services.publish(APPROVED | {"detail-type": "SageMaker Training Job State Change"})
    (body,) = target.received()
    assert json.loads(body) == {
        "version": "0",
        "id": APPROVED["id"],
        "detail-type": "SageMaker Model Package State Change",
        "source": "aws.sagemaker",
        "account": ACCOUNT,
        "time": "2026-11-05T06:07:08Z",
        "region": "us-east-1",
        "resources": [PACKAGE],
        "detail": APPROVED["detail"],
    }


def test_a_disabled_or_deleted_rule_is_silent(running: Stack) -> None:
    target = Target(running, "silent")
    target.listen({"source": ["aws.sagemaker"]})
    target.events.disable_rule(Name="silent")
    running.services.publish(APPROVED)
    assert target.received() == []
    target.events.enable_rule(Name="silent")
    running.services.publish(APPROVED)
    assert len(target.received()) == 1
    target.events.remove_targets(Rule="silent", Ids=["q"])
    target.events.delete_rule(Name="silent")
    running.services.publish(APPROVED)
    assert target.received() == []


PATHS = {
    "group": "$.detail.ModelPackageGroupName",
    "arn": "$.resources[0]",
    "v": "$.detail.ModelPackageVersion",
}
TEMPLATE = '{"text": "<group> v<v>", "arn": <arn>, "version": <v>, "rule": "<aws.events.rule-name>"}'
FILLED = {"text": "flights v3", "arn": PACKAGE, "version": 3, "rule": "template"}


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("constant", {"Input": '{"go": true}'}, '{"go": true}'),
        ("part", {"InputPath": "$.detail.ModelPackageVersion"}, "3"),
        (
            "template",
            {"InputTransformer": {"InputPathsMap": PATHS, "InputTemplate": TEMPLATE}},
            json.dumps(FILLED),
        ),
    ],
)
def test_what_a_target_is_given(running: Stack, name: str, target: dict[str, Any], expected: str) -> None:
    queue = Target(running, name)
    queue.listen({"source": ["aws.sagemaker"], "resources": [PACKAGE]}, **target)
    running.services.publish(APPROVED)
    assert queue.received() == [expected]


def test_a_log_group_a_topic_and_another_bus(running: Stack) -> None:
    events, logs, sns = running.client("events"), running.client("logs"), running.client("sns")
    target = Target(running, "behind-topic")
    topic = sns.create_topic(Name="models")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=target.arn, Attributes={"RawMessageDelivery": "true"})
    bus = events.create_event_bus(Name="audit")["EventBusArn"]
    logs.create_log_group(logGroupName="/aws/events/audit")
    events.put_rule(Name="fan-out", EventPattern=json.dumps({"detail-type": [{"suffix": "Package State Change"}]}))
    events.put_targets(Rule="fan-out", Targets=[{"Id": "b", "Arn": bus}, {"Id": "t", "Arn": topic}])
    events.put_rule(Name="all", EventBusName="audit", EventPattern=json.dumps({"account": [ACCOUNT]}))
    group = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/aws/events/audit"
    events.put_targets(Rule="all", EventBusName="audit", Targets=[{"Id": "l", "Arn": group}])
    running.services.publish(APPROVED)
    (body,) = target.received()
    assert json.loads(body)["id"] == APPROVED["id"]
    lines = logs.filter_log_events(logGroupName="/aws/events/audit")["events"]
    assert [json.loads(line["message"])["id"] for line in lines] == [APPROVED["id"]]


def test_targets_that_cannot_be_served_are_told_and_dead_letters_kept(
    running: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    dead = Target(running, "dead-letters")
    running.client("events").put_rule(Name="broken", EventPattern=json.dumps({"source": ["aws.sagemaker"]}))
    running.client("events").put_targets(
        Rule="broken",
        Targets=[
            {"Id": "l", "Arn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"},
            {
                "Id": "q",
                "Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:no-such-queue",
                "DeadLetterConfig": {"Arn": dead.arn},
            },
        ],
    )
    running.services.publish(APPROVED)
    assert json.loads(dead.received()[0])["id"] == APPROVED["id"]
    told = [record.getMessage() for record in caplog.records if "broken" in record.getMessage()]
    assert len(told) == 2
    assert "function:f" in told[0]


def test_put_events(running: Stack) -> None:
    target = Target(running, "mine")
    target.listen({"source": ["my.app"], "detail": {"n": [{"numeric": [">", 1]}]}})
    events = running.client("events")
    answer = events.put_events(
        Entries=[
            {"Source": "my.app", "DetailType": "T", "Detail": '{"n": 2}', "Time": datetime(2026, 1, 2, tzinfo=UTC)},
            {"Source": "aws.sagemaker", "DetailType": "T", "Detail": "{}"},
            {"Source": "my.app", "DetailType": "T", "Detail": "[not json"},
            {"Source": "my.app", "Detail": "{}"},
            {"Source": "my.app", "DetailType": "T", "Detail": '{"n": 1}'},
        ]
    )
    codes = [entry.get("ErrorCode") for entry in answer["Entries"]]
    assert codes == [None, "NotAuthorizedForSourceException", "MalformedDetail", "InvalidArgument", None]
    assert answer["FailedEntryCount"] == 3
    (body,) = target.received()
    assert json.loads(body)["id"] == answer["Entries"][0]["EventId"]
    assert json.loads(body)["time"] == "2026-01-02T00:00:00Z"
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        events.put_events(Entries=[{"Source": "a", "DetailType": "b", "Detail": "{}", "EventBusName": "nope"}])
    with pytest.raises(ClientError, match="ValidationException"):
        events.put_events(Entries=[{"Source": "a", "DetailType": "b", "Detail": "{}"}] * 11)


def test_patterns_are_checked_when_they_are_made(running: Stack) -> None:
    events = running.client("events")
    for pattern in ('{"source": "x"}', '{"source": [{"regex": "x"}]}', "{", "{}"):
        with pytest.raises(ClientError, match="InvalidEventPatternException"):
            events.put_rule(Name="bad", EventPattern=pattern)
    event = dict.fromkeys(("id", "account", "source", "time", "region", "detail-type"), "x") | {"resources": []}
    assert events.test_event_pattern(EventPattern='{"source": ["x"]}', Event=json.dumps(event))["Result"]
    assert not events.test_event_pattern(EventPattern='{"source": ["y"]}', Event=json.dumps(event))["Result"]
