"""Where EventBridge's events end: SQS queues, SNS topics and log groups, through the services' own calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlparity.apis.aws.journaled_moto import JournaledMoto
from mlparity.clock import Clock
from mlparity.engine.logs import milliseconds
from mlparity.ids import IdSource


class Deliveries:
    """One method a kind of target. Each raises ``AwsError`` where the target does not take the event."""

    def __init__(self, moto: JournaledMoto, clock: Clock, ids: IdSource) -> None:
        self._moto = moto
        self._clock = clock
        self._ids = ids

    def to_queue(self, target: Mapping[str, Any], text: str, _event: Mapping[str, Any]) -> None:
        """Send ``text`` to an SQS queue; FIFO queues take their group from ``SqsParameters``."""
        _, _, _, region, account, name = target["Arn"].split(":", 5)
        params: dict[str, Any] = {"QueueUrl": f"http://127.0.0.1/{account}/{name}", "MessageBody": text}
        group = target.get("SqsParameters", {}).get("MessageGroupId")
        if group:
            params["MessageGroupId"] = group
        self._moto.ask("sqs", "SendMessage", params, region)

    def to_topic(self, target: Mapping[str, Any], text: str, _event: Mapping[str, Any]) -> None:
        """Publish ``text`` to an SNS topic."""
        region = target["Arn"].split(":")[3]
        self._moto.ask("sns", "Publish", {"TopicArn": target["Arn"], "Message": text}, region)

    def to_log_group(self, target: Mapping[str, Any], text: str, _event: Mapping[str, Any]) -> None:
        """Add ``text`` to a log group, in a stream of its own as the vendor does."""
        _, _, _, region, _, resource = target["Arn"].split(":", 5)
        group = resource.removeprefix("log-group:").removesuffix(":*")
        stream = {"logGroupName": group, "logStreamName": self._ids.uuid()}
        line = {"timestamp": milliseconds(self._clock.now()), "message": text}
        self._moto.ask("logs", "CreateLogStream", stream, region)
        self._moto.ask("logs", "PutLogEvents", {**stream, "logEvents": [line]}, region)
