"""What moto's ECR leaves out about images: digests of manifests, immutable tags, and asking by several names.

https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutImage.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mlparity.apis.aws.message import AwsError, AwsRequest

_IMMUTABLE = "IMMUTABLE"


def handle(backend: Any, operation: str, params: Mapping[str, Any]) -> dict[str, Any] | None:
    """The response of BatchGetImage; None for what moto is to answer, once it was checked. Raises ``AwsError``.

    ``backend`` is moto's ECR of the region.
    """
    if operation == "BatchGetImage":
        return _get(_repository(backend, params), params)
    if operation == "PutImage":
        _check(_repository(backend, params), params)
    return None


def with_digest(request: AwsRequest, params: Mapping[str, Any]) -> AwsRequest:
    """A PutImage that says the manifest's digest, so that moto need not make one up."""
    body = {**params, "imageDigest": _digest(params["imageManifest"])}
    return replace(request, body=json.dumps(body).encode())


def _digest(manifest: str) -> str:
    return f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"


def _repository(backend: Any, params: Mapping[str, Any]) -> Any:
    name = params["repositoryName"]
    registry = params.get("registryId", backend.account_id)
    found = backend.repositories.get(name)
    if found is None or registry != backend.account_id:
        raise AwsError(
            "RepositoryNotFoundException",
            f"The repository with name '{name}' does not exist in the registry with id '{registry}'",
        )
    return found


def _check(repository: Any, params: Mapping[str, Any]) -> None:
    manifest, tag = params["imageManifest"], params.get("imageTag")
    try:
        document = json.loads(manifest)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise AwsError(
            "InvalidParameterException",
            "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'",
        )
    digest = _digest(manifest)
    if params.get("imageDigest", digest) != digest:
        raise AwsError(
            "ImageDigestDoesNotMatchException", "The provided digest does not match the digest of the image manifest."
        )
    tagged = next((image for image in repository.images if tag and tag in image.image_tags), None)
    same = next((image for image in repository.images if image.get_image_digest() == digest), None)
    if same is not None and (tag is None or tagged is same):
        raise AwsError(
            "ImageAlreadyExistsException",
            f"Image with digest '{digest}' and tag '{tag or 'null'}' already exists in the repository with name "
            f"'{repository.name}' in registry with id '{repository.registry_id}'",
        )
    if tagged is not None and str(repository.image_tag_mutability) == _IMMUTABLE:
        raise AwsError(
            "ImageTagAlreadyExistsException",
            f"The image tag '{tag}' already exists in the '{repository.name}' repository and cannot be overwritten "
            "because the repository is immutable.",
        )


def _get(repository: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    images, failures = [], []
    for asked in params["imageIds"]:
        tag, digest = asked.get("imageTag"), asked.get("imageDigest")
        found = next(
            (
                image
                for image in repository.images
                if (tag is None or tag in image.image_tags) and (digest is None or digest == image.get_image_digest())
            ),
            None,
        )
        if found is None or (tag is None and digest is None):
            failures.append(
                {"imageId": asked, "failureCode": "ImageNotFound", "failureReason": "Requested image not found"}
            )
            continue
        images.append(
            {
                "registryId": repository.registry_id,
                "repositoryName": repository.name,
                "imageId": {"imageDigest": found.get_image_digest(), **({"imageTag": tag} if tag else {})},
                "imageManifest": found.image_manifest,
                "imageManifestMediaType": found.image_manifest_media_type,
            }
        )
    return {"images": images, "failures": failures}
