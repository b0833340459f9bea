"""The Kubeflow API over the real engine, with tasks that end when a test says so, and an unmodified client of it."""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mlparity.apis.kubeflow import experiments, run_states
from mlparity.apis.kubeflow.app import KubeflowApp
from mlparity.apis.kubeflow.context import API, Kubeflow
from mlparity.apis.kubeflow.schedules import RecurringRunTimer
from mlparity.engine.job_repository import JobRepository
from mlparity.engine.jobs import Phase
from mlparity.engine.logs import JobLogStore
from mlparity.engine.run_engine import RunEngine
from mlparity.engine.run_repository import NewRun, RunRepository
from mlparity.engine.runs import Run, RunPlan, RunStatus, Step, StepPlan, StepStatus
from mlparity.engine.scheduling import TimerService
from mlparity.ids import SeededIds
from mlparity.metadata import MetadataStore
from mlparity.pipeline_ir.errors import InvalidPipelineError
from mlparity.pipeline_ir.reader import read_pipeline
from mlparity.pipeline_ir.service import RUN_KIND, PipelineRequest
from mlparity.pipeline_ir.tasks import ArtifactValue, TaskDetail, TaskKind, TaskState, TaskValues
from mlparity.state import Database
from mlparity.state.document_search import DocumentSearch
from mlparity.state.documents import DocumentRepository
from mlparity.storage.filestore import FileObjectStore
from mlparity.testing import TestClock
from tests.conformance.s3_fixtures import serve
from tests.unit.engine_world import Jobs

_STATES = {
    StepStatus.PENDING: TaskState.PENDING,
    StepStatus.EXECUTING: TaskState.RUNNING,
    StepStatus.STOPPING: TaskState.CANCELING,
    StepStatus.STOPPED: TaskState.CANCELED,
    StepStatus.FAILED: TaskState.FAILED,
    StepStatus.SUCCEEDED: TaskState.SUCCEEDED,
    StepStatus.SKIPPED: TaskState.SKIPPED,
    StepStatus.STARTING: TaskState.RUNNING,
    StepStatus.RETRYING: TaskState.RUNNING,
}


class ScriptedPipelines:
    """The tasks of the root DAG as steps that a test ends."""

    def __init__(self, engine: RunEngine) -> None:
        self.engine = engine
        self.requests: dict[str, PipelineRequest] = {}
        self.outputs: dict[str, ArtifactValue] = {}

    def read(
        self,
        spec: Mapping[str, Any],
        platform_spec: Mapping[str, Any] | None,
        parameters: Mapping[str, Any] | None = None,
    ) -> object:
        pipeline = read_pipeline(spec, platform_spec)
        if parameters is None:
            return pipeline
        known = spec["root"].get("inputDefinitions", {}).get("parameters", {})
        for name in parameters.keys() - known.keys():
            raise InvalidPipelineError(f"parameter {name} is unknown", "the pipeline has no such input")
        for name in known.keys() - parameters.keys():
            if "defaultValue" not in known[name]:
                raise InvalidPipelineError(f"parameter {name} is missing", "the pipeline has no default for it")
        return pipeline

    def submit(self, request: PipelineRequest) -> Run:
        self.read(request.spec, request.platform_spec, request.parameters)
        self.requests[request.id] = request
        tasks = request.spec["root"]["dag"]["tasks"]
        steps = [StepPlan(name, "task", tuple(task.get("dependentTasks", ())), {}) for name, task in tasks.items()]
        new = NewRun(request.id, API, RUN_KIND, request.parent, request.name, {}, RunPlan(steps))
        return self.engine.submit(new)

    def stop(self, run_id: str) -> Run:
        return self.engine.stop(run_id)

    def retry(self, run_id: str) -> Run:
        return self.engine.reopen(run_id)

    def delete(self, root_run_id: str) -> None:
        self.engine.repository.delete(root_run_id)

    def tasks(self, root_run_id: str) -> Sequence[TaskDetail]:
        run = self.engine.repository.get(root_run_id)
        state = TaskState.SUCCEEDED if run.status.is_final else TaskState.RUNNING
        root = TaskDetail(run.id, "", run.id, "root", "root", "root", TaskKind.DAG, state)
        return [root, *(self._task(step) for step in self.engine.repository.steps(root_run_id).values())]

    def _task(self, step: Step) -> TaskDetail:
        made = self.outputs.get(f"{step.run_id}/{step.name}")
        return TaskDetail(
            id=f"{step.run_id}.{step.name}",
            parent_id=step.run_id,
            run_id=step.run_id,
            name=step.name,
            display_name=step.name,
            component=f"comp-{step.name}",
            kind=TaskKind.CONTAINER,
            state=_STATES[step.status],
            created_at=step.started_at,
            started_at=step.started_at,
            ended_at=step.ended_at,
            error=step.failure_reason,
            outputs=TaskValues({"rows": 3}, {"model": (made,)} if made else {}),
            job_ids=(*step.past_jobs, *([step.job_id] if step.job_id else [])),
        )


