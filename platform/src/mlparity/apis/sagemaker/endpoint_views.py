"""Endpoints as SageMaker shows them: what DescribeEndpoint, ListEndpoints and Search answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlparity.apis.sagemaker.context import Response, SageMaker
from mlparity.apis.sagemaker.endpoint_status import (
    STATUS,
    VARIANT_STATUS,
    last_deployment_config,
    pending_config,
    serving_config,
    takes_requests,
)
from mlparity.serving.endpoints.endpoints import Endpoint, VariantState

_REASON_LIMIT = 1024


def arn(api: SageMaker, name: str) -> str:
    """Of an endpoint."""
    return api.arns.of("endpoint", name)


def described(api: SageMaker, endpoint: Endpoint) -> Response:
    """As DescribeEndpoint shows it."""
    config = serving_config(endpoint)
    response: Response = {
        **summary(api, endpoint),
        "EndpointConfigName": endpoint.revision.name,
        **_variants(endpoint.variants, config),
    }
    if "DataCaptureConfig" in config:
        response["DataCaptureConfig"] = _capture(config["DataCaptureConfig"], running=takes_requests(endpoint))
    if endpoint.failure_reason:
        response["FailureReason"] = endpoint.failure_reason[:_REASON_LIMIT]
    if (deployment := last_deployment_config(endpoint)) is not None:
        response["LastDeploymentConfig"] = deployment
    if "AsyncInferenceConfig" in config:
        response["AsyncInferenceConfig"] = config["AsyncInferenceConfig"]
    if endpoint.pending is not None:
        response["PendingDeploymentSummary"] = {
            "EndpointConfigName": endpoint.pending.revision.name,
            **_variants(endpoint.pending.variants, pending_config(endpoint), pending=True),
            "StartTime": endpoint.pending.started_at,
        }
    return response


def summary(api: SageMaker, endpoint: Endpoint) -> Response:
    """As ListEndpoints shows it."""
    return {
        "EndpointName": endpoint.name,
        "EndpointArn": arn(api, endpoint.name),
        "CreationTime": endpoint.created_at,
        "LastModifiedTime": endpoint.modified_at,
        "EndpointStatus": STATUS[endpoint.phase],
    }


def production_weight(variants: Sequence[VariantState]) -> float:
    """The sum of the weights that the production variants are to have: what a shadow's weight is measured by."""
    return sum(variant.desired_weight for variant in variants if not variant.plan.shadow) or 1.0


def _variants(
    variants: Sequence[VariantState], config: Mapping[str, Any], *, pending: bool = False
) -> dict[str, list[Response]]:
    given = {
        item["VariantName"]: item
        for item in (*config["ProductionVariants"], *config.get("ShadowProductionVariants", ()))
    }
    production: list[Response] = []
    shadow: list[Response] = []
    total = production_weight(variants)
    for variant in variants:
        shown = _variant(variant, given.get(variant.name, {}), total if variant.plan.shadow else 1.0)
        if pending and "InstanceType" in given.get(variant.name, {}):
            shown["InstanceType"] = given[variant.name]["InstanceType"]
        (shadow if variant.plan.shadow else production).append(shown)
    found = {"ProductionVariants": production, "ShadowProductionVariants": shadow}
    return {member: value for member, value in found.items() if value}


def _variant(state: VariantState, given: Mapping[str, Any], factor: float) -> Response:
    shown: Response = {
        "VariantName": state.name,
        "DeployedImages": [_image(container.image) for container in state.plan.containers],
        "CurrentWeight": state.current_weight * factor,
        "DesiredWeight": state.desired_weight * factor,
        "CurrentInstanceCount": state.current_instances,
        "DesiredInstanceCount": state.desired_instances,
    }
    if state.stage is not None:
        status: Response = {"Status": VARIANT_STATUS[state.stage]}
        if state.stage_message:
            status["StatusMessage"] = state.stage_message[:_REASON_LIMIT]
        if state.stage_at is not None:
            status["StartTime"] = state.stage_at
        shown["VariantStatus"] = [status]
    for member in ("ManagedInstanceScaling", "RoutingConfig"):
        if member in given:
            shown[member] = given[member]
    return shown


def _image(image: str) -> Response:
    """A digest is known where the image was named by it: no registry is asked."""
    return {"SpecifiedImage": image, **({"ResolvedImage": image} if "@sha256:" in image else {})}


def _capture(config: Mapping[str, Any], *, running: bool) -> Response:
    return {
        "EnableCapture": config["EnableCapture"],
        "CaptureStatus": "Started" if config["EnableCapture"] and running else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }
