"""From an endpoint configuration and its models to what the substrate deploys.

https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails.html
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from mlparity.apis.sagemaker import hosted_containers, models
from mlparity.apis.sagemaker.context import SageMaker
from mlparity.apis.sagemaker.errors import validation
from mlparity.serving.endpoints.plans import (
    Capacity,
    CapturePlan,
    ModelContainer,
    Revision,
    RolloutPolicy,
    Strategy,
    VariantPlan,
)
from mlparity.state.documents import Document

_STARTUP_SECONDS = 600
_REAL_TIME_SECONDS, _ASYNCHRONOUS_SECONDS = 60.0, 3600.0  # the longest that a container may take
_CANARY, _LINEAR, _BATCH = (1, 50), (10, 50), (5, 50)  # percent of a variant's instances
_PERCENT = 100
_STRATEGIES = {"ALL_AT_ONCE": Strategy.ALL_AT_ONCE, "CANARY": Strategy.CANARY, "LINEAR": Strategy.LINEAR}


def revision(api: SageMaker, config: Document) -> Revision:
    """What the endpoints of ``config`` serve, with the models as they are now.

    Raises SageMaker's errors where a model is gone, or nothing here can run its image.
    """
    body = config.body
    asynchronous = "AsyncInferenceConfig" in body
    variants = [_variant(api, item, asynchronous=asynchronous) for item in body["ProductionVariants"]]
    total = sum(variant.weight for variant in variants)
    shadows = [
        _variant(api, item, asynchronous=asynchronous, copied_of=total)
        for item in body.get("ShadowProductionVariants", ())
    ]
    return Revision(config.name, (*variants, *shadows), capture(body.get("DataCaptureConfig")))


def _variant(
    api: SageMaker, variant: Mapping[str, Any], *, asynchronous: bool, copied_of: float | None = None
) -> VariantPlan:
    """``copied_of`` is the weight of the production variants, of which a shadow's is the share that is copied."""
    weight = float(variant["InitialVariantWeight"])
    return VariantPlan(
        name=variant["VariantName"],
        containers=containers(api, variant["ModelName"]),
        instances=variant["InitialInstanceCount"],
        weight=weight if copied_of is None else min(1.0, weight / copied_of),
        shadow=copied_of is not None,
        startup_seconds=variant.get("ContainerStartupHealthCheckTimeoutInSeconds", _STARTUP_SECONDS),
        invocation_seconds=_ASYNCHRONOUS_SECONDS if asynchronous else _REAL_TIME_SECONDS,
    )


def containers(api: SageMaker, model_name: str) -> Sequence[ModelContainer]:
    """A model's containers, the first to be asked first."""
    model = models.find(api, model_name)
    found = models.containers(model)
    for container in found:
        api.image_metrics(container["Image"])  # raises where no runtime stands for the image
    role = model.body.get("ExecutionRoleArn", "")
    return tuple(hosted_containers.hosted(api, container, role) for container in found)


def capture(config: Mapping[str, Any] | None) -> CapturePlan | None:
    """None where nothing is captured."""
    if config is None or not config.get("EnableCapture", True):
        return None
    modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
    header = config.get("CaptureContentTypeHeader", {})
    return CapturePlan(
        percentage=config["InitialSamplingPercentage"],
        destination=config["DestinationS3Uri"],
        input=bool(modes & {"Input", "InputAndOutput"}),
        output=bool(modes & {"Output", "InputAndOutput"}),
        csv_types=tuple(header.get("CsvContentTypes", ())),
        json_types=tuple(header.get("JsonContentTypes", ())),
    )


