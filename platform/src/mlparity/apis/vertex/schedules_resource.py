"""Schedules as they are stored: the times and counts in their JSON, which the timer changes without a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.pipeline_jobs_resource import FINAL, PIPELINE_JOBS, written
from mlparity.apis.vertex.resources import ResourceKind
from mlparity.errors import NotFoundError
from mlparity.state.documents import Document

SCHEDULES = ResourceKind("Schedule", "schedules")
ACTIVE, PAUSED, COMPLETED = "ACTIVE", "PAUSED", "COMPLETED"


def time_of(resource: Mapping[str, Any], field: str) -> datetime | None:
    """A time of the resource's JSON."""
    return datetime.fromisoformat(resource[field]) if field in resource else None


def count_of(resource: Mapping[str, Any], field: str) -> int:
    """A count of the resource's JSON, which writes 64-bit numbers as text; 0 where it is unset."""
    return int(resource.get(field, 0))


def unfinished(vertex: Vertex, schedule: Document) -> Sequence[str]:
    """The names of the pipeline jobs that the schedule has begun and that have not ended."""
    return [name for name in schedule.body.get("private", {}).get("begun", ()) if _goes_on(vertex, name)]


def save(vertex: Vertex, schedule: Document, resource: Mapping[str, Any], private: Mapping[str, Any]) -> None:
    """Set members of the resource (None: unset them) and of what is kept beside it."""
    merged = {**schedule.body["resource"], **resource, "updateTime": written(vertex.clock.now())}
    changed = {name: value for name, value in merged.items() if value is not None}
    beside = {**schedule.body.get("private", {}), **private}
    vertex.documents.merge(SCHEDULES.message, schedule.name, {"resource": changed, "private": beside})


def _goes_on(vertex: Vertex, job: str) -> bool:
    try:
        return vertex.documents.get(PIPELINE_JOBS.message, job).body["resource"]["state"] not in FINAL
    except NotFoundError:
        return False
