"""CacheConfig and RetryPolicies of a step, read and checked.

https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-caching-enabling.html
https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-retry-policy.html
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from mlparity.apis.sagemaker.definition.step_types import StepType
from mlparity.apis.sagemaker.errors import SageMakerError, validation
from mlparity.engine.retry import RetryRule

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SERVICE_FAULT = "Step.SERVICE_FAULT"
THROTTLING = "Step.THROTTLING"
JOB_INTERNAL_ERROR = "SageMaker.JOB_INTERNAL_ERROR"
CAPACITY_ERROR = "SageMaker.CAPACITY_ERROR"
RESOURCE_LIMIT = "SageMaker.RESOURCE_LIMIT"
_FAULTS = {SERVICE_FAULT, THROTTLING, JOB_INTERNAL_ERROR, CAPACITY_ERROR, RESOURCE_LIMIT}

_MOST_ATTEMPTS = 20
_MOST_MINUTES = 14400
_USUAL_ATTEMPTS = 5
# "Pipelines retries on this type of error automatically": how often, the documentation does not say.
_ALWAYS = RetryRule((SERVICE_FAULT, THROTTLING), interval_seconds=1, backoff_rate=2, max_attempts=3)


def reuse_within_seconds(step: Mapping[str, Any], kind: StepType) -> float | None:
    """How old a result may be to stand for this step's; None where caching is off. Raises ``ValidationException``."""
    config = step.get("CacheConfig")
    if config is None:
        return None
    if kind.cached is None:
        raise _unknown_property("CacheConfig")
    if not isinstance(config, dict) or not isinstance(config.get("Enabled"), bool):
        raise validation(f"Step {step['Name']}: CacheConfig must have Enabled, true or false")
    text = config.get("ExpireAfter")
    if text is not None:
        seconds = _seconds(step["Name"], text)
    elif config["Enabled"]:
        raise validation(f"Step {step['Name']}: CacheConfig must have ExpireAfter when it is enabled")
    return seconds if config["Enabled"] else None


def _seconds(name: str, text: Any) -> float:
    """ISO 8601, and SageMaker's own examples of it: "30d", "T16m", "p30d"."""
    try:
        duration = _durations().validate_python("P" + str(text).upper().removeprefix("P"))
    except ValueError:
        raise validation(f"Step {name}: CacheConfig.ExpireAfter {text!r} is not an ISO 8601 duration") from None
    if duration <= timedelta(0):
        raise validation(f"Step {name}: CacheConfig.ExpireAfter {text!r} is not a positive duration")
    return duration.total_seconds()


@cache
def _durations() -> TypeAdapter[timedelta]:
    from pydantic import TypeAdapter

    return TypeAdapter(timedelta)


def retry_rules(step: Mapping[str, Any], kind: StepType) -> tuple[RetryRule, ...]:
    """The step's own policies, then what SageMaker always does. Raises ``ValidationException``."""
    policies = step.get("RetryPolicies")
    if policies is None:
        return (_ALWAYS,)
    if not kind.retried:
        raise _unknown_property("RetryPolicies")
    if not isinstance(policies, list):
        raise validation(f"Step {step['Name']}: RetryPolicies must be a list")
    return (*(_rule(step["Name"], policy) for policy in policies), _ALWAYS)


def _rule(name: str, policy: Any) -> RetryRule:
    known = {"ExceptionType", "IntervalSeconds", "BackoffRate", "MaxAttempts", "ExpireAfterMin"}
    if not isinstance(policy, dict):
        raise validation(f"Step {name}: every retry policy must be an object")
    for member in policy:
        if member not in known:
            raise _unknown_property(member)
    faults = policy.get("ExceptionType")
    if not isinstance(faults, list) or not faults or not set(map(str, faults)) <= _FAULTS:
        raise validation(f"Step {name}: ExceptionType {faults} must be a list of {', '.join(sorted(_FAULTS))}")
    attempts = _number(name, policy, "MaxAttempts", _MOST_ATTEMPTS)
    minutes = _number(name, policy, "ExpireAfterMin", _MOST_MINUTES)
    if attempts is None and minutes is None:
        attempts = _USUAL_ATTEMPTS
    interval = _number(name, policy, "IntervalSeconds")
    rate = _number(name, policy, "BackoffRate")
    return RetryRule(
        tuple(faults),
        1.0 if interval is None else interval,
        2.0 if rate is None else rate,
        None if attempts is None else int(attempts),
        None if minutes is None else minutes * 60,
    )


def _number(name: str, policy: Mapping[str, Any], member: str, most: float | None = None) -> float | None:
    value = policy.get(member)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or (most and value > most):
        limit = f" up to {most}" if most else ""
        raise validation(f"Step {name}: {member} {value!r} of a retry policy must be a number from 0{limit}")
    return float(value)


def _unknown_property(member: str) -> SageMakerError:
    return validation(f"Unable to parse pipeline definition. Cannot parse object, unknown property '{member}'.")
