"""Application Auto Scaling of SageMaker endpoint variants: targets, target tracking policies, activities.

https://docs.aws.amazon.com/autoscaling/application/APIReference/Welcome.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from mlparity.apis.aws.application_autoscaling_alarms import HIGH, LOW, TrackingAlarms
from mlparity.apis.aws.application_autoscaling_store import (
    DIMENSION,
    NAMESPACE,
    AutoscalingStore,
    ScalableTarget,
    ScalingPolicy,
)
from mlparity.apis.aws.message import AwsError
from mlparity.errors import InvalidRequestError, NotFoundError
from mlparity.ids import IdSource

_PAGE = 50
_RESOURCE = re.compile(r"endpoint/([^/]+)/variant/([^/]+)")
_ROLE = "sagemaker.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
INVOCATIONS = "SageMakerVariantInvocationsPerInstance"
_ENDPOINT_STATE = ("aws.sagemaker", "SageMaker Endpoint State Change")
_SECOND = timedelta(seconds=1)
_SUSPENDED = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")


class Scalable(Protocol):
    """The instance counts of endpoint variants."""

    def capacity(self, endpoint: str, variant: str) -> int | None:
        """The wanted number of instances; None where there is no such variant."""
        ...

    def set_capacity(self, endpoint: str, variant: str, instances: int) -> None:
        """Change it. Raises ``MlparityError`` where the endpoint cannot be changed now."""
        ...


class NothingScalable:
    """A ``Scalable`` for a stack without endpoints."""

    def capacity(self, endpoint: str, variant: str) -> int | None:  # noqa: ARG002 - the protocol's signature
        """There is none."""
        return None

    def set_capacity(self, endpoint: str, variant: str, instances: int) -> None:
        """Never called: there is no target without a variant."""


@dataclass(frozen=True)
class AutoscalingService:
    """The operations. ``changed`` is called when there may be something to scale by now."""

    account_id: str
    store: AutoscalingStore
    scalable: Scalable
    ids: IdSource
    changed: Callable[[], None]
    alarms: TrackingAlarms

    def handle(self, operation: str, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        """The response of one operation. Raises ``AwsError``."""
        operations: Mapping[str, Callable[[Mapping[str, Any], str], dict[str, Any]]] = {
            "RegisterScalableTarget": self._register,
            "DescribeScalableTargets": self._describe_targets,
            "DeregisterScalableTarget": self._deregister,
            "PutScalingPolicy": self._put_policy,
            "DescribeScalingPolicies": self._describe_policies,
            "DeleteScalingPolicy": self._delete_policy,
            "DescribeScalingActivities": self._describe_activities,
        }
        found = operations.get(operation)
        return self._tags(operation, params, region) if found is None else found(params, region)

    # -- targets -----------------------------------------------------------------------------------------------

    def _register(self, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        resource = _scaled(params)
        endpoint, variant = split(resource)
        try:
            before: Mapping[str, Any] = self.store.target(region, resource).body
        except NotFoundError:
            before = {"Id": self.ids.uuid().replace("-", "")}
            for member, word in (("MinCapacity", "Minimum"), ("MaxCapacity", "Maximum")):
                if member not in params:
                    raise _invalid(f"{word} capacity cannot be null for a new scalable target") from None
        if self.scalable.capacity(endpoint, variant) is None:
            raise _invalid(f"Endpoint variant not found for resource ID: {resource}")
        role = f"arn:aws:iam::{self.account_id}:role/aws-service-role/{_ROLE}"
        given = {name: params[name] for name in ("MinCapacity", "MaxCapacity", "RoleARN") if name in params}
        body = {"RoleARN": role, **before, **given}
        body["SuspendedState"] = {
            **dict.fromkeys(_SUSPENDED, False),
            **before.get("SuspendedState", {}),
            **params.get("SuspendedState", {}),
        }
        if body["MinCapacity"] < 0:
            raise _invalid("Minimum capacity cannot be less than 0")
        if body["MinCapacity"] > body["MaxCapacity"]:
            raise _invalid("Maximum capacity cannot be less than minimum capacity")
        target = self.store.put_target(region, resource, body)
        self.store.tags.add(target.arn(self.account_id), params.get("Tags", {}))
        self.changed()
        return {"ScalableTargetARN": target.arn(self.account_id)}

    def _deregister(self, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        self._forget(self._target(params, region))
        return {}

    def on_event(self, event: Mapping[str, Any]) -> None:
        """Deregister an endpoint's targets when it is deleted, as the vendor does without a word.

        https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-delete-with-scaling.html
        An event may come twice: a target that was registered after it is of a new endpoint with the old name.
        """
        detail = event["detail"]
        if (event["source"], event["detail-type"]) != _ENDPOINT_STATE or detail["EndpointStatus"] != "DELETING":
            return
        at = datetime.fromisoformat(event["time"]) + _SECOND  # events tell whole seconds
        for target in list(self.store.targets(event["region"])):
            if split(target.resource)[0] == detail["EndpointName"] and target.created_at < at:
                self._forget(target)

    def _forget(self, target: ScalableTarget) -> None:
        policies = list(self.store.policies(target.region, target.resource))
        self.store.delete_target(target, self.account_id)
        for policy in policies:
            self.alarms.delete(policy)

    def _target(self, params: Mapping[str, Any], region: str) -> ScalableTarget:
        try:
            return self.store.target(region, _scaled(params))
        except NotFoundError:
            raise AwsError(
                "ObjectNotFoundException",
                f"No scalable target registered for service namespace: {params['ServiceNamespace']}, resource ID: "
                f"{params['ResourceId']}, scalable dimension: {params['ScalableDimension']}",
            ) from None

    def _describe_targets(self, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        _served(params)
        wanted = params.get("ResourceIds")
        found = [each for each in self.store.targets(region) if not wanted or each.resource in wanted]
        shown, token = _page(found, params)
        return {"ScalableTargets": [self._rendered(each) for each in shown], **token}

    def _rendered(self, target: ScalableTarget) -> dict[str, Any]:
        shown = ("MinCapacity", "MaxCapacity", "RoleARN", "SuspendedState")
        body = {name: target.body[name] for name in shown}
        return {**names_of(target.resource), **body, "CreationTime": target.created_at,
                "ScalableTargetARN": target.arn(self.account_id)}  # fmt: skip

    # -- policies ----------------------------------------------------------------------------------------------

    def _put_policy(self, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        target = self._target(params, region)
        name = params["PolicyName"]
        try:
            before: Mapping[str, Any] = self.store.policy(region, target.resource, name).body
        except NotFoundError:
            before = {**{name: self.ids.uuid() for name in ("Id", HIGH, LOW)}, "PolicyType": "StepScaling"}
        kind = params.get("PolicyType", before["PolicyType"])
        if kind != "TargetTrackingScaling":
            raise _invalid(f"PolicyType {kind} is not served by mlparity: use TargetTrackingScaling")
        config = params.get("TargetTrackingScalingPolicyConfiguration")
        if config is None:
            raise _invalid("TargetTrackingScalingPolicyConfiguration is required for PolicyType TargetTrackingScaling")
        _check_tracking(config)
        kept = {member: before[member] for member in ("Id", HIGH, LOW)}
        body = {**kept, "PolicyType": kind, "TargetTrackingScalingPolicyConfiguration": config}
        policy = self.store.put_policy(region, target.resource, name, body)
        self.alarms.put(policy)
        self.changed()
        return {"PolicyARN": policy.arn(self.account_id), "Alarms": self.alarms.described(policy)}

    def _delete_policy(self, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        try:
            policy = self.store.policy(region, _scaled(params), params["PolicyName"])
            self.store.delete_policy(policy)
        except NotFoundError:
            raise AwsError(
                "ObjectNotFoundException",
                f"No scaling policy found for service namespace: {params['ServiceNamespace']}, resource ID: "
                f"{params['ResourceId']}, scalable dimension: {params['ScalableDimension']}, policy name: "
                f"{params['PolicyName']}",
            ) from None
        self.alarms.delete(policy)
        return {}

    def _describe_policies(self, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        _served(params)
        names = params.get("PolicyNames")
        found = [
            each
            for each in self.store.policies(region)
            if params.get("ResourceId", each.resource) == each.resource and (not names or each.name in names)
        ]
        shown, token = _page(found, params)
        return {"ScalingPolicies": [self._rendered_policy(each) for each in shown], **token}

    def _rendered_policy(self, policy: ScalingPolicy) -> dict[str, Any]:
        shown = ("PolicyName", "PolicyType", "TargetTrackingScalingPolicyConfiguration")
        return {
            **names_of(policy.resource),
            **{member: policy.body[member] for member in shown},
            "PolicyARN": policy.arn(self.account_id),
            "Alarms": self.alarms.described(policy),
            "CreationTime": policy.created_at,
        }

    # -- activities and tags -----------------------------------------------------------------------------------

    def _describe_activities(self, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        _served(params)
        limit = min(params.get("MaxResults", _PAGE), _PAGE)
        try:
            page = self.store.activities(region, params.get("ResourceId", ""), limit, params.get("NextToken"))
        except InvalidRequestError:
            raise AwsError("InvalidNextTokenException", "The next token supplied is invalid") from None
        shown = [_activity(each.body) for each in page.items]
        return {"ScalingActivities": shown, **({"NextToken": page.next_token} if page.next_token else {})}

    def _tags(self, operation: str, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        arn = params["ResourceARN"]
        if all(each.arn(self.account_id) != arn for each in self.store.targets(region)):
            raise AwsError("ResourceNotFoundException", f"No scalable target found for resource ARN: {arn}")
        match operation:
            case "TagResource":
                self.store.tags.add(arn, params["Tags"])
            case "UntagResource":
                self.store.tags.remove(arn, params["TagKeys"])
            case _:
                return {"Tags": self.store.tags.get(arn)}
        return {}


def _activity(body: Mapping[str, Any]) -> dict[str, Any]:
    times = {name: datetime.fromisoformat(body[name]) for name in ("StartTime", "EndTime")}
    return {**body, **times}


def split(resource: str) -> tuple[str, str]:
    """(endpoint, variant). Raises ``AwsError``."""
    match = _RESOURCE.fullmatch(resource)
    if match is None:
        raise _invalid(f"Unsupported resource ID: {resource}. It must be endpoint/NAME/variant/NAME")
    return match[1], match[2]


def _served(params: Mapping[str, Any]) -> None:
    """Refuse what is not an endpoint variant's instance count: nothing else scales here."""
    if params["ServiceNamespace"] != NAMESPACE:
        raise _invalid(f"Service namespace {params['ServiceNamespace']} is not served by mlparity: nothing would scale")
    dimension = params.get("ScalableDimension", DIMENSION)
    if dimension.partition(":")[0] != NAMESPACE:
        raise _invalid(f"Unsupported service namespace, resource type or scalable dimension: {dimension}")
    if dimension != DIMENSION:
        raise _invalid(f"Scalable dimension {dimension} is not served by mlparity")


