"""CloudWatch's metric alarms: kept, evaluated on the clock, acted on.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from mlparity.apis.aws import alarms_messages as messages
from mlparity.apis.aws.alarms_checks import check
from mlparity.apis.aws.alarms_evaluation import EXTRA_PERIODS, UNKNOWN, Point, evaluate
from mlparity.apis.aws.alarms_store import HISTORY, NEW_REASON, Alarm, AlarmStore
from mlparity.apis.aws.message import AwsError
from mlparity.apis.aws.metrics_statistics import floored, periods
from mlparity.apis.aws.metrics_store import MetricStore, Series
from mlparity.apis.aws.targets import Delivery
from mlparity.apis.aws.targets_queue import DeliveryQueue, Invocation, invocation_id
from mlparity.clock import Clock
from mlparity.ids import IdSource
from mlparity.state.documents import TagRepository

CLOUDWATCH = "cloudwatch.amazonaws.com"
_MINUTE, _HIGH_RESOLUTION = 60, 10  # seconds between evaluations
_PAGE = 100
_STATE_ACTIONS = {"ALARM": "AlarmActions", "OK": "OKActions", UNKNOWN: "InsufficientDataActions"}
_NOT_STORED = frozenset({"AlarmName", "ActionsEnabled", "Tags"})


class Alarms:
    """Timed work: evaluates every alarm each minute (those of short periods each ten seconds)."""

    def __init__(
        self,
        account_id: str,
        store: AlarmStore,
        metrics: MetricStore,
        queue: DeliveryQueue,
        clock: Clock,
        ids: IdSource,
    ) -> None:
        self._account_id = account_id
        self._store = store
        self._metrics = metrics
        self._queue = queue
        self._clock = clock
        self._ids = ids
        self._step = 0  # seconds until the next look; 0: there is no alarm
        self._last = clock.now()

    def recover(self) -> None:
        """Read which alarms there are."""
        found = self._store.select()
        short = any(alarm.body["Period"] < _MINUTE for alarm in found)
        self._step = (_HIGH_RESOLUTION if short else _MINUTE) if found else 0

    def next_due(self) -> datetime | None:
        """See ``TimedWork``."""
        if not self._step:
            return None
        return floored(self._last, self._step) + timedelta(seconds=self._step)

    def run_due(self) -> None:
        """See ``TimedWork``."""
        now = self._clock.now()
        whole_minute = floored(now, _MINUTE) > floored(self._last, _MINUTE)
        self._last = now
        for alarm in self._store.select():
            if whole_minute or alarm.body["Period"] < _MINUTE:
                self._evaluate(alarm, now)
        if whole_minute and now.minute == 0:
            self._store.forget_history(now - HISTORY)

    def states(self, region: str, names: Sequence[str]) -> dict[str, str]:
        """The states of those of the alarms that exist, by name."""
        found = ((name, self._store.get(region, name)) for name in names)
        return {name: alarm.state for name, alarm in found if alarm is not None}

    def set_state(self, alarm: Alarm, state: str, reason: str, data: str) -> None:
        """Bring an alarm into a state: remembered, published and acted on where it is another."""
        now = self._clock.now()
        changed = replace(alarm, state=state, state_reason=reason, state_data=data, state_at=now)
        if state != alarm.state:
            changed = replace(changed, transitioned_at=now)

        def follow(connection: Connection) -> None:
            if state != alarm.state:
                self._queue.insert(connection, self._consequences(alarm, changed, now))

        summary = f"Alarm updated from {alarm.state} to {state}"
        if self._store.set_state(alarm, changed, summary, messages.transition(alarm, changed), follow):
            self._queue.changed()

    def acted(self, delivery: Delivery, error: str) -> None:
        """Remember how an alarm's action went."""
        _, _, _, region, _, resource = delivery.source.split(":", 5)
        summary, data = messages.action(delivery.target["Arn"], error, self._clock.now())
        self._store.remember(region, resource.removeprefix("alarm:"), "Action", self._clock.now(), summary, data)

    def _evaluate(self, alarm: Alarm, now: datetime) -> None:
        body = alarm.body
        seconds: int = body["Period"]
        count = body["EvaluationPeriods"] + EXTRA_PERIODS
        end = floored(now, min(seconds, _MINUTE))
        start = end - timedelta(seconds=seconds * count)
        dimensions = {each["Name"]: each["Value"] for each in body.get("Dimensions", ())}
        series = Series(alarm.region, body["Namespace"], body["MetricName"], dimensions)
        statistic = body.get("Statistic") or body["ExtendedStatistic"]
        found = periods(self._metrics.read(series, start, end, body.get("Unit")), start, seconds)
        values = {period.start: period.statistic(statistic) for period in found}
        starts = [end - timedelta(seconds=seconds * (index + 1)) for index in range(count)]
        points = [Point(each, values.get(each)) for each in starts]
        verdict = evaluate(body, points, alarm.state, now)
        if verdict is not None:
            self.set_state(alarm, verdict.state, verdict.reason, verdict.data)

    def _consequences(self, before: Alarm, after: Alarm, now: datetime) -> list[Invocation]:
        arn = after.arn(self._account_id)
        event = messages.event(before, after, self._account_id, self._ids.uuid())
        bus = f"arn:aws:events:{after.region}:{self._account_id}:event-bus/default"
        deliveries = [Delivery({"Arn": bus}, "", event, arn, CLOUDWATCH)]
        if after.actions_enabled:
            subject, text = messages.notification(before, after, self._account_id)
            deliveries += [
                Delivery({"Arn": topic, "Subject": subject}, text, event, arn, CLOUDWATCH)
                for topic in after.body.get(_STATE_ACTIONS[after.state], ())
            ]
        return [
            Invocation(invocation_id(arn, event["id"], str(each.target["Arn"])), now, now, each) for each in deliveries
        ]


