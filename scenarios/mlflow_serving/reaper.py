"""Finds endpoints whose time is over or that nobody asks, and takes them away in order.

Only endpoints with the tag ``ttl-until`` are looked at: whoever sets it agrees to be reaped. The time comes in as an
argument.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mlparity.scenarios import Platform
from scenarios.mlflow_serving import engine
from scenarios.mlflow_serving.names import ENDPOINT_TAG, REPOSITORY, TTL_TAG
from scenarios.sagemaker_common.endpoints import gone

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Candidate:
    """An endpoint that carries the tag. Times have an offset."""

    endpoint: str
    ttl_until: str  # as the tag says it
    modified_at: datetime
    last_invocation: datetime | None  # the end of the last minute with Invocations; None for none in the window


@dataclass(frozen=True)
class Found:
    """What would go, and why."""

    endpoint: str
    reason: str


def reason_to_go(candidate: Candidate, now: datetime, idle_minutes: int) -> str:
    """Why the endpoint is to go; "" where it is to stay. A tag that is no time is never a reason."""
    try:
        until = datetime.fromisoformat(candidate.ttl_until)
    except ValueError:
        until = None
    if until is not None and until.tzinfo is not None and until <= now:
        return f"{TTL_TAG} {candidate.ttl_until} has passed {_minutes(now - until)} ago"
    since = max(filter(None, (candidate.modified_at, candidate.last_invocation)))
    if now - since >= timedelta(minutes=idle_minutes):
        last = "none since it was made or changed" if candidate.last_invocation in (None, candidate.modified_at) else ""
        return f"no Invocations for {_minutes(now - since)}{', ' + last if last else ''}"
    return ""


def _minutes(span: timedelta) -> str:
    return f"{int(span.total_seconds() // 60)} min"


def find(platform: Platform, now: datetime, idle_minutes: int) -> list[Found]:
    """The dry run: every endpoint that is to go, with its reason. Nothing is touched."""
    found = []
    for candidate in _candidates(platform, now, idle_minutes):
        reason = reason_to_go(candidate, now, idle_minutes)
        if reason:
            found.append(Found(candidate.endpoint, reason))
    return found


def _candidates(platform: Platform, now: datetime, idle_minutes: int) -> Iterator[Candidate]:
    sagemaker = platform.client("sagemaker")
    for item in _all(platform, "list_endpoints", "Endpoints"):
        tag = _tags(sagemaker, item["EndpointArn"]).get(TTL_TAG)
        if tag is not None and item["EndpointStatus"] in {"InService", "Failed"}:  # the others are under way
            last = _last_invocation(platform, item["EndpointName"], now, idle_minutes)
            yield Candidate(item["EndpointName"], tag, item["LastModifiedTime"], last)


def _last_invocation(platform: Platform, endpoint: str, now: datetime, idle_minutes: int) -> datetime | None:
    """At least the last day is looked at, so that the reason can say since when."""
    config = platform.client("sagemaker").describe_endpoint(EndpointName=endpoint)
    times: list[datetime] = []
    period = 60 if idle_minutes <= 1440 else 3600  # CloudWatch gives at most 1,440 points
    for variant in config.get("ProductionVariants", []):
        points = platform.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName="Invocations",
            Dimensions=[
                {"Name": "EndpointName", "Value": endpoint},
                {"Name": "VariantName", "Value": variant["VariantName"]},
            ],
            StartTime=now - max(_DAY, timedelta(minutes=idle_minutes)),
            EndTime=now,
            Period=period,
            Statistics=["Sum"],
        )["Datapoints"]
        times += [point["Timestamp"] for point in points if point["Sum"] > 0]
    return min(now, max(times) + timedelta(seconds=period)) if times else None


def reap(platform: Platform, endpoint: str) -> list[str]:
    """Remove the endpoint, its configurations, its models and their images, in this order; what went, in words.

    Its configurations and models are those that it serves and those tagged as made for it. What another one uses stays.
    """
    sagemaker = platform.client("sagemaker")
    config = sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
    sagemaker.delete_endpoint(EndpointName=endpoint)
    gone(platform, endpoint)
    return [f"endpoint {endpoint}", *remove_rest(platform, endpoint, config)]


def remove_rest(platform: Platform, endpoint: str, serving: str = "") -> list[str]:
    """The configurations, models and images that an endpoint which is gone has left."""
    sagemaker, removed, models = platform.client("sagemaker"), [], set()
    in_use = _configs_in_use(platform)
    for item in _all(platform, "list_endpoint_configs", "EndpointConfigs"):
        name = item["EndpointConfigName"]
        if name in in_use or not (name == serving or _made_for(sagemaker, item["EndpointConfigArn"], endpoint)):
            continue
        described = sagemaker.describe_endpoint_config(EndpointConfigName=name)
        models |= {variant["ModelName"] for variant in described["ProductionVariants"]}
        sagemaker.delete_endpoint_config(EndpointConfigName=name)
        removed.append(f"configuration {name}")
    listed = _all(platform, "list_models", "Models")
    models |= {item["ModelName"] for item in listed if _made_for(sagemaker, item["ModelArn"], endpoint)}
    kept = _models_in_use(platform)
    images = set()
    for name in sorted(models - kept):
        images |= _images(sagemaker.describe_model(ModelName=name))
        sagemaker.delete_model(ModelName=name)
        removed.append(f"model {name}")
    return [*removed, *_remove_images(platform, images)]


def _remove_images(platform: Platform, images: set[str]) -> list[str]:
    """Of the scenario's own repository, and those alone that no model uses any more."""
    sagemaker = platform.client("sagemaker")
    used: set[str] = set()
    for item in _all(platform, "list_models", "Models"):
        used |= _images(sagemaker.describe_model(ModelName=item["ModelName"]))
    own = sorted(uri for uri in images - used if f"/{REPOSITORY}:" in uri)
    tags = [{"imageTag": uri.rpartition(":")[2]} for uri in own]
    if tags:
        gone = platform.client("ecr").batch_delete_image(repositoryName=REPOSITORY, imageIds=tags)
        wrong = [one for one in gone.get("failures", []) if one["failureCode"] != "ImageNotFound"]
        platform.check(not wrong, f"ECR kept images: {wrong}")
        engine.forget(own)
    return [f"image {uri}" for uri in own]


def _images(model: dict[str, Any]) -> set[str]:
    containers = [model.get("PrimaryContainer", {}), *model.get("Containers", [])]
    return {container["Image"] for container in containers if "Image" in container}


def _configs_in_use(platform: Platform) -> set[str]:
    sagemaker = platform.client("sagemaker")
    names = [item["EndpointName"] for item in _all(platform, "list_endpoints", "Endpoints")]
    return {sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"] for name in names}


def _models_in_use(platform: Platform) -> set[str]:
    sagemaker, used = platform.client("sagemaker"), set()
    for item in _all(platform, "list_endpoint_configs", "EndpointConfigs"):
        described = sagemaker.describe_endpoint_config(EndpointConfigName=item["EndpointConfigName"])
        used |= {variant["ModelName"] for variant in described["ProductionVariants"] if "ModelName" in variant}
    return used


def _made_for(sagemaker: Any, arn: str, endpoint: str) -> bool:
    return _tags(sagemaker, arn).get(ENDPOINT_TAG) == endpoint


def _tags(sagemaker: Any, arn: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}


def _all(platform: Platform, operation: str, member: str) -> Sequence[dict[str, Any]]:
    pages = platform.client("sagemaker").get_paginator(operation).paginate()
    return [item for page in pages for item in page[member]]
