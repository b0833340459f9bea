"""Which tasks stand for each other: those with equal fingerprints."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from mlparity.errors import MlparityError
from mlparity.pipeline_ir.task_context import Means, TaskAt
from mlparity.pipeline_ir.tasks import ArtifactValue, TaskValues
from mlparity.storage.uris import parse_uri


def fingerprint_of(means: Means, at: TaskAt, inputs: TaskValues) -> str:
    """What decides a task's results: its program, its parameters, the content of its artifacts, its interface.

    Where the task lies in its pipeline does not count, the pipeline does. A ``cacheKey`` in the task's caching options
    stands for its program and inputs.
    """
    executor = at.root.pipeline.container(at.component)
    document: dict[str, Any] = {
        "pipeline": [means.api, at.root.metadata_scope, at.root.pipeline_name],
        "outputs": [
            {name: item.type for name, item in at.component.outputs.parameters.items()},
            {name: item.schema_title for name, item in at.component.outputs.artifacts.items()},
        ],
    }
    if at.task.cache_key:
        document["key"] = at.task.cache_key
    else:
        document["program"] = [executor.image, *executor.command, "", *executor.args, dict(executor.environment)]
        document["settings"] = at.root.pipeline.kubernetes.get(at.component.executor, {})
        document["parameters"] = dict(inputs.parameters)
        document["artifacts"] = {
            name: [_content(means, item) for item in items] for name, items in inputs.artifacts.items()
        }
    return _digest(json.dumps(document, sort_keys=True, separators=(",", ":"), default=str))


def unlike_any(at: TaskAt) -> str:
    """The fingerprint of a task that equals nothing."""
    return _digest(f"only {at.id} of {at.root.id}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _content(means: Means, artifact: ArtifactValue) -> list[Any]:
    """An artifact by what it holds; where nothing lies at its URI, by its URI."""
    described = [artifact.schema_title, dict(artifact.metadata)]
    try:
        bucket, key = parse_uri(artifact.uri)
        prefix = key.rstrip("/")
        found = [
            [info.key[len(prefix) :], info.etag]
            for info in means.store.iterate(bucket, prefix)
            if info.key == key or info.key.startswith(f"{prefix}/")
        ]
    except MlparityError:
        found = []
    return [found or artifact.uri, described]