class AlarmsService:
    """The operations. ``changed`` is called where there may be more or fewer alarms than before."""

    def __init__(
        self,
        account_id: str,
        store: AlarmStore,
        alarms: Alarms,
        tags: TagRepository,
        clock: Clock,
        changed: Callable[[], None],
    ) -> None:
        self._account_id = account_id
        self._tags = tags
        self._store = store
        self._alarms = alarms
        self._clock = clock
        self._changed = changed

    def handle(self, operation: str, params: Mapping[str, Any], region: str) -> dict[str, Any] | None:
        """The response of one operation; None for what is not about alarms. Raises ``AwsError``."""
        operations: Mapping[str, Callable[[Mapping[str, Any], str], dict[str, Any]]] = {
            "PutMetricAlarm": self._put,
            "DescribeAlarms": self._describe,
            "DescribeAlarmsForMetric": self._for_metric,
            "DescribeAlarmHistory": self._history,
            "SetAlarmState": self._set_state,
            "DeleteAlarms": self._delete,
            "EnableAlarmActions": lambda given, where: self._enable(given, where, enabled=True),
            "DisableAlarmActions": lambda given, where: self._enable(given, where, enabled=False),
        }
        found = operations.get(operation)
        return None if found is None else found(params, region)

    def exists(self, arn: str) -> bool:
        """Whether an ARN is an alarm's."""
        parts = arn.split(":", 6)
        return len(parts) == 7 and parts[5] == "alarm" and self._store.get(parts[3], parts[6]) is not None  # noqa: PLR2004 - parts of an ARN

    def _put(self, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        check(params)
        now, name = self._clock.now(), params["AlarmName"]
        body = {member: value for member, value in params.items() if member not in _NOT_STORED}
        known = self._store.get(region, name)
        alarm = Alarm(
            region, name, body, params.get("ActionsEnabled", True), UNKNOWN, NEW_REASON, "", now, now, now, now
        )
        kind = "Create" if known is None else "Update"
        self._store.put(alarm, f'Alarm "{name}" {kind.lower()}d', messages.configuration(alarm, self._account_id, kind))
        if known is None:  # the vendor ignores tags of an update
            self._tags.add(alarm.arn(self._account_id), {tag["Key"]: tag["Value"] for tag in params.get("Tags", ())})
        self._look_again()
        return {}

    def _look_again(self) -> None:
        self._alarms.recover()
        self._changed()

    def _describe(self, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        if "MetricAlarm" not in params.get("AlarmTypes", ["MetricAlarm"]):
            return {"MetricAlarms": [], "CompositeAlarms": []}
        names = params.get("AlarmNames")
        if names and "AlarmNamePrefix" in params:
            raise AwsError("InvalidParameterCombination", "AlarmNames and AlarmNamePrefix are mutually exclusive.")
        limit = params.get("MaxRecords", _PAGE)
        prefix = params.get("ActionPrefix", "")
        found: list[Alarm] = []
        after: str = params.get("NextToken", "")
        while True:
            page = self._store.select(
                region,
                prefix=params.get("AlarmNamePrefix", ""),
                state=params.get("StateValue"),
                after=after,
                limit=limit + 1,
            )
            found += [each for each in page if (not names or each.name in names) and _acts(each, prefix)]
            if len(page) <= limit or len(found) > limit:
                break
            after = page[-1].name
        shown = found[:limit]
        response: dict[str, Any] = {
            "MetricAlarms": [messages.described(each, self._account_id) for each in shown],
            "CompositeAlarms": [],
        }
        return response | ({"NextToken": shown[-1].name} if len(found) > limit else {})

    def _for_metric(self, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        def concerned(alarm: Alarm) -> bool:
            wanted = {name: value for name, value in params.items() if name != "Dimensions"}
            dimensions = [sorted(each.items()) for each in params.get("Dimensions", ())]
            own = [sorted(each.items()) for each in alarm.body.get("Dimensions", ())]
            return all(alarm.body.get(name) == value for name, value in wanted.items()) and sorted(own) == sorted(
                dimensions
            )

        found = [each for each in self._store.select(region) if concerned(each)]
        return {"MetricAlarms": [messages.described(each, self._account_id) for each in found]}

    def _history(self, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        token = params.get("NextToken")
        if token is not None and not token.isdecimal():
            raise AwsError("InvalidNextToken", "The next token specified is invalid.")
        limit = params.get("MaxRecords", _PAGE)
        wanted = {
            "alarm": params.get("AlarmName"),
            "kind": params.get("HistoryItemType"),
            "start": params.get("StartDate"),
            "end": params.get("EndDate"),
        }
        oldest_first = params.get("ScanBy") == "TimestampAscending"
        found = self._store.history(
            region, wanted, None if token is None else int(token), limit + 1, oldest_first=oldest_first
        )
        items = [
            {
                "AlarmName": each.alarm,
                "AlarmType": "MetricAlarm",
                "Timestamp": each.at,
                "HistoryItemType": each.kind,
                "HistorySummary": each.summary,
                "HistoryData": each.data,
            }
            for each in found[:limit]
        ]
        response: dict[str, Any] = {"AlarmHistoryItems": items}
        return response | ({"NextToken": str(found[limit - 1].sequence)} if len(found) > limit else {})

    def _set_state(self, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        alarm = self._store.get(region, params["AlarmName"])
        if alarm is None:
            raise AwsError("ResourceNotFound", "", 404)
        self._alarms.set_state(alarm, params["StateValue"], params["StateReason"], params.get("StateReasonData", ""))
        return {}

    def _delete(self, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        names = tuple(params["AlarmNames"])
        for name in names:
            alarm = self._store.get(region, name)
            if alarm is not None:
                data = messages.configuration(alarm, self._account_id, "Delete")
                self._tags.remove(alarm.arn(self._account_id))
                self._store.remember(
                    region, name, "ConfigurationUpdate", self._clock.now(), f'Alarm "{name}" deleted', data
                )
        self._store.delete(region, names)
        self._look_again()
        return {}

    def _enable(self, params: Mapping[str, Any], region: str, *, enabled: bool) -> dict[str, Any]:
        self._store.enable_actions(region, tuple(params["AlarmNames"]), self._clock.now(), enabled=enabled)
        return {}


def _acts(alarm: Alarm, prefix: str) -> bool:
    if not prefix:
        return True
    return any(arn.startswith(prefix) for name in _STATE_ACTIONS.values() for arn in alarm.body.get(name, ()))