def _scaled(params: Mapping[str, Any]) -> str:
    _served(params)
    resource: str = params["ResourceId"]
    split(resource)
    return resource


def _check_tracking(config: Mapping[str, Any]) -> None:
    predefined, customized = config.get("PredefinedMetricSpecification"), config.get("CustomizedMetricSpecification")
    if (predefined is None) == (customized is None):
        raise _invalid("Exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification is required")
    if predefined is not None and predefined["PredefinedMetricType"] != INVOCATIONS:
        raise _invalid(
            f"Predefined metric {predefined['PredefinedMetricType']} is not served by mlparity for "
            f"{DIMENSION}: use {INVOCATIONS} or a customized metric"
        )
    if customized is not None:
        if "Metrics" in customized:
            raise _invalid("Metric math is not served by mlparity: name one metric in CustomizedMetricSpecification")
        for member in ("MetricName", "Namespace", "Statistic"):
            if member not in customized:
                raise _invalid(f"{member} is required in CustomizedMetricSpecification")
    if config["TargetValue"] <= 0:
        raise _invalid("TargetValue must be greater than 0")


def names_of(resource: str) -> dict[str, Any]:
    """The members that say which target something is about."""
    return {"ServiceNamespace": NAMESPACE, "ResourceId": resource, "ScalableDimension": DIMENSION}


def _page(found: Iterable[Any], params: Mapping[str, Any]) -> tuple[list[Any], dict[str, str]]:
    token = params.get("NextToken", "0")
    if not token.isdecimal():
        raise AwsError("InvalidNextTokenException", "The next token supplied is invalid")
    everything, begin = list(found), int(token)
    end = begin + min(max(params.get("MaxResults", _PAGE), 1), _PAGE)
    return everything[begin:end], {"NextToken": str(end)} if end < len(everything) else {}


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)
