"""Monitoring jobs and their runs in the database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.resources import ResourceKind
from mlparity.state.documents import Document, DocumentFilter
from mlparity.state.paging import PageRequest

JOBS = ResourceKind("ModelDeploymentMonitoringJob", "modelDeploymentMonitoringJobs")
PENDING, RUNNING, PAUSED, FAILED = "JOB_STATE_PENDING", "JOB_STATE_RUNNING", "JOB_STATE_PAUSED", "JOB_STATE_FAILED"
OFFLINE, AT_WORK = "OFFLINE", "RUNNING"  # schedule_state
_RUN = "ModelMonitoringRun"
_CHUNK = 200


def jobs(vertex: Vertex) -> Iterator[Document]:
    """All of them."""
    yield from _all(vertex, JOBS.message, None)


def keep_run(vertex: Vertex, job: str, deployed_model: str, end: datetime, body: Mapping[str, Any]) -> None:
    """Store what a run found of one deployed model; a run that is repeated replaces what it had found."""
    name = f"{_prefix(job, deployed_model)}{end.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}"
    if any(document.name == name for document in _all(vertex, _RUN, name)):
        vertex.documents.delete(_RUN, name)
    vertex.documents.create(_RUN, name, body)


def runs(vertex: Vertex, job: str, deployed_model: str) -> list[Mapping[str, Any]]:
    """What the runs found of a deployed model, the oldest first."""
    return [document.body for document in _all(vertex, _RUN, _prefix(job, deployed_model))]


def forget_runs(vertex: Vertex, job: str) -> None:
    """All of a job's."""
    for document in list(_all(vertex, _RUN, f"{job}/runs/")):
        vertex.documents.delete(_RUN, document.name)


def written(moment: datetime) -> str:
    """A time as JSON has it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _prefix(job: str, deployed_model: str) -> str:
    return f"{job}/runs/{deployed_model}/"


def _all(vertex: Vertex, kind: str, under: str | None) -> Iterator[Document]:
    token: str | None = None
    while True:
        page = vertex.documents.list(kind, DocumentFilter(name_under=under), PageRequest("name", False, _CHUNK, token))
        yield from page.items
        token = page.next_token
        if token is None:
            return
