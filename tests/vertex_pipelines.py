"""What runs a ``VertexBench``'s pipelines: the real engine and reader, container tasks that end when a test says so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mlparity.apis.vertex import pipeline_jobs_states
from mlparity.apis.vertex.context import API, Vertex
from mlparity.apis.vertex.pipeline_jobs_resource import PLACEHOLDERS
from mlparity.clock import Clock
from mlparity.engine.job_repository import JobRepository
from mlparity.engine.jobs import Phase
from mlparity.engine.logs import JobLogStore
from mlparity.engine.run_engine import RunEngine
from mlparity.engine.run_repository import RunRepository
from mlparity.engine.runtimes import RuntimeMap
from mlparity.ids import SeededIds
from mlparity.metadata import MetadataStores
from mlparity.pipeline_ir.pipeline_runs import PipelineRuns, Surroundings, handlers
from mlparity.state import Database
from mlparity.storage.base import ObjectStore
from tests.unit.engine_world import Jobs

_RUNTIMES = Path(__file__).parents[1] / "stacks" / "runtimes.yaml"
_PATIENCE = 30.0  # seconds; far more than any wait takes


class Piped:
    """The engine of a bench. ``end`` ends a task; ``until`` waits for what comes with a change of a run."""

    def __init__(
        self, database: Database, store: ObjectStore, metadata: MetadataStores, clock: Clock, folder: Path
    ) -> None:
        self._jobs = JobRepository(database, clock, SeededIds(17))
        self.container = Jobs(self._jobs)
        kinds: dict[str, Any] = {**handlers(lambda: self.pipelines), "container": self.container}
        own = {(API, kind): handler for kind, handler in kinds.items()}
        self.engine = RunEngine(RunRepository(database, clock), self._jobs, own, clock)
        logs = JobLogStore(folder / "logs", clock)
        runtimes = RuntimeMap.load(_RUNTIMES)
        around = Surroundings(store, metadata.of, runtimes, logs, clock, folder / "configuration")
        self.pipelines = PipelineRuns(API, self.engine, _NoJobs(self._jobs), around, placeholders=PLACEHOLDERS)  # type: ignore[arg-type]
        self._changed = threading.Condition()

    def serve(self, vertex: Vertex) -> None:
        """Begin to run what is submitted."""
        self.engine.listen(partial(pipeline_jobs_states.on_run, vertex), partial(pipeline_jobs_states.on_step, vertex))
        self.engine.listen(self._tell, self._tell)
        self.engine.start()

    def end(self, run_id: str, task: str, phase: Phase = Phase.COMPLETED) -> None:
        """End a task of the root DAG, once it runs."""
        runs = self.engine.repository
        self.until(lambda: runs.steps(run_id)[task].job_id is not None)
        job = self._jobs.of_run(run_id, task)[-1]
        self.engine.on_job(self._jobs.enter(job.id, phase, failure_reason="it broke" if phase is Phase.FAILED else ""))

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition that a change of a run brings about."""
        with self._changed:
            assert self._changed.wait_for(condition, timeout=_PATIENCE)

    def close(self) -> None:
        """End the thread."""
        self.engine.close()

    def _tell(self, *_: object) -> None:
        self.engine.repository.after_commit(self._notify)

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()


@dataclass(frozen=True)
class _NoJobs:
    """The part of a job service that is left where no container runs: the rows that ``Jobs`` makes."""

    repository: JobRepository