class KfpWorld:
    """The API with everything behind it; ``timers`` are run by hand."""

    def __init__(self, root: Path, clock: TestClock | None = None) -> None:
        self.clock = clock or TestClock()
        self.database = Database.open(root / "state.db")
        ids = SeededIds(len(list(root.iterdir())))
        self.jobs = JobRepository(self.database, self.clock, ids)
        self.runs = RunRepository(self.database, self.clock)
        self.job_steps = Jobs(self.jobs)
        self.engine = RunEngine(self.runs, self.jobs, {(API, "task"): self.job_steps}, self.clock)
        self.pipelines = ScriptedPipelines(self.engine)
        self.timers = TimerService(self.clock)
        self.logs = JobLogStore(root / "logs", self.clock)
        self.api = Kubeflow(
            pipelines=self.pipelines,
            jobs=self.jobs,
            documents=DocumentRepository(self.database, self.clock, API),
            search=DocumentSearch(self.database, API),
            store=FileObjectStore(self.database, root / "objects", self.clock, ids, "us-east-1"),
            logs=self.logs,
            clock=self.clock,
            ids=ids,
            pipeline_root="s3://pipelines/v2/artifacts",
            wake_timers=self.timers.wake,
            after_commit=self.database.after_commit,
            metadata=MetadataStore(self.database, self.clock, ids, API),
        )
        self.timers.add(RecurringRunTimer(self.api))
        self.engine.listen(partial(run_states.on_run, self.api), lambda _run, _step, _before: None)
        self.engine.listen(self._on_run, self._on_step)
        self.changed = threading.Condition()
        experiments.ensure_default(self.api)
        self.engine.start()

    def close(self) -> None:
        self.engine.close()
        self.database.close()

    def end(self, run_id: str, step: str, phase: Phase = Phase.COMPLETED) -> None:
        """End the step's job, once it has one."""
        self.until(lambda: self.runs.steps(run_id)[step].job_id is not None)
        job = self.jobs.of_run(run_id, step)[-1]
        self.engine.on_job(self.jobs.enter(job.id, phase, failure_reason="it broke" if phase is Phase.FAILED else ""))

    def wait(self, run_id: str, state: str) -> None:
        """Until the run has this state."""
        self.until(lambda: self.api.documents.get("Run", run_id).body["state"] == state)

    def until(self, reached: Any) -> None:
        with self.changed:
            assert self.changed.wait_for(reached, timeout=10)

    def _on_run(self, _run: Run, _before: RunStatus | None) -> None:
        self.runs.after_commit(self._notify)  # listeners are told inside the transaction

    def _on_step(self, _run: Run, _step: Step, _before: StepStatus) -> None:
        self.runs.after_commit(self._notify)

    def _notify(self) -> None:
        with self.changed:
            self.changed.notify_all()


@contextmanager
def kfp_world(root: Path, clock: TestClock | None = None) -> Iterator[tuple[KfpWorld, Any]]:
    """A served world and ``kfp.Client`` for it."""
    root.mkdir(exist_ok=True)
    world = KfpWorld(root, clock)
    try:
        with serve(KubeflowApp(world.api)) as url:
            yield world, client(url)
    finally:
        world.close()


def client(url: str) -> Any:
    """An unmodified client; its own warnings are the vendor's to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import kfp

        return kfp.Client(host=url)


def refused(call: Callable[[], Any]) -> tuple[int, str]:
    """The status and the message of the error that the call gets."""
    from kfp_server_api import ApiException

    with pytest.raises(ApiException) as error:
        call()
    document = json.loads(error.value.body)
    assert document["message"] == document["error"] == document["details"][0]["error_details"]
    return error.value.status, document["message"]
