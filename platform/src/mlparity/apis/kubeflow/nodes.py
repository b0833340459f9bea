"""What people read of a run's tasks: logs and artifacts, by the task's id (the "node" of the UI's routes)."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from mlparity.apis.kubeflow import bodies
from mlparity.apis.kubeflow.context import Kubeflow
from mlparity.apis.kubeflow.errors import not_found
from mlparity.apis.kubeflow.run_states import KIND
from mlparity.engine.jobs import Job
from mlparity.errors import NotFoundError, StorageError
from mlparity.pipeline_ir.tasks import ArtifactValue, TaskDetail
from mlparity.storage.uris import parse_uri

_CHUNK = 3 << 18  # bytes, a multiple of three: base64 of the pieces is base64 of the whole


def task(api: Kubeflow, run_id: str, node_id: str) -> TaskDetail:
    """The task with this id, or whose job has it. Raises ``KubeflowError``."""
    bodies.get(api, KIND, run_id)
    for found in api.pipelines.tasks(run_id):
        if node_id == found.id or node_id in found.job_ids:
            return found
    raise not_found("Node", f"{node_id} of run {run_id}")


def log(api: Kubeflow, run_id: str, node_id: str) -> Iterator[str]:
    """The lines of the task's log, each with its newline; of every attempt, the earlier ones first.

    Raises ``KubeflowError`` at once.
    """
    found = task(api, run_id, node_id)
    wanted = [node_id] if node_id in found.job_ids else [*found.job_ids]
    if not wanted:
        raise not_found("Log", f"of node {node_id}: it ran no container")
    return _lines(api, [api.jobs.get(job_id) for job_id in wanted])


def artifact(api: Kubeflow, run_id: str, node_id: str, name: str) -> Iterator[bytes]:
    """``{"data": …}`` with the artifact's bytes in base64, piece by piece. Raises ``KubeflowError`` at once."""
    found = task(api, run_id, node_id)
    items = found.outputs.artifacts.get(name) or found.inputs.artifacts.get(name) or ()
    if not items:
        raise not_found("Artifact", f"{name} of node {node_id}")
    bucket, key = _object(api, items[0])
    stream = api.store.open(bucket, key)

    def pieces() -> Iterator[bytes]:
        with stream:
            yield b'{"data":"'
            while piece := stream.read(_CHUNK):
                yield base64.b64encode(piece)
            yield b'"}'

    return pieces()


def _object(api: Kubeflow, item: ArtifactValue) -> tuple[str, str]:
    """Where the artifact lies: the object of its URI. Raises ``KubeflowError`` where there is none."""
    try:
        bucket, key = parse_uri(item.uri)
        api.store.head(bucket, key)
    except (StorageError, NotFoundError):
        raise not_found("Artifact", f"file at path {item.uri}") from None
    return bucket, key


def _lines(api: Kubeflow, jobs: list[Job]) -> Iterator[str]:
    for job in jobs:
        stream = job.spec.log
        try:
            span = api.logs.span(stream.group, stream.stream)
            for line in api.logs.forward(stream.group, stream.stream, span):
                yield f"{line.text}\n"
        except NotFoundError:
            continue  # the attempt had not begun to write
