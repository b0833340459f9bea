"""What every operation is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from mlparity.clock import Clock
from mlparity.engine.job_repository import JobRepository
from mlparity.engine.logs import JobLogs
from mlparity.engine.runs import Run
from mlparity.ids import IdSource
from mlparity.metadata import MetadataStore
from mlparity.pipeline_ir.service import PipelineRequest
from mlparity.pipeline_ir.tasks import TaskDetail
from mlparity.state.document_search import DocumentSearch
from mlparity.state.documents import DocumentRepository
from mlparity.storage.base import ObjectStore

API = "kubeflow"

Request = Mapping[str, Any]
Response = dict[str, Any]


class Pipelines(Protocol):
    """What is needed of ``pipeline_ir``: its ``PipelineRuns``."""

    def read(
        self,
        spec: Mapping[str, Any],
        platform_spec: Mapping[str, Any] | None,
        parameters: Mapping[str, Any] | None = None,
    ) -> object:
        """Raise ``InvalidPipelineError`` or ``UnsupportedPipelineError``; of arguments only where they are given."""
        ...

    def submit(self, request: PipelineRequest) -> Run:
        """Check, store and begin a run. An id that exists already gives that run."""
        ...

    def stop(self, run_id: str) -> Run:
        """Cancel. Raises ``NotFoundError``."""
        ...

    def retry(self, run_id: str) -> Run:
        """Go on with a failed or cancelled run. Raises ``ConflictError``."""
        ...

    def tasks(self, root_run_id: str) -> Sequence[TaskDetail]:
        """The run's tasks, parents before children, the root first. Raises ``NotFoundError``."""
        ...

    def delete(self, root_run_id: str) -> None:
        """Forget a run that has ended. Raises ``NotFoundError`` and ``ConflictError``."""
        ...


@dataclass(frozen=True)
class Kubeflow:
    """The substrate as KFP's operations see it. ``documents`` and ``search`` are those of ``API``."""

    pipelines: Pipelines
    jobs: JobRepository
    documents: DocumentRepository
    search: DocumentSearch
    store: ObjectStore
    logs: JobLogs
    clock: Clock
    ids: IdSource
    pipeline_root: str  # where artifacts of runs without a root of their own go: "s3://bucket/v2/artifacts"
    wake_timers: Callable[[], None]  # due times of recurring runs have changed
    after_commit: Callable[[Callable[[], None]], None]  # ``Database.after_commit``
    metadata: MetadataStore  # the one of the scope "kubeflow"

    def transaction(self) -> AbstractContextManager[object]:
        """What is written in the block, here and in the engine, happens together or not at all."""
        return self.documents.transaction()
