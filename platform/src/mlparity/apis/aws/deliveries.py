"""Where deliveries end: queues, topics, log groups, functions and pipelines, through the services' own calls."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlparity.apis.aws.event_input import json_path
from mlparity.apis.aws.journaled_moto import JournaledMoto
from mlparity.apis.aws.message import AwsError
from mlparity.apis.aws.targets import SCHEDULER, START_PIPELINE, Assume, Delivery, FunctionInvoker, PipelineStarter
from mlparity.clock import Clock
from mlparity.engine.logs import milliseconds
from mlparity.ids import IdSource


class Deliveries:
    """One method a kind of target. Each raises ``AwsError`` where the target does not take the delivery.

    ``start`` and ``invoke`` are None where there is nothing beside this API that could.
    """

    def __init__(
        self,
        moto: JournaledMoto,
        clock: Clock,
        ids: IdSource,
        assumed: Assume,
        start: PipelineStarter | None,
        invoke: FunctionInvoker | None,
    ) -> None:
        self._moto = moto
        self._clock = clock
        self._ids = ids
        self._assumed = assumed
        self._start = start
        self._invoke = invoke

    def to_queue(self, delivery: Delivery) -> None:
        """Send the text to an SQS queue; FIFO queues take their group from ``SqsParameters``."""
        group = delivery.target.get("SqsParameters", {}).get("MessageGroupId")
        self._send(delivery.target["Arn"], delivery.text, {"MessageGroupId": group} if group else {})

    def dead_letter(self, queue_arn: str, body: str, attributes: Mapping[str, str]) -> None:
        """Send what could not be delivered to a dead-letter queue."""
        typed = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        self._send(queue_arn, body, {"MessageAttributes": typed})

    def to_topic(self, delivery: Delivery) -> None:
        """Publish the text to an SNS topic."""
        arn, subject = delivery.target["Arn"], delivery.target.get("Subject")
        params = {"TopicArn": arn, "Message": delivery.text, **({"Subject": subject} if subject else {})}
        self._moto.ask("sns", "Publish", params, arn.split(":")[3])

    def to_log_group(self, delivery: Delivery) -> None:
        """Add the text to a log group, in a stream of its own as the vendor does."""
        _, _, _, region, _, resource = delivery.target["Arn"].split(":", 5)
        group = resource.removeprefix("log-group:").removesuffix(":*")
        stream = {"logGroupName": group, "logStreamName": self._ids.uuid()}
        line = {"timestamp": milliseconds(self._clock.now()), "message": delivery.text}
        self._moto.ask("logs", "CreateLogStream", stream, region)
        self._moto.ask("logs", "PutLogEvents", {**stream, "logEvents": [line]}, region)

    def to_function(self, delivery: Delivery) -> None:
        """Call a Lambda function with the text as its event; nobody waits for its answer."""
        if self._invoke is None:
            raise AwsError("ResourceNotFound", "nothing runs functions beside this API")
        self._invoke(str(delivery.target["Arn"]), delivery.text, delivery.token)

    def to_pipeline(self, delivery: Delivery) -> None:
        """Start a SageMaker pipeline as the target's role.

        Values of parameters that are JSON paths are read from the event, for rules; a target's input is not given to
        pipelines.
        """
        if self._start is None:
            raise AwsError("ResourceNotFound", "there is no SageMaker beside this API")
        caller = self._assumed(str(delivery.target.get("RoleArn", "")), delivery.principal, delivery.source)
        if delivery.target["Arn"] == START_PIPELINE:
            request = _request(delivery.text)
        else:
            given = delivery.target.get("SageMakerPipelineParameters", {}).get("PipelineParameterList", [])
            request = {"PipelineName": delivery.target["Arn"]}
            if given:
                request["PipelineParameters"] = [
                    {"Name": each["Name"], "Value": _value(each["Value"], delivery)} for each in given
                ]
        self._start(request, delivery.token, caller)

    def _send(self, queue_arn: str, body: str, more: Mapping[str, Any]) -> None:
        _, _, _, region, account, name = queue_arn.split(":", 5)
        params = {"QueueUrl": f"http://127.0.0.1/{account}/{name}", "MessageBody": body, **more}
        self._moto.ask("sqs", "SendMessage", params, region)


def _request(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise AwsError("SerializationException", "the input is not a JSON object")
    return document


def _value(value: str, delivery: Delivery) -> str:
    if not value.startswith("$.") or delivery.principal == SCHEDULER:
        return value
    found = json_path(value, delivery.event)
    if found is None:
        raise AwsError("InvalidParameterValue", f"the event has nothing at {value}")
    return found if isinstance(found, str) else json.dumps(found)
