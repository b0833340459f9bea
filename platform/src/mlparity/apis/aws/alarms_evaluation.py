"""Which state an alarm is in, from its data points alone.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

ALARM, OK, UNKNOWN = "ALARM", "OK", "INSUFFICIENT_DATA"
# Data come late: that many more periods than asked for are looked at.
EXTRA_PERIODS = 2
COMPARISONS: Mapping[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}


@dataclass(frozen=True)
class Point:
    """One period: when it began, and its statistic; None where there were no data."""

    start: datetime
    value: float | None


@dataclass(frozen=True)
class Verdict:
    """A state, and why in CloudWatch's words (text and JSON)."""

    state: str
    reason: str
    data: str


def evaluate(alarm: Mapping[str, Any], points: Sequence[Point], state: str, now: datetime) -> Verdict | None:
    """The alarm's state by its ``points``, newest first: ``EvaluationPeriods`` and the extra ones.

    None where the state stays as it is.
    """
    wanted, needed = alarm["EvaluationPeriods"], alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"])
    compare, _ = COMPARISONS[alarm["ComparisonOperator"]]
    known = [point for point in points if point.value is not None][:wanted]
    breaching = [point for point in known if point.value is not None and compare(point.value, alarm["Threshold"])]
    missing = wanted - len(known)
    treatment = alarm.get("TreatMissingData", "missing")
    only_breaching = bool(known) and len(breaching) == len(known)
    if len(breaching) >= needed:
        found = ALARM
    elif missing == 0 or treatment == "notBreaching":
        found = OK
    elif treatment == "breaching":
        found = ALARM if len(breaching) + missing >= needed else OK
    elif treatment == "ignore":
        found = state if not known or only_breaching else OK
    elif not known:
        found = UNKNOWN
    else:
        # "Premature": nothing but breaching data, the oldest of it old enough.
        age = next(index for index, point in enumerate(points, 1) if point is known[-1])
        found = ALARM if only_breaching and age >= needed else OK
    if found == state:
        return None
    return Verdict(found, _reason(alarm, known, breaching, found, state), _data(alarm, known, now))


def _reason(
    alarm: Mapping[str, Any], known: Sequence[Point], breaching: Sequence[Point], state: str, before: str
) -> str:
    if state == UNKNOWN:
        return f"Insufficient Data: {_count(alarm['EvaluationPeriods'], 'datapoint')} were unknown."
    needed = alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"])
    missing = alarm["EvaluationPeriods"] - len(known)
    treated = {"breaching": "Breaching", "notBreaching": "NonBreaching"}.get(alarm.get("TreatMissingData", ""))
    if not known:
        return (
            f"Threshold Crossed: no datapoints were received for {_count(missing, 'period')} and "
            f"{_count(missing, 'missing datapoint')} {'was' if missing == 1 else 'were'} treated as [{treated}]."
        )
    shown = breaching if state == ALARM and breaching else known
    counted = len(shown) if state == ALARM else len(known) - len(breaching)
    listed = ", ".join(f"{point.value} ({point.start:%d/%m/%y %H:%M:%S})" for point in shown)
    _, words = COMPARISONS[alarm["ComparisonOperator"]]
    negation = "" if state == ALARM else "not "
    verb = "was" if counted == 1 else "were"
    minimum = needed if state == ALARM else alarm["EvaluationPeriods"] - needed + 1
    return (
        f"Threshold Crossed: {counted} out of the last {_count(len(known), 'datapoint')} [{listed}] {verb} "
        f"{negation}{words} the threshold ({float(alarm['Threshold'])}) "
        f"(minimum {_count(minimum, 'datapoint')} for {before} -> {state} transition)."
    )


def _data(alarm: Mapping[str, Any], known: Sequence[Point], now: datetime) -> str:
    document: dict[str, Any] = {"version": "1.0", "queryDate": iso(now)}
    if known:
        document["startDate"] = iso(known[-1].start)
    statistic = alarm.get("Statistic")
    document |= {"statistic": statistic} if statistic else {"extendedStatistic": alarm.get("ExtendedStatistic")}
    document |= {
        "period": alarm["Period"],
        "recentDatapoints": [point.value for point in reversed(known)],
        "threshold": float(alarm["Threshold"]),
    }
    return json.dumps(document)


def iso(moment: datetime) -> str:
    """A time as CloudWatch writes it in its documents."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
