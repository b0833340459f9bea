"""EventBridge: events are matched and delivered here, over the buses, rules and targets that moto keeps.

moto's own matching stops at flat fields and it would post to the network; so ``PutEvents`` and the service events
of SageMaker take this way. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-what-is.html
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from mlparity.apis.aws.event_input import target_input
from mlparity.apis.aws.event_pattern import InvalidPatternError, matches, read_pattern
from mlparity.apis.aws.message import AwsError
from mlparity.clock import Clock
from mlparity.errors import MlparityError
from mlparity.ids import IdSource

_LOG = logging.getLogger(__name__)
_MOST_HOPS = 5  # from bus to bus


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


# Delivers (target, text, event) to one kind of target; raises ``MlparityError`` where it cannot.
Deliver = Callable[[Mapping[str, Any], str, Mapping[str, Any]], None]


class EventsService:
    """PutEvents, TestEventPattern, PutRule's check, and the events that AWS services publish themselves."""

    def __init__(
        self, account_id: str, region: str, clock: Clock, ids: IdSource, rules: Rules, deliver: Mapping[str, Deliver]
    ) -> None:
        """``deliver`` is by the service of the target's ARN ("sqs", "logs", "sns", …)."""
        self._account_id = account_id
        self._region = region
        self._clock = clock
        self._ids = ids
        self._rules = rules
        self._deliver = deliver

    def handle(self, operation: str, params: Mapping[str, Any], region: str) -> dict[str, Any] | None:
        """The response; None where the call is moto's to serve. Raises ``AwsError``."""
        match operation:
            case "PutEvents":
                return self._put_events(params["Entries"], region)
            case "TestEventPattern":
                return {"Result": _test(params)}
            case "PutRule":
                if params.get("EventPattern"):
                    _read(params["EventPattern"])
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
        for rule in self._rules(region, bus) or []:
            if matches(rule.pattern, envelope):
                for target in rule.targets:
                    self._send(rule, target, envelope, hops)

    def _send(self, rule: RuleView, target: Mapping[str, Any], envelope: Mapping[str, Any], hops: int) -> None:
        arn = target["Arn"]
        _, _, service, region, _, resource = (arn.split(":", 5) + [""] * 6)[:6]
        if service == "events" and resource.startswith("event-bus/") and hops < _MOST_HOPS:
            self._dispatch(envelope, region, resource.removeprefix("event-bus/"), hops + 1)
            return
        deliver = self._deliver.get(service)
        if deliver is None:
            _LOG.warning("event %s of rule %s not delivered: no target of kind %s here", envelope["id"], rule.name, arn)
            return
        text = target_input(target, envelope, rule.name, rule.arn)
        try:
            deliver(target, text, envelope)
        except MlparityError as error:
            _LOG.warning("event %s of rule %s not delivered to %s: %s", envelope["id"], rule.name, arn, error)
            self._dead_letter(rule, target, envelope, error)

    def _dead_letter(
        self, rule: RuleView, target: Mapping[str, Any], envelope: Mapping[str, Any], error: MlparityError
    ) -> None:
        queue = target.get("DeadLetterConfig", {}).get("Arn")
        if not queue:
            return
        try:
            self._deliver["sqs"]({"Arn": queue}, json.dumps(envelope), envelope)
        except MlparityError as second:
            _LOG.warning("dead letter of rule %s lost: %s, then %s", rule.name, error, second)


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
