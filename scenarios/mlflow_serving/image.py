"""The inference image: its build context, its manifest, its tag, and where it lies in ECR.

https://github.com/opencontainers/image-spec/blob/main/manifest.md
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlparity.scenarios import Platform
from scenarios.mlflow_serving.names import REPOSITORY
from scenarios.mlflow_serving.saved_image import MANIFEST
from scenarios.mlflow_serving.versions import Version

_DESCRIPTION = "application/vnd.mlparity.image-description.v1"
_EMPTY = b"{}"  # the OCI's own empty configuration: there is no image that it could be of


def build_context(folder: Path, version: Version, into: Path) -> Path:
    """``into`` as `docker build` takes it: Dockerfile, serve, and the model's files as model/."""
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    for name in ("Dockerfile", "serve"):
        shutil.copy(folder / "image" / name, into / name)
    shutil.copytree(version.folder, into / "model", ignore=shutil.ignore_patterns("__pycache__"))
    return into


def description(folder: Path, version: Version, packed: bytes) -> str:
    """The manifest of an image that nobody has built: what it would be built from, as layers that exist."""
    files = {name: (folder / "image" / name).read_bytes() for name in ("Dockerfile", "serve")}
    layers = [_descriptor(f"{_DESCRIPTION}+text", data, name) for name, data in files.items()]
    layers.append(_descriptor("application/gzip", packed, "model.tar.gz"))
    return _text(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": f"{_DESCRIPTION}+json",
            "config": _descriptor("application/vnd.oci.empty.v1+json", _EMPTY),
            "layers": layers,
            "annotations": {"mlparity.model-digest": f"sha256:{version.digest}", "mlparity.built": "false"},
        }
    )


def _descriptor(media_type: str, data: bytes, title: str = "") -> dict[str, Any]:
    described: dict[str, Any] = {
        "mediaType": media_type,
        "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
        "size": len(data),
    }
    return {**described, "annotations": {"org.opencontainers.image.title": title}} if title else described


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def repository(platform: Platform) -> str:
    """The repository's URI; created where it is not there. Its tags are immutable: a tag is a model."""
    ecr = platform.client("ecr")
    with contextlib.suppress(ecr.exceptions.RepositoryAlreadyExistsException):
        ecr.create_repository(repositoryName=REPOSITORY, imageTagMutability="IMMUTABLE")
    return str(ecr.describe_repositories(repositoryNames=[REPOSITORY])["repositories"][0]["repositoryUri"])


def has(platform: Platform, tag: str) -> bool:
    """Whether the repository holds the tag."""
    ids = [{"imageTag": tag}]
    return bool(platform.client("ecr").batch_get_image(repositoryName=REPOSITORY, imageIds=ids)["images"])


def drop(platform: Platform, tag: str) -> None:
    """Remove the tag: the same model's image can then be put anew."""
    platform.client("ecr").batch_delete_image(repositoryName=REPOSITORY, imageIds=[{"imageTag": tag}])


def push(platform: Platform, tag: str, manifest: str) -> str:
    """PutImage; the manifest's digest as ECR says it, which must be the one that the bytes have."""
    media_type = json.loads(manifest).get("mediaType", MANIFEST)
    put = platform.client("ecr").put_image(
        repositoryName=REPOSITORY, imageTag=tag, imageManifest=manifest, imageManifestMediaType=media_type
    )
    digest = str(put["image"]["imageId"]["imageDigest"])
    own = f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"
    platform.check(digest == own, f"ECR says {digest}, the manifest is {own}")
    return digest
