"""EventBridge rules with a schedule expression: kept by moto, fired here.

A rate counts from when its rule was made (or given another expression); cron is in UTC.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlparity.apis.aws.event_input import target_input
from mlparity.apis.aws.schedules import LATEST
from mlparity.apis.aws.targets import EVENTS, Delivery
from mlparity.apis.aws.targets_queue import DeliveryQueue, Invocation, invocation_id
from mlparity.clock import Clock
from mlparity.errors import ConflictError, NotFoundError
from mlparity.state import Database
from mlparity.state.documents import DocumentRepository
from mlparity.wire.aws_schedule import Recurrence, read_expression

_LOG = logging.getLogger(__name__)
_KIND = "RuleSchedule"
_CHANGES = frozenset({"PutRule", "DeleteRule", "EnableRule", "DisableRule", "PutTargets", "RemoveTargets"})


@dataclass(frozen=True)
class ScheduledRule:
    """An enabled rule with a schedule, as moto holds it."""

    region: str
    name: str
    arn: str
    expression: str
    targets: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class _Plan:
    due: datetime
    recurrence: Recurrence
    rule: ScheduledRule


class RuleSchedules:
    """Timed work. ``rules`` gives the scheduled rules of all regions; None while moto is still being loaded."""

    def __init__(
        self,
        account_id: str,
        database: Database,
        clock: Clock,
        queue: DeliveryQueue,
        rules: Callable[[], list[ScheduledRule] | None],
        wake: Callable[[], None],
    ) -> None:
        self._account_id = account_id
        self._documents = DocumentRepository(database, clock, "aws")
        self._clock = clock
        self._queue = queue
        self._rules = rules
        self._wake = wake
        self._started = clock.now()
        self._lock = threading.Lock()
        self._planned: dict[str, _Plan] = {}

    def changed(self, operation: str, params: Mapping[str, Any], region: str) -> None:
        """Take note of a successful call to EventBridge."""
        if operation not in _CHANGES:
            return
        if operation == "PutRule" and params.get("ScheduleExpression"):
            self._note(f"{region}/{params['Name']}", params["ScheduleExpression"])
        self._refresh(self._clock.now())

    def recover(self) -> None:
        """Plan the stored rules from the start of this process on; when moto has them."""
        self._refresh(self._started)

    def next_due(self) -> datetime | None:
        """See ``TimedWork``."""
        with self._lock:
            return min((plan.due for plan in self._planned.values()), default=None)

    def run_due(self) -> None:
        """See ``TimedWork``."""
        now = self._clock.now()
        with self._lock:
            due = {key: plan for key, plan in self._planned.items() if plan.due <= now}
        for key, plan in due.items():
            moment: datetime | None = plan.due
            if plan.due < now - LATEST:
                _LOG.warning("rule %s: missed from %s on", plan.rule.arn, plan.due)
                moment = plan.recurrence.next_after(now - LATEST)
            while moment is not None and moment <= now:
                self._queue.add(self._invocations(plan.rule, moment))
                moment = plan.recurrence.next_after(moment)
            with self._lock:
                if self._planned.get(key) is not plan:
                    continue  # it was changed meanwhile
                if moment is None:
                    del self._planned[key]
                else:
                    self._planned[key] = _Plan(moment, plan.recurrence, plan.rule)

    def _note(self, key: str, expression: str) -> None:
        body = {"expression": expression, "anchor": self._clock.now().isoformat()}
        try:
            if self._documents.get(_KIND, key).body["expression"] != expression:
                self._documents.merge(_KIND, key, body)
        except NotFoundError:
            try:
                self._documents.create(_KIND, key, body)
            except ConflictError:
                _LOG.debug("rule %s was made twice at once", key)

    def _refresh(self, after: datetime) -> None:
        rules = self._rules()
        if rules is None:
            return
        with self._lock:
            before, self._planned = self._planned, {}
            for rule in rules:
                key = f"{rule.region}/{rule.name}"
                known = before.get(key)
                if known is not None and known.rule.expression == rule.expression:
                    self._planned[key] = _Plan(known.due, known.recurrence, rule)
                    continue
                anchor = self._anchor(key)
                recurrence = read_expression(rule.expression, UTC, anchor)
                # The first time of a rate is one period after the rule was made.
                due = recurrence.next_after(max(anchor, after))
                if due is not None:
                    self._planned[key] = _Plan(due, recurrence, rule)
        self._wake()

    def _anchor(self, key: str) -> datetime:
        try:
            return datetime.fromisoformat(self._documents.get(_KIND, key).body["anchor"])
        except NotFoundError:
            return self._clock.now()

    def _invocations(self, rule: ScheduledRule, moment: datetime) -> list[Invocation]:
        time = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        event = {
            "version": "0",
            "id": invocation_id(rule.arn, time),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": self._account_id,
            "time": time,
            "region": rule.region,
            "resources": [rule.arn],
            "detail": {},
        }
        return [
            Invocation(
                invocation_id(rule.arn, time, str(target["Id"])),
                moment,
                moment,
                Delivery(target, target_input(target, event, rule.name, rule.arn), event, rule.arn, EVENTS),
            )
            for target in rule.targets
        ]
