"""Where a task's files lie: in the store, and inside the job, as ``kfp.dsl`` maps one to the other."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mlparity.errors import InvalidRequestError
from mlparity.pipeline_ir.errors import InvalidPipelineError, TaskFailedError
from mlparity.pipeline_ir.tasks import ArtifactValue
from mlparity.storage.uris import parse_uri

_MOUNTS = {"gs": "/gcs", "s3": "/s3", "minio": "/minio"}
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
METADATA_FILE = "executor_output.json"


def check_root(uri: str) -> str:
    """A pipeline root without a slash at its end. Raises ``InvalidPipelineError`` where nothing can be kept there."""
    try:
        parse_uri(uri)
    except InvalidRequestError as error:
        raise InvalidPipelineError(f"the pipeline root {uri!r} is invalid", error.why) from error
    return uri.rstrip("/")


def task_root(pipeline_root: str, pipeline_name: str, run_id: str, task: str, task_id: str) -> str:
    """The folder (URI) of all that one attempt of a task makes."""
    names = (_UNSAFE.sub("-", name) for name in (pipeline_name, run_id, task, task_id))
    return "/".join((pipeline_root, *names))


def local_path(uri: str) -> str:
    """Where a program finds what lies at ``uri``. Raises ``TaskFailedError`` for what is in no bucket."""
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme not in _MOUNTS:
        raise TaskFailedError(f"the artifact {uri!r} cannot be read", "it must be at s3://, gs:// or minio://")
    parts = [part for part in rest.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise TaskFailedError(f"the artifact {uri!r} cannot be read", "its name leads out of its bucket")
    return "/".join((_MOUNTS[scheme], *parts))


def artifact_path(artifact: ArtifactValue) -> str:
    """Where a program finds an artifact."""
    return artifact.custom_path or local_path(artifact.uri)


def mount_roots(uris: Iterable[str]) -> list[str]:
    """The folders of the job that are needed for ``uris``."""
    return sorted({"/" + local_path(uri).split("/")[1] for uri in uris})
