"""EventBridge: events are matched and delivered here, over the buses, rules and targets that moto keeps.

moto's own matching stops at flat fields and it would post to the network; so ``PutEvents`` and the service events
of SageMaker take this way. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-what-is.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from mlparity.apis.aws.event_input import target_input
from mlparity.apis.aws.event_pattern import InvalidPatternError, matches, read_pattern
from mlparity.apis.aws.message import AwsError
from mlparity.apis.aws.targets import EVENTS, Assume, Delivery, check_rule_target
from mlparity.clock import Clock
from mlparity.errors import MlparityError
from mlparity.ids import IdSource
from mlparity.wire.aws_schedule import ScheduleExpressionError, is_strict_rule_expression, read_expression

_MOST_HOPS = 5  # from bus to bus
_ANY_TIME = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class RuleView:
    """An enabled rule of a bus with its targets, as moto holds them."""

    name: str
    arn: str
    pattern: Mapping[str, Any]
    targets: tuple[Mapping[str, Any], ...]


class Rules(Protocol):
    """Reads the rules that moto holds."""

    def __call__(self, region: str, bus: str) -> list[RuleView] | None:
        """The enabled rules with a pattern on a bus (name or ARN); None where there is no such bus."""
        ...


# Makes one delivery; raises ``MlparityError`` where it cannot.
Deliver = Callable[[Delivery], None]
# Takes a delivery that failed with an error: for another attempt, or for its dead-letter queue.
Failed = Callable[[Delivery, MlparityError], None]


class EventsService:
    """PutEvents, TestEventPattern, PutRule's check, and the events that AWS services publish themselves."""

    def __init__(
        self,
        account_id: str,
        region: str,
        clock: Clock,
        ids: IdSource,
        rules: Rules,
        deliver: Mapping[str, Deliver],
        failed: Failed,
        assumed: Assume,
    ) -> None:
        """``deliver`` is by the service of the target's ARN ("sqs", "logs", "sns", "sagemaker")."""
        self._account_id = account_id
        self._region = region
        self._failed = failed
        self._assumed = assumed
        self._clock = clock
        self._ids = ids
        self._rules = rules
        self._by_service = deliver
        self._listeners: list[Callable[[Mapping[str, Any]], None]] = []

    def listen(self, listener: Callable[[Mapping[str, Any]], None]) -> None:
        """Call ``listener`` with every event of the region's default bus, before the rules' targets get it."""
        self._listeners.append(listener)

    def handle(self, operation: str, params: Mapping[str, Any], region: str) -> dict[str, Any] | None:
        """The response; None where the call is moto's to serve. Raises ``AwsError``."""
        match operation:
            case "PutEvents":
                return self._put_events(params["Entries"], region)
            case "TestEventPattern":
                return {"Result": _test(params)}
            case "PutRule":
                _check_rule(params)
            case "PutTargets":
                bus = params.get("EventBusName", "default").rpartition("/")[2]
                path = params["Rule"] if bus == "default" else f"{bus}/{params['Rule']}"
                rule_arn = f"arn:aws:events:{region}:{self._account_id}:rule/{path}"
                for target in params["Targets"]:
                    check_rule_target(target, rule_arn, self._assumed)
        return None

    def publish(self, event: Mapping[str, Any]) -> None:
        """Put a service's own event on the default bus and deliver it before returning.

        ``event`` has source, detail-type and detail, and may have resources, time (``datetime``) and id.
        """
        envelope = {
            "version": "0",
            "id": event.get("id") or self._ids.uuid(),
            "detail-type": event["detail-type"],
            "source": event["source"],
            "account": self._account_id,
            "time": _iso(event.get("time") or self._clock.now()),
            "region": self._region,
            "resources": list(event.get("resources", [])),
            "detail": event["detail"],
        }
        self._dispatch(envelope, self._region, "default", 0)

    def _put_events(self, entries: list[Mapping[str, Any]], region: str) -> dict[str, Any]:
        results = [self._put_event(entry, region) for entry in entries]
        return {"FailedEntryCount": sum("ErrorCode" in result for result in results), "Entries": results}

    def _put_event(self, entry: Mapping[str, Any], region: str) -> dict[str, Any]:
        for name in ("Source", "DetailType", "Detail"):
            if not entry.get(name):
                reason = f"Parameter {name} is not valid. Reason: {name} is a required argument."
                return {"ErrorCode": "InvalidArgument", "ErrorMessage": reason}
        if entry["Source"].lower().startswith("aws."):
            return {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": "Not authorized for the source."}
        try:
            detail = json.loads(entry["Detail"])
        except ValueError:
            detail = None
        if not isinstance(detail, dict):
            return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
        bus = entry.get("EventBusName", "default")
        if self._rules(region, bus) is None:
            raise AwsError("ResourceNotFoundException", f"Event bus {bus} does not exist.")
        moment = entry.get("Time") or self._clock.now()
        envelope = {
            "version": "0",
            "id": self._ids.uuid(),
            "detail-type": entry["DetailType"],
            "source": entry["Source"],
            "account": self._account_id,
            "time": _iso(moment),
            "region": region,
            "resources": list(entry.get("Resources", [])),
            "detail": detail,
        }
        self._dispatch(envelope, region, bus, 0)
        return {"EventId": envelope["id"]}

    def _dispatch(self, envelope: Mapping[str, Any], region: str, bus: str, hops: int) -> None:
        if (region, bus.rpartition("/")[2]) == (self._region, "default"):
            for listener in self._listeners:
                listener(envelope)
        for rule in self._rules(region, bus) or []:
            if matches(rule.pattern, envelope):
                for target in rule.targets:
                    self._send(rule, target, envelope, hops)

    def _send(self, rule: RuleView, target: Mapping[str, Any], envelope: Mapping[str, Any], hops: int) -> None:
        text = target_input(target, envelope, rule.name, rule.arn)
        delivery = Delivery(target, text, envelope, rule.arn, EVENTS)
        try:
            self.deliver(delivery, hops)
        except MlparityError as error:
            self._failed(delivery, error)

    def deliver(self, delivery: Delivery, hops: int = 0) -> None:
        """Make one delivery. Raises ``MlparityError`` where the target does not take it."""
        arn = str(delivery.target["Arn"])
        if delivery.service == "events":
            self._to_bus(delivery, hops)
            return
        deliver = self._by_service.get(delivery.service)
        if deliver is None:
            raise AwsError("UnsupportedTarget", f"there is no target of the kind of {arn} here")
        deliver(delivery)

    def _to_bus(self, delivery: Delivery, hops: int) -> None:
        _, _, _, region, _, resource = str(delivery.target["Arn"]).split(":", 5)
        bus = resource.removeprefix("event-bus/")
        if self._rules(region, bus) is None:
            raise AwsError("ResourceNotFoundException", f"Event bus {bus} does not exist.")
        parameters = delivery.target.get("EventBridgeParameters")
        if parameters is not None:  # a schedule's: it puts an event of its own
            entry = {**parameters, "Detail": delivery.text, "EventBusName": bus}
            result = self._put_event(entry, region)
            if "ErrorCode" in result:
                raise AwsError(result["ErrorCode"], result["ErrorMessage"])
        elif hops < _MOST_HOPS:
            self._dispatch(delivery.event, region, bus, hops + 1)


def _check_rule(params: Mapping[str, Any]) -> None:
    if params.get("EventPattern"):
        _read(params["EventPattern"])
    expression = params.get("ScheduleExpression")
    if not expression:
        return
    try:
        read_expression(expression, UTC, _ANY_TIME)
    except ScheduleExpressionError:
        known = False
    else:
        known = is_strict_rule_expression(expression)
    if not known:
        raise AwsError("ValidationException", "Parameter ScheduleExpression is not valid.")


def _test(params: Mapping[str, Any]) -> bool:
    try:
        event = json.loads(params["Event"])
    except ValueError:
        raise AwsError(
            "ValidationException", "Parameter Event is not valid. Reason: Event is not valid JSON."
        ) from None
    needed = ("id", "account", "source", "time", "region", "resources", "detail-type")
    for name in needed:
        if name not in event:
            raise AwsError("ValidationException", f"Parameter Event is not valid. Reason: {name} is missing.")
    return matches(_read(params["EventPattern"]), event)


def _read(text: str) -> dict[str, Any]:
    try:
        return read_pattern(text)
    except InvalidPatternError as error:
        raise AwsError("InvalidEventPatternException", f"Event pattern is not valid. Reason: {error}") from None


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