def policy(
    config: Mapping[str, Any], counts: Collection[int], unknown_alarms: Callable[[Sequence[str]], Sequence[str]]
) -> RolloutPolicy:
    """A DeploymentConfig as a policy; ``counts`` are the instance counts of the variants that it is for.

    ``unknown_alarms`` gives those of some names that no alarm has. Raises ``ValidationException``.
    """
    blue_green, rolling = config.get("BlueGreenUpdatePolicy"), config.get("RollingUpdatePolicy")
    if blue_green is not None and rolling is not None:
        raise validation("Only one of BlueGreenUpdatePolicy and RollingUpdatePolicy can be specified.")
    alarms = _alarms(config, unknown_alarms)
    if rolling is not None:
        return _rolling(rolling, counts, alarms)
    return _blue_green(blue_green or {}, counts, alarms)


def _blue_green(config: Mapping[str, Any], counts: Collection[int], alarms: Sequence[str]) -> RolloutPolicy:
    routing = config.get("TrafficRoutingConfiguration", {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0})
    kind = routing["Type"]
    for member, owner in (("CanarySize", "CANARY"), ("LinearStepSize", "LINEAR")):
        if member in routing and kind != owner:
            raise validation(f"{member} can only be specified when TrafficRoutingConfiguration Type is {owner}.")
        if member not in routing and kind == owner:
            raise validation(f"{member} must be specified when TrafficRoutingConfiguration Type is {owner}.")
    step = Capacity(_PERCENT)
    if kind == "CANARY":
        step = _size("CanarySize", routing["CanarySize"], _CANARY, counts)
    elif kind == "LINEAR":
        step = _size("LinearStepSize", routing["LinearStepSize"], _LINEAR, counts)
    return RolloutPolicy(
        _STRATEGIES[kind],
        step,
        routing["WaitIntervalInSeconds"],
        termination_wait_seconds=config.get("TerminationWaitInSeconds", 0),
        timeout_seconds=config.get("MaximumExecutionTimeoutInSeconds", 0),
        alarms=alarms,
    )


def _rolling(config: Mapping[str, Any], counts: Collection[int], alarms: Sequence[str]) -> RolloutPolicy:
    back = Capacity(_PERCENT)
    if "RollbackMaximumBatchSize" in config:
        back = _size("RollbackMaximumBatchSize", config["RollbackMaximumBatchSize"], (5, _PERCENT), counts)
    return RolloutPolicy(
        Strategy.ROLLING,
        _size("MaximumBatchSize", config["MaximumBatchSize"], _BATCH, counts),
        config["WaitIntervalInSeconds"],
        timeout_seconds=config.get("MaximumExecutionTimeoutInSeconds", 0),
        rollback_step=back,
        alarms=alarms,
    )


def _size(member: str, given: Mapping[str, Any], limits: tuple[int, int], counts: Collection[int]) -> Capacity:
    """A size within the vendor's limits, which are percentages of a variant's instances."""
    low, high = limits
    value, percent = given["Value"], given["Type"] == "CAPACITY_PERCENT"
    if percent and not low <= value <= high:
        raise validation(f"{member} of type CAPACITY_PERCENT must be between {low} and {high}: {value}")
    smallest = min(counts)
    # One instance can only be replaced as a whole.
    if not percent and value * _PERCENT > high * smallest and not value == smallest == 1:
        raise validation(
            f"{member} of type INSTANCE_COUNT must be at most {high}% of the variant's instances: {value} of {smallest}"
        )
    if not percent and value * _PERCENT < low * max(counts):
        raise validation(
            f"{member} of type INSTANCE_COUNT must be at least {low}% of the variant's instances: "
            f"{value} of {max(counts)}"
        )
    return Capacity(value, percent)


def _alarms(config: Mapping[str, Any], unknown_alarms: Callable[[Sequence[str]], Sequence[str]]) -> Sequence[str]:
    names = [item["AlarmName"] for item in config.get("AutoRollbackConfiguration", {}).get("Alarms", ()) if item]
    unknown = unknown_alarms(names) if names else ()
    if unknown:
        raise validation(f"The following alarms in AutoRollbackConfiguration do not exist: {', '.join(unknown)}")
    return tuple(names)
