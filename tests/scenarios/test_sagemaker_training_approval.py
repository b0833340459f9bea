"""The rule and the queue that an approval arrives through: made for one run, gone after it."""

from __future__ import annotations

import io
import json

import pytest

from mlparity.scenarios import Platform
from scenarios.sagemaker_training.approval import approvals, pattern, queue_policy


@pytest.fixture
def platform(tmp_path, monkeypatch):
    from moto import mock_aws

    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        yield Platform(
            profile="embedded",
            local=True,
            region="us-east-1",
            role_arn="arn:aws:iam::123456789012:role/test",
            bucket="bucket",
            tracking_uri="",
            data_dir=tmp_path,
            folder=tmp_path,
            workdir=tmp_path,
            output=io.StringIO(),
        )


def leftovers(platform: Platform) -> tuple[int, int]:
    rules = platform.client("events").list_rules()["Rules"]
    return len(rules), len(platform.client("sqs").list_queues().get("QueueUrls", []))


def test_rule_and_queue_live_as_long_as_the_block(platform) -> None:
    with approvals(platform, "group"):
        assert leftovers(platform) == (1, 1)
        (rule,) = platform.client("events").list_rules()["Rules"]
        assert json.loads(rule["EventPattern"]) == pattern("group")
        (target,) = platform.client("events").list_targets_by_rule(Rule=rule["Name"])["Targets"]
        assert target["Arn"].startswith("arn:aws:sqs:us-east-1:")
    assert leftovers(platform) == (0, 0)


def test_rule_and_queue_go_when_the_block_fails(platform) -> None:
    with pytest.raises(KeyError), approvals(platform, "group"):
        raise KeyError
    assert leftovers(platform) == (0, 0)


def test_only_the_event_of_the_package_is_taken(platform) -> None:
    with approvals(platform, "group") as queue:
        for arn in ("other/1", "mine/1"):
            body = json.dumps({"detail": {"ModelPackageArn": arn}})
            queue.sqs.send_message(QueueUrl=queue.queue_url, MessageBody=body)
        event = queue.wait_for("mine/1")
        assert event == {"detail": {"ModelPackageArn": "mine/1"}}


def test_the_queue_takes_messages_of_its_rule_alone() -> None:
    (statement,) = queue_policy("arn:queue", "arn:rule")["Statement"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Resource"] == "arn:queue"
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": "arn:rule"}}
