"""Runs compiled pipelines in this process, on the parts of a real control plane.

``PipelineWorld`` is a database, a bucket store, the sandbox with the runtime map, the job service, the run engine and
``PipelineRuns``. ``run(compiled)`` takes what ``kfp.compiler`` writes (a path, or its text), waits for the end and
gives a ``Ran``: the root's outputs, its tasks, the run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mlparity.clock import SystemClock
from mlparity.engine.environments import Environments
from mlparity.engine.job_repository import JobRepository
from mlparity.engine.job_service import JobHost, JobService, Means
from mlparity.engine.logs import JobLogStore
from mlparity.engine.run_engine import RunEngine
from mlparity.engine.run_repository import RunRepository
from mlparity.engine.runs import Run
from mlparity.engine.runtimes import RuntimeMap
from mlparity.engine.sandbox import SandboxExecutor
from mlparity.engine.tracking import Tracking
from mlparity.ids import SystemIds
from mlparity.metadata.store import MetadataStore
from mlparity.pipeline_ir.pipeline_runs import PipelineRuns, Surroundings, handlers
from mlparity.pipeline_ir.reader import read_documents
from mlparity.pipeline_ir.service import PipelineRequest
from mlparity.pipeline_ir.tasks import TaskDetail
from mlparity.state import Database
from mlparity.storage.filestore import FileObjectStore

API = "kubeflow"
BUCKET = "mlpipeline"
ROOT = f"s3://{BUCKET}/v2/artifacts"
PATIENCE = 60.0  # seconds; far more than any pipeline of a test takes
RUNTIMES = Path(__file__).parents[2] / "stacks" / "runtimes.yaml"


@dataclass(frozen=True)
class Ran:
    """How a pipeline's run ended."""

    run: Run
    tasks: list[TaskDetail]

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.run.status.value == "succeeded"

    @property
    def outputs(self) -> Mapping[str, Any]:
        """The pipeline's output parameters."""
        return self.tasks[0].outputs.parameters

    def task(self, name: str) -> TaskDetail:
        """The only task of that name."""
        (found,) = self.all(name)
        return found

    def all(self, name: str) -> list[TaskDetail]:
        """Every task of that name that is not a loop's iteration, in the order they were made."""
        return [task for task in self.tasks if task.name == name and task.iteration < 0]

    def states(self) -> dict[str, str]:
        """State by task name, for pipelines without loops."""
        return {task.name: task.state.value for task in self.tasks[1:]}


class PipelineWorld:
    """Everything that pipelines need, below ``folder``. ``close`` it."""

    def __init__(self, folder: Path, *, parallel: int = 4) -> None:
        self.folder = folder
        self._parallel = parallel
        self.clock, self.ids = SystemClock(), SystemIds()
        self.database = Database.open(folder / "state.db")
        self.store = FileObjectStore(self.database, folder / "objects", self.clock, self.ids, "us-east-1")
        self.store.ensure_bucket(BUCKET)
        self.logs = JobLogStore(folder / "logs", self.clock)
        self.configuration = folder / "configuration"
        self.changed = threading.Condition()
        self.begin()

    def begin(self) -> None:
        """Start what a control plane starts; after ``end`` it is the next one over the same data folder."""
        runtimes = RuntimeMap.load(RUNTIMES)
        self.executor = SandboxExecutor(self.folder / "scratch", self.clock, self.ids)
        repository = JobRepository(self.database, self.clock, self.ids)
        host = JobHost(self.folder / "jobs", {}, self._parallel)
        environments = Environments(self.folder / "environments")
        tracking = Tracking("", repository, self.clock)
        means = Means(self.store, self.executor, runtimes, environments, self.logs, tracking, host)
        self.jobs = JobService(repository, means, self.clock)
        kinds = {(API, kind): handler for kind, handler in handlers(lambda: self.pipelines).items()}
        self.engine = RunEngine(RunRepository(self.database, self.clock), repository, kinds, self.clock)
        self.metadata = partial(MetadataStore, self.database, self.clock, self.ids)
        around = Surroundings(self.store, self.metadata, runtimes, self.logs, self.clock, self.configuration)
        self.pipelines = PipelineRuns(API, self.engine, self.jobs, around)
        self.jobs.listen(self.engine.on_job)
        self.engine.listen(self._tell, self._tell)
        self.jobs.recover()
        self.engine.start()

    def end(self) -> None:
        """Stop without losing what is under way."""
        self.engine.close()
        self.jobs.close()
        self.executor.close()

    def close(self) -> None:
        """Stop for good."""
        self.end()
        self.database.close()

    def submit(self, compiled: str | Path, parameters: Mapping[str, Any] | None = None, **request: Any) -> str:
        """Start a compiled pipeline; the run's id."""
        text = compiled.read_text("utf-8") if isinstance(compiled, Path) else compiled
        spec, platform = read_documents(text)
        name = spec["pipelineInfo"]["name"]
        run_id = request.pop("id", None) or self.ids.uuid()
        values = {"pipeline_root": ROOT, **request}
        new = PipelineRequest(
            run_id, f"{name} run", name, spec, platform_spec=platform, parameters=parameters or {}, **values
        )
        return self.pipelines.submit(new).id

    def wait(self, run_id: str) -> Ran:
        """Until the run has ended."""
        runs = self.engine.repository
        with self.changed:
            ended = self.changed.wait_for(lambda: runs.get(run_id).status.is_final, timeout=PATIENCE)
        assert ended, [(task.name, task.state) for task in self.pipelines.tasks(run_id)]
        return Ran(runs.get(run_id), list(self.pipelines.tasks(run_id)))

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that comes with a change of a job or a run."""
        with self.changed:
            assert self.changed.wait_for(condition, timeout=PATIENCE)

    def configure(self, kind: str, name: str, key: str, value: str) -> None:
        """Write a key of one of the "secrets" or "configmaps"."""
        folder = self.configuration / kind / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / key).write_text(value, "utf-8")

    def run(self, compiled: str | Path, parameters: Mapping[str, Any] | None = None, **request: Any) -> Ran:
        """Start a compiled pipeline and wait for its end."""
        return self.wait(self.submit(compiled, parameters, **request))

    def log(self, job_id: str) -> str:
        """What a job wrote."""
        spec = self.jobs.repository.get(job_id).spec
        return self.logs.create(spec.log).read_text("utf-8")

    def read(self, uri: str) -> bytes:
        """The object at a URI."""
        bucket, _, key = uri.partition("://")[2].partition("/")
        return self.store.get_bytes(bucket, key)

    def _tell(self, *_: object) -> None:
        self.engine.repository.after_commit(self._changed)

    def _changed(self) -> None:
        with self.changed:
            self.changed.notify_all()
