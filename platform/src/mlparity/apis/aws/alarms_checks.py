"""What PutMetricAlarm refuses, beyond what the service's model does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlparity.apis.aws.alarms_evaluation import COMPARISONS
from mlparity.apis.aws.message import AwsError
from mlparity.apis.aws.metrics_statistics import is_percentile
from mlparity.apis.aws.targets import service_of

ACTIONS = ("OKActions", "AlarmActions", "InsufficientDataActions")
_REQUIRED = ("MetricName", "Namespace", "Period", "Threshold", "EvaluationPeriods", "ComparisonOperator")
_NOT_SERVED = (
    "ActionConfiguration", "EvaluationCriteria", "EvaluationInterval", "EvaluationWindow", "Metrics",
    "ThresholdMetricId", "WarmUpConfiguration",
)  # fmt: skip
_MISSING = {"breaching", "notBreaching", "ignore", "missing"}
_MOST_ACTIONS = 5
_HOUR, _DAY, _WEEK = 3600, 86400, 604800
_MINUTE = 60


def check(params: Mapping[str, Any]) -> None:
    """Raise ``AwsError`` for an alarm that cannot be, or that nothing here would evaluate."""
    for name in _NOT_SERVED:
        if name in params:
            raise _invalid(f"{name} is not served by mlparity: alarms are on one metric's statistic")
    for name in _REQUIRED:
        if name not in params:
            raise _invalid(f"The parameter {name} is required.")
    if ("Statistic" in params) == ("ExtendedStatistic" in params):
        raise AwsError(
            "InvalidParameterCombination", "Exactly one of Statistic and ExtendedStatistic must be specified."
        )
    if not is_percentile(params.get("ExtendedStatistic", "p50")):
        raise _invalid(f"ExtendedStatistic {params['ExtendedStatistic']} is not a percentile between p0 and p100.")
    if params["ComparisonOperator"] not in COMPARISONS:
        raise _invalid(f"ComparisonOperator {params['ComparisonOperator']} needs an anomaly detector: there is none")
    if params.get("TreatMissingData", "missing") not in _MISSING:
        raise _invalid(f"TreatMissingData must be one of {', '.join(sorted(_MISSING))}.")
    if params.get("EvaluateLowSampleCountPercentile", "evaluate") != "evaluate":
        raise _invalid("EvaluateLowSampleCountPercentile is not served by mlparity but for 'evaluate'")
    _check_periods(params["Period"], params["EvaluationPeriods"], params)
    _check_actions(params)


def _check_periods(period: int, count: int, params: Mapping[str, Any]) -> None:
    if period not in {10, 20, 30} and period % _MINUTE:
        raise _invalid("Period must be 10, 20, 30 or a multiple of 60.")
    longest = _WEEK if period >= _HOUR else _DAY
    if period * count > longest:
        raise _invalid(f"EvaluationPeriods * Period must be {longest} seconds at most.")
    if not 1 <= params.get("DatapointsToAlarm", count) <= count:
        raise _invalid("DatapointsToAlarm must be between 1 and EvaluationPeriods.")


def _check_actions(params: Mapping[str, Any]) -> None:
    for name in ACTIONS:
        actions = params.get(name, ())
        if len(actions) > _MOST_ACTIONS:
            raise _invalid(f"{name} must have {_MOST_ACTIONS} members at most.")
        for arn in actions:
            if service_of(arn) != "sns":
                raise _invalid(
                    f"Invalid arn: {arn}. mlparity performs actions on SNS topics; for anything else match the event "
                    "'CloudWatch Alarm State Change' with an EventBridge rule"
                )


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationError", message)
