"""Changes of endpoints: to another configuration, by a rollout, and to other weights and counts.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateEndpoint.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mlparity.apis.sagemaker import endpoint_configs, endpoint_plans, endpoints, lineage_endpoints
from mlparity.apis.sagemaker.context import API, Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.endpoint_status import (
    NEW_CONFIG,
    SERVING_CONFIG,
    STATUS,
    last_deployment_config,
    serving_config,
)
from mlparity.apis.sagemaker.endpoint_views import arn, production_weight
from mlparity.apis.sagemaker.errors import SageMakerError, not_served, validation
from mlparity.apis.sagemaker.operation import Operation
from mlparity.errors import InvalidRequestError
from mlparity.serving.endpoints.endpoints import Endpoint, EndpointPhase
from mlparity.serving.endpoints.errors import EndpointBusyError, EndpointFailedError, UnknownVariantError
from mlparity.serving.endpoints.plans import Revision
from mlparity.state.documents import Document
from mlparity.wire.json_values import jsonable

_COUNT, _WEIGHT, _CAPTURE = "DesiredInstanceCount", "DesiredWeight", "DataCaptureConfig"


def update(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """UpdateEndpoint: a rollout to another configuration."""
    name = request["EndpointName"]
    endpoint = endpoints.find(api, name)
    _refuse_state(api, endpoint)
    config = endpoint_configs.find(api, request["EndpointConfigName"])
    retained = _retained(request)
    if _CAPTURE in retained:
        config = _with_capture_of(endpoint, config)
    revision = _with_numbers_of(endpoint, endpoint_plans.revision(api, config), retained)
    deployment = _deployment(endpoint, request)
    counts = [variant.desired_instances for variant in endpoint.variants if not variant.plan.shadow]
    policy = endpoint_plans.policy(deployment, counts or [1], api.hosting.unknown_alarms)
    endpoints.check_quota(api, config.body, replaces=name)
    kept = jsonable(
        {
            **request,
            "DeploymentConfig": deployment,
            NEW_CONFIG: config.body,
            SERVING_CONFIG: serving_config(endpoint),
            lineage_endpoints.PACKAGES: lineage_endpoints.package_arns(api, config.body),
        }
    )
    try:
        api.hosting.endpoints.update(API, name, revision, policy, kept)
    except EndpointBusyError:
        raise endpoints.busy(api, name) from None
    except EndpointFailedError:
        raise _failed(api, endpoint) from None
    return {"EndpointArn": arn(api, name)}


def _refuse_state(api: SageMaker, endpoint: Endpoint) -> None:
    """Said before anything about the configuration."""
    if endpoint.phase.is_busy:
        raise endpoints.busy(api, endpoint.name)
    if endpoint.phase is EndpointPhase.FAILED:
        raise _failed(api, endpoint)


def _failed(api: SageMaker, endpoint: Endpoint) -> SageMakerError:
    hint = " Delete it." if endpoint.phase is EndpointPhase.FAILED else ""
    return validation(f'Cannot update endpoint "{arn(api, endpoint.name)}" in status {STATUS[endpoint.phase]}.{hint}')


def _retained(request: Request) -> set[str]:
    """Which properties stay as the endpoint has them now."""
    excluded = {item["VariantPropertyType"] for item in request.get("ExcludeRetainedVariantProperties", ())}
    if not request.get("RetainAllVariantProperties", False):
        if excluded:
            raise validation(
                "ExcludeRetainedVariantProperties can only be specified when RetainAllVariantProperties is true."
            )
        return set()
    return {_COUNT, _WEIGHT, _CAPTURE} - excluded


def _deployment(endpoint: Endpoint, request: Request) -> Mapping[str, Any]:
    if not request.get("RetainDeploymentConfig", False):
        found: Mapping[str, Any] = request.get("DeploymentConfig", {})
        return found
    if "DeploymentConfig" in request:
        raise validation("DeploymentConfig cannot be specified when RetainDeploymentConfig is true.")
    return last_deployment_config(endpoint) or {}


def _with_capture_of(endpoint: Endpoint, config: Document) -> Document:
    body = {name: value for name, value in config.body.items() if name != _CAPTURE}
    serving = serving_config(endpoint)
    if _CAPTURE in serving:
        body[_CAPTURE] = serving[_CAPTURE]
    return replace(config, body=body)


def _with_numbers_of(endpoint: Endpoint, revision: Revision, retained: set[str]) -> Revision:
    """Variants of the same name keep the weights and counts that they have now."""
    now = {variant.name: variant for variant in endpoint.variants}
    variants = []
    for plan in revision.variants:
        before = now.get(plan.name)
        if before is not None and _COUNT in retained:
            plan = replace(plan, instances=before.desired_instances)  # noqa: PLW2901 - the same variant, adjusted
        if before is not None and _WEIGHT in retained and before.plan.shadow == plan.shadow:
            plan = replace(plan, weight=before.desired_weight)  # noqa: PLW2901
        variants.append(plan)
    return replace(revision, variants=tuple(variants))


def update_weights(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """UpdateEndpointWeightsAndCapacities."""
    name = request["EndpointName"]
    endpoint = endpoints.find(api, name)
    _refuse_state(api, endpoint)
    wanted = request["DesiredWeightsAndCapacities"]
    if any("ServerlessUpdateConfig" in item for item in wanted):
        raise not_served("ServerlessUpdateConfig")
    names = [item["VariantName"] for item in wanted]
    if len(set(names)) != len(names):
        raise validation("Variant names in DesiredWeightsAndCapacities must be unique.")
    changes = _changes(endpoint, {item["VariantName"]: item for item in wanted})
    try:
        api.hosting.endpoints.set_weights_and_capacities(API, name, changes)
    except UnknownVariantError as error:
        raise validation(f'Could not find variant "{error.variant}" of endpoint "{arn(api, name)}".') from None
    except InvalidRequestError as error:
        raise validation(". ".join(error.lines())) from None
    except EndpointBusyError:
        raise endpoints.busy(api, name) from None
    except EndpointFailedError:
        raise _failed(api, endpoint) from None
    return {"EndpointArn": arn(api, name)}


def _changes(endpoint: Endpoint, wanted: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[float | None, int | None]]:
    """As the substrate takes them: a shadow's weight is the share of the requests that is copied to it."""
    changed = [
        replace(state, desired_weight=wanted.get(state.name, {}).get(_WEIGHT, state.desired_weight))
        for state in endpoint.variants
        if not state.plan.shadow
    ]
    if not any(state.desired_weight for state in changed):
        raise validation("The sum of the weights of all production variants must be greater than 0.")
    total = production_weight(changed)
    shadows = {state.name for state in endpoint.variants if state.plan.shadow}
    changes: dict[str, tuple[float | None, int | None]] = {}
    for name, item in wanted.items():
        weight = item.get(_WEIGHT)
        if weight is not None and name in shadows:
            weight = min(1.0, weight / total)
        changes[name] = (weight, item.get(_COUNT))
    return changes


OPERATIONS = (
    Operation("UpdateEndpoint", update),
    Operation("UpdateEndpointWeightsAndCapacities", update_weights, "no serverless capacities"),
)
