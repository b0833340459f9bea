"""Root runs as their tasks need them: the pipeline read once, and what the run was asked for."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from mlparity.engine.run_repository import RunRepository
from mlparity.engine.runs import Run
from mlparity.pipeline_ir.definition import Pipeline
from mlparity.pipeline_ir.errors import TaskFailedError
from mlparity.pipeline_ir.placeholders import Facts
from mlparity.pipeline_ir.reader import read_pipeline
from mlparity.pipeline_ir.service import PipelineRequest

_KEPT = 64  # pipelines in memory
_NAMESPACE = UUID("5f0f7c2e-0d6b-4f8e-9b53-0a7c5f6d2a11")


@dataclass(frozen=True)
class RootRun:
    """A root run and its pipeline."""

    id: str
    name: str
    pipeline_name: str
    pipeline: Pipeline
    pipeline_root: str
    resource_name: str
    metadata_scope: str
    artifact_names: str
    created_at: datetime
    scheduled_at: str
    fail_slow: bool
    caching: bool | None
    environment: Mapping[str, str]
    labels: Mapping[str, str]
    placeholders: Mapping[str, str]
    role: str

    def facts(self, task_name: str, own_id: str) -> Facts:
        """What a task's placeholders mean."""
        created = self.created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Facts(
            self.name,
            self.resource_name or f"{self.pipeline_name}-{self.id[:5]}",
            self.id,
            created,
            self.scheduled_at or created,
            self.pipeline_root,
            task_name,
            own_id,
            self.placeholders,
        )

    def seconds_left(self, now: datetime) -> int:
        """What is left of the run's own deadline; 0 where it has none. Raises ``TaskFailedError`` where it is past."""
        deadline = self.pipeline.deadline_seconds
        left = deadline - int((now - self.created_at).total_seconds())
        if deadline and left <= 0:
            raise TaskFailedError(f"the run did not end within the {deadline} s that it may take")
        return left if deadline else 0


def stored_request(request: PipelineRequest, pipeline_root: str) -> dict[str, Any]:
    """What is kept of a request with the root run."""
    return {
        "vendor": dict(request.vendor),
        "spec": dict(request.spec),
        "platform_spec": dict(request.platform_spec) if request.platform_spec else None,
        "pipeline": {
            "pipeline_name": request.pipeline_name,
            "pipeline_root": pipeline_root,
            "resource_name": request.resource_name,
            "metadata_scope": request.metadata_scope,
            "artifact_names": request.artifact_names,
            "scheduled_at": request.scheduled_at,
            "fail_slow": request.fail_slow,
            "caching": request.caching,
            "environment": dict(request.environment),
            "labels": dict(request.labels),
            "placeholders": dict(request.placeholders),
            "role": request.role,
        },
    }


class RootRuns:
    """Root runs by any run of their tree. Any thread."""

    def __init__(self, repository: RunRepository) -> None:
        self._repository = repository
        self._kept: OrderedDict[str, RootRun] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, run: Run) -> RootRun:
        """The root run of ``run``."""
        with self._lock:
            if run.root_run in self._kept:
                self._kept.move_to_end(run.root_run)
                return self._kept[run.root_run]
        root = self._read(run if run.id == run.root_run else self._repository.get(run.root_run))
        with self._lock:
            self._kept[root.id] = root
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return root

    def forget(self, run_id: str) -> None:
        """Read the run anew when it is asked for next."""
        with self._lock:
            self._kept.pop(run_id, None)

    @staticmethod
    def _read(run: Run) -> RootRun:
        pipeline = read_pipeline(run.request["spec"], run.request["platform_spec"])
        return RootRun(
            id=run.id, name=run.name, pipeline=pipeline, created_at=run.created_at, **run.request["pipeline"]
        )


def task_id(run_id: str, step: str) -> str:
    """The id of a task: a UUID that follows from the run that it lies in and its name."""
    return str(uuid5(_NAMESPACE, f"{run_id}/{step}"))


def child_id(run_id: str, step: str, attempt: int, iteration: int) -> str:
    """The id of a run inside a step."""
    return str(uuid5(_NAMESPACE, f"{run_id}/{step}/{attempt}/{iteration}"))


def metadata_id(*parts: str) -> str:
    """The id of a node of the metadata store: digits, as both vendors' are."""
    digest = hashlib.sha256("/".join(parts).encode()).digest()
    return str(int.from_bytes(digest[:8]) >> 1)
