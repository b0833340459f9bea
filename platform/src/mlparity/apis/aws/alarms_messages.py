"""What an alarm's change of state looks like: in its history, on the event bus, in a topic.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mlparity.apis.aws.alarms_checks import ACTIONS
from mlparity.apis.aws.alarms_evaluation import iso
from mlparity.apis.aws.alarms_store import Alarm

_STATISTICS = {"SampleCount": "SAMPLE_COUNT"}


def described(alarm: Alarm, account_id: str) -> dict[str, Any]:
    """As DescribeAlarms has it."""
    found: dict[str, Any] = {
        "OKActions": [],
        "AlarmActions": [],
        "InsufficientDataActions": [],
        "Dimensions": [],
        **alarm.body,
        "AlarmName": alarm.name,
        "AlarmArn": alarm.arn(account_id),
        "AlarmConfigurationUpdatedTimestamp": alarm.updated_at,
        "ActionsEnabled": alarm.actions_enabled,
        "StateValue": alarm.state,
        "StateReason": alarm.state_reason,
        "StateUpdatedTimestamp": alarm.state_at,
        "StateTransitionedTimestamp": alarm.transitioned_at,
    }
    return found | ({"StateReasonData": alarm.state_data} if alarm.state_data else {})


def configuration(alarm: Alarm, account_id: str, kind: str) -> str:
    """The data of a ConfigurationUpdate in the history; ``kind`` is "Create", "Update" or "Delete"."""
    definition = {
        name[:1].lower() + name[1:]: value
        for name, value in described(alarm, account_id).items()
        if not name.startswith("State")
    }
    definition["alarmConfigurationUpdatedTimestamp"] = iso(alarm.updated_at)
    return json.dumps({"version": "1.0", "type": kind, f"{kind.lower()}dAlarm": definition})


def transition(before: Alarm, after: Alarm) -> str:
    """The data of a StateUpdate in the history."""
    return json.dumps({"version": "1.0", "oldState": _old(before), "newState": _old(after)})


def _old(alarm: Alarm) -> dict[str, Any]:
    state: dict[str, Any] = {"stateValue": alarm.state, "stateReason": alarm.state_reason}
    if alarm.state_data:
        state["stateReasonData"] = _parsed(alarm.state_data)
    return state


def event(before: Alarm, after: Alarm, account_id: str, event_id: str) -> dict[str, Any]:
    """The whole ``CloudWatch Alarm State Change``."""
    body = after.body
    metric = {
        "namespace": body["Namespace"],
        "name": body["MetricName"],
        "dimensions": {each["Name"]: each["Value"] for each in body.get("Dimensions", ())},
    }
    stat = {
        "metric": metric,
        "period": body["Period"],
        "stat": body.get("Statistic") or body.get("ExtendedStatistic"),
        **({"unit": body["Unit"]} if "Unit" in body else {}),
    }
    return {
        "version": "0",
        "id": event_id,
        "detail-type": "CloudWatch Alarm State Change",
        "source": "aws.cloudwatch",
        "account": account_id,
        "time": f"{after.state_at:%Y-%m-%dT%H:%M:%SZ}",
        "region": after.region,
        "resources": [after.arn(account_id)],
        "detail": {
            "alarmName": after.name,
            "state": _state(after),
            "previousState": _state(before),
            "configuration": {
                "description": body.get("AlarmDescription", ""),
                "metrics": [{"id": event_id, "metricStat": stat, "returnData": True}],
            },
        },
    }


def _state(alarm: Alarm) -> dict[str, Any]:
    state = {"value": alarm.state, "reason": alarm.state_reason, "timestamp": iso(alarm.state_at)}
    return state | ({"reasonData": alarm.state_data} if alarm.state_data else {})


def notification(before: Alarm, after: Alarm, account_id: str) -> tuple[str, str]:
    """Subject and text of the message to a topic."""
    body = after.body
    document: dict[str, Any] = {
        "AlarmName": after.name,
        "AlarmDescription": body.get("AlarmDescription"),
        "AWSAccountId": account_id,
        "AlarmConfigurationUpdatedTimestamp": iso(after.updated_at),
        "NewStateValue": after.state,
        "NewStateReason": after.state_reason,
        "StateChangeTime": iso(after.state_at),
        "Region": after.region,
        "AlarmArn": after.arn(account_id),
        "OldStateValue": before.state,
        **{name: list(body.get(name, ())) for name in ACTIONS},
        "Trigger": _trigger(body),
    }
    return f'{after.state}: "{after.name}" in {after.region}'[:100], json.dumps(document)


def _trigger(body: Mapping[str, Any]) -> dict[str, Any]:
    statistic = body.get("Statistic")
    return {
        "MetricName": body["MetricName"],
        "Namespace": body["Namespace"],
        **(
            {"StatisticType": "Statistic", "Statistic": _STATISTICS.get(statistic, statistic.upper())}
            if statistic
            else {"StatisticType": "ExtendedStatistic", "ExtendedStatistic": body.get("ExtendedStatistic")}
        ),
        "Unit": body.get("Unit"),
        "Dimensions": [{"name": each["Name"], "value": each["Value"]} for each in body.get("Dimensions", ())],
        "Period": body["Period"],
        "EvaluationPeriods": body["EvaluationPeriods"],
        **({"DatapointsToAlarm": body["DatapointsToAlarm"]} if "DatapointsToAlarm" in body else {}),
        "ComparisonOperator": body["ComparisonOperator"],
        "Threshold": float(body["Threshold"]),
        "TreatMissingData": body.get("TreatMissingData", ""),
        "EvaluateLowSampleCountPercentile": body.get("EvaluateLowSampleCountPercentile", ""),
    }


def action(topic: str, error: str, at: datetime) -> tuple[str, str]:
    """Summary and data of an Action in the history; ``error`` is "" where it was taken."""
    data = {
        "actionState": "Failed" if error else "Succeeded",
        "notificationResource": topic,
        "publishedMessage": None,
        "error": error or None,
        "timestamp": iso(at),
    }
    words = "Failed to execute action" if error else "Successfully executed action"
    return f"{words} {topic}" + (f". Received error: {error}" if error else ""), json.dumps(data)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
