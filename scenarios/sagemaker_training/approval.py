"""Hear of a model's approval: an EventBridge rule that puts the state change of a model package into an SQS queue."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mlparity.scenarios import Platform

DETAIL_TYPE = "SageMaker Model Package State Change"


@dataclass(frozen=True)
class Approvals:
    """The queue that approvals of the group arrive in."""

    sqs: Any
    queue_url: str
    local: bool

    def wait_for(self, package_arn: str) -> dict[str, Any] | None:
        """The event of this package's approval; None if none comes (10 s locally, two minutes on AWS)."""
        deadline = time.monotonic() + (10.0 if self.local else 120.0)
        while time.monotonic() < deadline:
            answer = self.sqs.receive_message(QueueUrl=self.queue_url, WaitTimeSeconds=2, MaxNumberOfMessages=10)
            for message in answer.get("Messages", []):
                event: dict[str, Any] = json.loads(message["Body"])
                self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
                if event.get("detail", {}).get("ModelPackageArn") == package_arn:
                    return event
        return None


def pattern(group: str) -> dict[str, Any]:
    """The rule's event pattern: approvals of the versions of one model package group."""
    return {
        "source": ["aws.sagemaker"],
        "detail-type": [DETAIL_TYPE],
        "detail": {"ModelPackageGroupName": [group], "ModelApprovalStatus": ["Approved"]},
    }


def queue_policy(queue_arn: str, rule_arn: str) -> dict[str, Any]:
    """Let this rule, and nothing else, send to the queue."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


@contextmanager
def approvals(platform: Platform, group: str) -> Iterator[Approvals]:
    """Create the rule and the queue; remove both at the end, whatever happened between."""
    events, sqs = platform.client("events"), platform.client("sqs")
    name = f"{group}-approved-{uuid.uuid4().hex[:8]}"
    queue_url = sqs.create_queue(QueueName=name)["QueueUrl"]
    try:
        attributes = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]
        rule_arn = events.put_rule(Name=name, EventPattern=json.dumps(pattern(group)))["RuleArn"]
        try:
            policy = json.dumps(queue_policy(attributes["QueueArn"], rule_arn))
            sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"Policy": policy})
            refused = events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": attributes["QueueArn"]}])
            platform.check(refused["FailedEntryCount"] == 0, f"the rule {name} did not take the queue as its target")
            yield Approvals(sqs, queue_url, platform.local)
        finally:
            events.remove_targets(Rule=name, Ids=["queue"])
            events.delete_rule(Name=name)
    finally:
        sqs.delete_queue(QueueUrl=queue_url)
