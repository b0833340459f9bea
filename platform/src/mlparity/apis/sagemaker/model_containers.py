"""What a SageMaker model's containers are: image, artifacts, environment; from a request or a model package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlparity.apis.sagemaker import model_packages
from mlparity.apis.sagemaker.context import Request, SageMaker
from mlparity.apis.sagemaker.errors import not_served, validation
from mlparity.apis.sagemaker.hosted_containers import Container, artifact
from mlparity.engine.workspace import parse_uri
from mlparity.errors import InvalidRequestError, RuntimeUnavailableError, StorageError

_MAX_CONTAINERS = 15  # of an inference pipeline


def given(request: Request) -> Sequence[Container]:
    """The container definitions of a CreateModel request, the primary one alone or a pipeline's in order."""
    primary, several = request.get("PrimaryContainer"), request.get("Containers")
    if primary is not None and several:
        raise validation("You cannot specify both PrimaryContainer and Containers")
    if primary is None and not several:
        raise validation("You must specify either PrimaryContainer or Containers")
    containers: Sequence[Container] = several or [primary]
    if len(containers) > _MAX_CONTAINERS:
        raise validation(f"A model has at most {_MAX_CONTAINERS} containers")
    return containers


def resolve(api: SageMaker, container: Container) -> dict[str, Any]:
    """``Image``, ``ModelDataUrl`` or ``ModelDataSource`` and ``Environment``, whatever way they were given.

    Raises SageMaker's errors where the image, the artifacts or the package do not exist, and names what is not served.
    """
    _refuse(container)
    if "ModelPackageName" in container:
        container = _from_package(api, container)
    if "Image" not in container:
        raise validation("Each container must have an Image or a ModelPackageName")
    if "ModelDataUrl" in container and "ModelDataSource" in container:
        raise validation("You cannot specify both ModelDataUrl and ModelDataSource")
    resolved = {name: container[name] for name in ("Image", "ModelDataUrl", "ModelDataSource") if name in container}
    resolved["Environment"] = dict(container.get("Environment", {}))
    _require_image(api, container["Image"])
    _require_artifacts(api, resolved)
    return resolved


def _refuse(container: Container) -> None:
    refused = {
        "Mode MultiModel": container.get("Mode") == "MultiModel",
        "MultiModelConfig": "MultiModelConfig" in container,
        "ImageConfig": container.get("ImageConfig", {}).get("RepositoryAccessMode") == "Vpc",
        "AdditionalModelDataSources": bool(container.get("AdditionalModelDataSources")),
        "ModelDataSource with a ManifestS3Uri": "ManifestS3Uri"
        in container.get("ModelDataSource", {}).get("S3DataSource", {}),
    }
    for feature, present in refused.items():
        if present:
            raise not_served(feature)


def _from_package(api: SageMaker, container: Container) -> dict[str, Any]:
    for member in ("Image", "ModelDataUrl", "ModelDataSource"):
        if member in container:
            raise validation(f"You cannot specify both ModelPackageName and {member}")
    name = container["ModelPackageName"]
    version = model_packages.find(api, name)
    if version.version and version.approval != "Approved":
        raise validation(
            f"Cannot create a model from model package {name}: its ModelApprovalStatus is {version.approval}, "
            "it must be Approved"
        )
    specification = _specification(version.request, container.get("InferenceSpecificationName"))
    containers = specification.get("Containers", [])
    if len(containers) != 1:
        raise not_served(f"a model package with {len(containers)} containers in its inference specification")
    environment = {**containers[0].get("Environment", {}), **container.get("Environment", {})}
    return {**containers[0], "Environment": environment}


def _specification(package: Mapping[str, Any], name: str | None) -> Mapping[str, Any]:
    if name is None:
        found: Mapping[str, Any] | None = package.get("InferenceSpecification")
        if found is None:
            raise validation("The model package has no InferenceSpecification: it cannot be deployed")
        return found
    for specification in package.get("AdditionalInferenceSpecifications", ()):
        if specification["Name"] == name:
            chosen: Mapping[str, Any] = specification
            return chosen
    raise validation(f"The model package has no inference specification named {name}")


def _require_image(api: SageMaker, image: str) -> None:
    """SageMaker looks for the image in ECR; here a local runtime has to stand for it, as for a job's."""
    try:
        api.image_metrics(image)
    except RuntimeUnavailableError as error:
        raise validation(f"Requested image {image} not found. {'. '.join(error.lines())}") from None


def _require_artifacts(api: SageMaker, container: Container) -> None:
    uri, packed = artifact(container)
    if not uri:
        return
    single = packed or container.get("ModelDataSource", {}).get("S3DataSource", {}).get("S3DataType") == "S3Object"
    try:
        bucket, key = parse_uri(uri)
        if single:
            api.store.head(bucket, key)
            found = True
        else:
            found = bool(api.store.list(bucket, key, limit=1).objects)
    except (InvalidRequestError, StorageError):
        found = False
    if not found:
        raise validation(f"Could not find model data at {uri}.")
