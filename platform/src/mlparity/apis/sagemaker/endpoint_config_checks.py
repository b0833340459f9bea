"""What an endpoint configuration may say beyond the vendor's model: its limits, and what is not served here.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlparity.apis.sagemaker.context import Request
from mlparity.apis.sagemaker.errors import not_served, validation
from mlparity.engine.workspace import parse_uri
from mlparity.errors import InvalidRequestError

Variant = Mapping[str, Any]


def check(request: Request) -> None:
    """Raise SageMaker's errors for what cannot be, and name what is not served."""
    variants: Sequence[Variant] = request["ProductionVariants"]
    shadows: Sequence[Variant] = request.get("ShadowProductionVariants", ())
    for variant in (*variants, *shadows):
        _refuse(variant)
        _check_variant(variant)
    for feature in ("ExplainerConfig", "MetricsConfig"):
        if feature in request:
            raise not_served(feature)
    _check_names(variants, shadows)
    if not any(weight(variant) for variant in variants):
        raise validation("The sum of the InitialVariantWeight of all ProductionVariants must be greater than 0.")
    if shadows:
        _check_shadows(request, variants, shadows)
    _check_capture(request)
    _check_asynchronous(request)


def weight(variant: Variant) -> float:
    """A variant's initial weight; 1 where none is given."""
    return float(variant.get("InitialVariantWeight", 1.0))


def _refuse(variant: Variant) -> None:
    refused = {
        "A variant without ModelName (inference components)": "ModelName" not in variant,
        "ServerlessConfig": "ServerlessConfig" in variant,
        "AcceleratorType": "AcceleratorType" in variant,
        "CoreDumpConfig": "CoreDumpConfig" in variant,
        "EnableSSMAccess": bool(variant.get("EnableSSMAccess")),
        "InstancePools": "InstancePools" in variant,
        "VariantInstanceProvisionTimeoutInSeconds": "VariantInstanceProvisionTimeoutInSeconds" in variant,
        "InferenceAmiVersion": "InferenceAmiVersion" in variant,
        "CapacityReservationConfig": "CapacityReservationConfig" in variant,
        "ManagedInstanceScaling": variant.get("ManagedInstanceScaling", {}).get("Status") == "ENABLED",
        "RoutingStrategy PREFIX_AWARE": variant.get("RoutingConfig", {}).get("RoutingStrategy") == "PREFIX_AWARE",
    }
    for feature, present in refused.items():
        if present:
            raise not_served(feature)


def _check_variant(variant: Variant) -> None:
    for member in ("InitialInstanceCount", "InstanceType"):
        if member not in variant:
            raise validation(f"{member} is required for variant {variant['VariantName']}: it has no ServerlessConfig.")


def _check_names(variants: Sequence[Variant], shadows: Sequence[Variant]) -> None:
    seen: set[str] = set()
    for variant in (*variants, *shadows):
        name = variant["VariantName"]
        if name in seen:
            raise validation(f"Variant names must be unique within an endpoint configuration. Duplicate: {name}")
        seen.add(name)


def _check_shadows(request: Request, variants: Sequence[Variant], shadows: Sequence[Variant]) -> None:
    if len(variants) != 1 or len(shadows) != 1:
        raise validation(
            "If you specify ShadowProductionVariants, you can specify only one variant for ProductionVariants "
            "and one variant for ShadowProductionVariants."
        )
    if "AsyncInferenceConfig" in request:
        raise validation("ShadowProductionVariants cannot be used together with AsyncInferenceConfig.")


def _check_capture(request: Request) -> None:
    capture = request.get("DataCaptureConfig")
    if capture is None:
        return
    _require_prefix("DataCaptureConfig.DestinationS3Uri", capture["DestinationS3Uri"])
    modes = [option["CaptureMode"] for option in capture["CaptureOptions"]]
    if len(set(modes)) != len(modes):
        raise validation("Each CaptureMode can be specified only once in CaptureOptions.")
    header = capture.get("CaptureContentTypeHeader", {})
    both = set(header.get("CsvContentTypes", ())) & set(header.get("JsonContentTypes", ()))
    if both:
        raise validation(f"A content type cannot be captured both as CSV and as JSON: {', '.join(sorted(both))}")


def _check_asynchronous(request: Request) -> None:
    config = request.get("AsyncInferenceConfig")
    if config is None:
        return
    output = config["OutputConfig"]
    if "S3OutputPath" not in output:
        raise not_served("AsyncInferenceConfig without an S3OutputPath")
    for where, path in _output_paths(output):
        _require_prefix(f"AsyncInferenceConfig.OutputConfig.{where}", path)


def _output_paths(output: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for member in ("S3OutputPath", "S3FailurePath"):
        if member in output:
            yield member, output[member]


def _require_prefix(where: str, uri: str) -> None:
    try:
        parse_uri(uri)
    except InvalidRequestError:
        raise validation(f"{where} must be an S3 URI (s3://bucket/prefix): {uri}") from None
