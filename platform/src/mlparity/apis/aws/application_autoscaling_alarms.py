"""The pair of CloudWatch alarms that a target tracking policy has, as AWS makes them, and the metric that it follows.

They are there to be looked at and alarmed by; the policy itself reads the metric.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlparity.apis.aws.application_autoscaling_store import ScalingPolicy
from mlparity.apis.aws.application_autoscaling_tracking import HIGH_PERIODS, LOW_PERIODS, LOW_SHARE

_MINUTE = 60
HIGH, LOW = "AlarmHigh", "AlarmLow"


@dataclass(frozen=True)
class Metric:
    """One metric's statistic over a minute."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    statistic: str
    unit: str | None


def metric_of(resource: str, config: Mapping[str, Any]) -> Metric:
    """What a TargetTrackingScalingPolicyConfiguration follows."""
    _, endpoint, _, variant = resource.split("/")
    given = config.get("CustomizedMetricSpecification")
    if given is None:
        dimensions = {"EndpointName": endpoint, "VariantName": variant}
        return Metric("AWS/SageMaker", "InvocationsPerInstance", dimensions, "Sum", None)
    dimensions = {each["Name"]: each["Value"] for each in given.get("Dimensions", ())}
    return Metric(given["Namespace"], given["MetricName"], dimensions, given["Statistic"], given.get("Unit"))


def alarm_name(policy: ScalingPolicy, which: str) -> str:
    """As the vendor names it."""
    return f"TargetTracking-{policy.resource}-{which}-{policy.body[which]}"


class TrackingAlarms:
    """``handle`` is ``AlarmsService.handle``."""

    def __init__(self, account_id: str, handle: Callable[[str, Mapping[str, Any], str], Any]) -> None:
        self._account_id = account_id
        self._handle = handle

    def put(self, policy: ScalingPolicy) -> None:
        """Make or change them."""
        config = policy.body["TargetTrackingScalingPolicyConfiguration"]
        metric = metric_of(policy.resource, config)
        target = config["TargetValue"]
        for which, operator, threshold, count in (
            (HIGH, "GreaterThanThreshold", target, HIGH_PERIODS),
            (LOW, "LessThanThreshold", target * LOW_SHARE, LOW_PERIODS),
        ):
            request: dict[str, Any] = {
                "AlarmName": alarm_name(policy, which),
                "AlarmDescription": f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy "
                f"{policy.arn(self._account_id)}.",
                "Namespace": metric.namespace,
                "MetricName": metric.name,
                "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions.items()],
                "Statistic": metric.statistic,
                "Period": _MINUTE,
                "EvaluationPeriods": count,
                "Threshold": threshold,
                "ComparisonOperator": operator,
                **({"Unit": metric.unit} if metric.unit else {}),
            }
            self._handle("PutMetricAlarm", request, policy.region)

    def delete(self, policy: ScalingPolicy) -> None:
        """Remove them."""
        names = [alarm_name(policy, which) for which in (HIGH, LOW)]
        self._handle("DeleteAlarms", {"AlarmNames": names}, policy.region)

    def described(self, policy: ScalingPolicy) -> list[dict[str, str]]:
        """As answers name them."""
        return list(self._described(policy))

    def _described(self, policy: ScalingPolicy) -> Iterator[dict[str, str]]:
        for which in (HIGH, LOW):
            name = alarm_name(policy, which)
            yield {"AlarmName": name, "AlarmARN": f"arn:aws:cloudwatch:{policy.region}:{self._account_id}:alarm:{name}"}
