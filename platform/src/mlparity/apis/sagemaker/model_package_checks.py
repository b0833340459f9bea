"""What SageMaker checks of a model package before it takes it: its parts exist and fit together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlparity.apis.sagemaker.arns import model_package_of, name_of
from mlparity.apis.sagemaker.context import Request, SageMaker
from mlparity.apis.sagemaker.errors import not_served, validation
from mlparity.engine.workspace import parse_uri
from mlparity.errors import InvalidRequestError, NotFoundError, StorageError
from mlparity.state.documents import DocumentFilter
from mlparity.state.paging import PageRequest

_MAX_SPECIFICATIONS = 15
_CHUNK = 500
# What a clone takes from its source, where the request does not say otherwise.
_CLONED = (
    "InferenceSpecification",
    "AdditionalInferenceSpecifications",
    "ModelMetrics",
    "DriftCheckBaselines",
    "Domain",
    "Task",
    "SamplePayloadUrl",
    "CustomerMetadataProperties",
    "ModelCard",
)


def require_one_name(request: Request) -> None:
    """A package is a version of a group, or has a name of its own."""
    if "ModelPackageGroupName" not in request and "ModelPackageName" not in request:
        raise validation("Missing ARN.")  # the vendor says no more than this
    if "ModelPackageGroupName" in request and "ModelPackageName" in request:
        raise validation(
            "Both ModelPackageName and ModelPackageGroupName are provided in the input. "
            "Cannot determine which one to use."
        )


def check(api: SageMaker, request: Request) -> None:
    """Refuse what the vendor refuses, and by name what mlparity does not do."""
    require_one_name(request)
    for feature in ("ValidationSpecification", "ManagedStorageType"):
        if feature in request:
            raise not_served(feature)
    if "InferenceSpecification" in request and "SourceAlgorithmSpecification" in request:
        raise validation("Only one of InferenceSpecification and SourceAlgorithmSpecification can be specified")
    for algorithm in request.get("SourceAlgorithmSpecification", {}).get("SourceAlgorithms", ()):
        raise validation(f"Algorithm {algorithm['AlgorithmName']} does not exist.")  # there are no algorithm resources
    specification = request.get("InferenceSpecification")
    if specification is not None:
        check_specification(api, specification)
    check_additional(api, request.get("AdditionalInferenceSpecifications", ()))
    if "ModelPackageName" in request:
        _check_unversioned(request)


def _check_unversioned(request: Request) -> None:
    if "ModelApprovalStatus" in request:
        raise validation("ModelApprovalStatus cannot be specified for an unversioned model package")
    specification = request.get("InferenceSpecification")
    if specification is None:
        raise validation("An unversioned model package needs an InferenceSpecification")
    for member in (
        "SupportedTransformInstanceTypes",
        "SupportedRealtimeInferenceInstanceTypes",
        "SupportedContentTypes",
        "SupportedResponseMIMETypes",
    ):
        if not specification.get(member):
            raise validation(f"InferenceSpecification.{member} is required for an unversioned model package")


def check_specification(api: SageMaker, specification: Mapping[str, Any]) -> None:
    """An inference specification: its containers have an image, and their model data is there."""
    for container in specification["Containers"]:
        if not container.get("Image") and not container.get("Framework"):
            raise validation("Each container of an InferenceSpecification must have an Image")
        _check_data(api, container)


def check_additional(api: SageMaker, specifications: Any) -> None:
    """Additional specifications: at most 15, each with a name of its own."""
    names = [item["Name"] for item in specifications]
    if len(names) > _MAX_SPECIFICATIONS:
        raise validation(f"A model package can have at most {_MAX_SPECIFICATIONS} additional inference specifications")
    if len(set(names)) < len(names):
        raise validation("The names of additional inference specifications must be unique within the model package")
    for item in specifications:
        check_specification(api, item)


def _check_data(api: SageMaker, container: Mapping[str, Any]) -> None:
    url = container.get("ModelDataUrl")
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    if url and source:
        raise validation("You cannot specify both ModelDataUrl and ModelDataSource")
    uri = url or (source or {}).get("S3Uri")
    if not uri:
        return
    try:
        bucket, key = parse_uri(uri)
        found = bool(api.store.list(bucket, key, limit=1).objects)
    except (InvalidRequestError, StorageError):
        found = False
    if not found:
        raise validation(f"Could not access model data at {uri}. Please ensure that the object exists.")


def from_source(api: SageMaker, request: Request) -> Request:
    """The request with what ``SourceUri`` brings: a clone of a model package, or a model's containers.

    Another URI (a run of MLflow, a registered model) is kept as it is. Raises ``ValidationException`` where the
    package or the model does not exist.
    """
    uri: str = request.get("SourceUri", "")
    kind = uri.rpartition(":")[2].partition("/")[0] if uri.startswith("arn:") else ""
    if kind == "model-package":
        try:
            source = api.registry.version(*model_package_of(uri)).request
        except NotFoundError:
            raise validation(f"The SourceUri {uri} does not exist.") from None
        return {**{name: source[name] for name in _CLONED if name in source}, **request}
    if kind == "model":
        try:
            model = api.documents.get("Model", name_of("model", uri)).body
        except NotFoundError:
            raise validation(f"The SourceUri {uri} does not exist.") from None
        if specification := _of_model(model):
            return {"InferenceSpecification": specification, **request}
    return request


def _of_model(model: Mapping[str, Any]) -> dict[str, Any]:
    """An inference specification of a model's containers."""
    definitions = model.get("Containers") or [model.get("PrimaryContainer", {})]
    members = ("ContainerHostname", "Image", "ModelDataUrl", "ModelDataSource", "Environment")
    containers = [{name: item[name] for name in members if item.get(name)} for item in definitions]
    return {"Containers": containers} if all("Image" in item for item in containers) else {}


def models_of(api: SageMaker, arn: str) -> list[str]:
    """The names of the models that are made from a package."""
    found: list[str] = []
    token: str | None = None
    while True:
        wanted = PageRequest("name", descending=False, limit=_CHUNK, token=token)
        page = api.documents.list("Model", DocumentFilter(), wanted)
        for model in page.items:
            containers = [*model.body.get("Containers", ()), model.body.get("PrimaryContainer") or {}]
            if any(item.get("ModelPackageName") == arn for item in containers):
                found.append(model.name)
        token = page.next_token
        if token is None:
            return found
