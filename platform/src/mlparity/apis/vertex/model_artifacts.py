"""Model artifacts: folders of objects, gs://BUCKET/FOLDER."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlparity.apis.vertex.errors import failed_precondition, invalid
from mlparity.apis.vertex.serving_containers import framework_of
from mlparity.errors import MlparityError, StorageError
from mlparity.serving.vertex import FILES
from mlparity.storage.base import ObjectInfo, ObjectStore
from mlparity.storage.uris import parse_uri


def folder_uri(uri: str) -> str:
    """A folder's URI with the slash that keeps its siblings out."""
    return f"{uri.rstrip('/')}/"


def check_artifacts(store: ObjectStore, resource: Mapping[str, Any]) -> None:
    """What UploadModel checks of a ``Model`` (JSON): a prebuilt image's folder holds one of the files that it reads.

    Raises ``GoogleError``.
    """
    framework = framework_of(resource["containerSpec"]["imageUri"])
    uri = resource.get("artifactUri", "")
    if not uri and framework:
        raise invalid({"model.artifact_uri": "The artifact_uri must be set for a model with a prebuilt container."})
    if not uri:
        return
    if not uri.startswith("gs://"):
        raise invalid({"model.artifact_uri": f"Invalid Cloud Storage URI: {uri}."})
    names = {info.key.rpartition("/")[2] for info in objects_of(store, uri) if _is_in(uri, info)}
    files = FILES.get(framework, ())
    if files and len(names & set(files)) != 1:
        raise failed_precondition(f"Model directory {uri} is expected to contain exactly one of: [{', '.join(files)}].")


def objects_of(store: ObjectStore, uri: str) -> Sequence[ObjectInfo]:
    """The objects in the folder. Raises ``GoogleError`` where there is none."""
    try:
        bucket, key = parse_uri(folder_uri(uri))
        found = [info for info in store.iterate(bucket, key) if not info.key.endswith("/")]
    except (StorageError, MlparityError) as error:
        raise failed_precondition(f"The directory {uri} cannot be read: {error}.") from error
    if not found:
        raise failed_precondition(f"The directory {uri} does not exist or is empty.")
    return found


def copy_folder(store: ObjectStore, source: str, target: str) -> None:
    """Copy every object of a folder. Raises ``GoogleError``."""
    _, key = parse_uri(folder_uri(source))
    bucket, prefix = parse_uri(folder_uri(target))
    with tempfile.TemporaryDirectory(prefix="mlparity-") as folder:
        path = Path(folder) / "object"
        for info in objects_of(store, source):
            store.download(info.bucket, info.key, path)
            content_type = info.headers.get("content-type", "")
            store.put_file(bucket, prefix + info.key[len(key) :], path, content_type=content_type)


def _is_in(uri: str, info: ObjectInfo) -> bool:
    """Whether the object lies in the folder itself, not deeper."""
    return "/" not in info.key[len(parse_uri(folder_uri(uri))[1]) :]
