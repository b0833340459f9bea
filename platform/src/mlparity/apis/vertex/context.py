"""What every Vertex operation is given."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlparity.apis.vertex.operations import Operations
from mlparity.clock import Clock
from mlparity.errors import StackError
from mlparity.ids import IdSource
from mlparity.state.documents import DocumentRepository
from mlparity.wire.google.cache import GoogleApis

if TYPE_CHECKING:
    from mlparity.apis.vertex.hosting import Hosting
    from mlparity.engine.events import EventJournal
    from mlparity.engine.job_service import JobService
    from mlparity.engine.logs import JobLogStore
    from mlparity.engine.run_engine import RunEngine
    from mlparity.engine.tuning.service import TuningService
    from mlparity.metadata import MetadataStores
    from mlparity.pipeline_ir.pipeline_runs import PipelineRuns
    from mlparity.registry import ModelRegistry
    from mlparity.storage.base import ObjectStore

API = "vertex"


@dataclass(frozen=True)
class Project:
    """The project and the location that are served by default. Resource names may give its number for its id."""

    id: str
    number: str
    location: str


@dataclass(frozen=True)
class NotWired:
    """Stands for a part of the substrate that this process (a test's, mostly) did not give."""

    part: str

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise StackError(f"Vertex has no {self.part} here", "this process was started without it")


def not_wired(part: str) -> Callable[[], Any]:
    """The default of a part that the control plane gives and a test may leave out."""
    return lambda: NotWired(part)


@dataclass(frozen=True)
class Vertex:
    """The substrate as Vertex's operations see it. ``documents`` are those of the API "vertex"."""

    apis: GoogleApis
    project: Project
    documents: DocumentRepository
    operations: Operations
    clock: Clock
    ids: IdSource
    store: ObjectStore = field(default_factory=not_wired("object store"))
    jobs: JobService = field(default_factory=not_wired("job service"))
    runs: RunEngine = field(default_factory=not_wired("run engine"))
    tunings: TuningService = field(default_factory=not_wired("tuning service"))
    registry: ModelRegistry = field(default_factory=not_wired("model registry"))
    events: EventJournal = field(default_factory=not_wired("event journal"))
    metadata: MetadataStores = field(default_factory=not_wired("metadata stores"))
    hosting: Hosting = field(default_factory=not_wired("endpoints that serve"))
    pipelines: PipelineRuns = field(default_factory=not_wired("pipeline runs"))
    # Tells who works by the clock that due times have changed; timers look again soon without it.
    wake_timers: Callable[[], None] = field(default=lambda: None)
    logs: JobLogStore = field(default_factory=not_wired("job logs"))

    def transaction(self) -> AbstractContextManager[object]:
        """What an operation writes in the block (rows, documents, events) happens together or not at all.

        For what takes no time: nobody else can write meanwhile.
        """
        return self.documents.transaction()
