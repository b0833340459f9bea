"""Pipelines on the one engine: checked, started, stopped, tried again, and looked at."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlparity.clock import Clock
from mlparity.engine.job_run import LogFiles, RuntimeResolver
from mlparity.engine.job_service import JobService
from mlparity.engine.run_engine import RunEngine
from mlparity.engine.run_repository import NewRun
from mlparity.engine.runs import Reuse, Run, RunStatus, Step, StepHandler, StepStatus
from mlparity.errors import ConflictError, NotFoundError
from mlparity.metadata.store import MetadataStore
from mlparity.pipeline_ir.checks import Allowed, check_pipeline
from mlparity.pipeline_ir.container_step import ContainerStep
from mlparity.pipeline_ir.dag_step import DagStep
from mlparity.pipeline_ir.definition import Pipeline
from mlparity.pipeline_ir.importer_step import ImporterStep
from mlparity.pipeline_ir.kubernetes import PodSource
from mlparity.pipeline_ir.locations import check_root
from mlparity.pipeline_ir.outputs import dag_outputs
from mlparity.pipeline_ir.plans import plan_of
from mlparity.pipeline_ir.reader import read_pipeline
from mlparity.pipeline_ir.recorder import Recorder
from mlparity.pipeline_ir.resolution import root_inputs
from mlparity.pipeline_ir.root_runs import RootRuns, stored_request
from mlparity.pipeline_ir.service import RUN_KIND, PipelineRequest
from mlparity.pipeline_ir.task_context import Means, dag_inputs, iteration_record, task_of
from mlparity.pipeline_ir.task_listing import list_tasks, run_state
from mlparity.pipeline_ir.tasks import TaskDetail, TaskKind, TaskState, TaskValues
from mlparity.storage.base import ObjectStore


@dataclass(frozen=True)
class Surroundings:
    """What pipelines find around them.

    ``metadata`` gives the metadata store of a scope; ``configuration`` is the folder with ``secrets/NAME/KEY`` and
    ``configmaps/NAME/KEY``.
    """

    store: ObjectStore
    metadata: Callable[[str], MetadataStore]
    runtimes: RuntimeResolver
    logs: LogFiles
    clock: Clock
    configuration: Path


class PipelineRuns:
    """The pipelines of one API. Follows its runs from the moment that it is made."""

    def __init__(
        self,
        api: str,
        engine: RunEngine,
        jobs: JobService,
        around: Surroundings,
        *,
        placeholders: Collection[str] = (),
    ) -> None:
        """``placeholders``: names that the API knows beside KFP's; each request brings their values."""
        self._api = api
        self._engine = engine
        self._allowed = Allowed(around.runtimes.resolve, placeholders)
        self._roots = RootRuns(engine.repository)
        self._recorder = Recorder(around.metadata)
        self.means = Means(
            api,
            engine,
            jobs,
            around.store,
            self._recorder,
            self._roots,
            around.clock,
            around.logs,
            around.runtimes,
            PodSource(around.configuration),
        )
        engine.listen(self._on_run, self._on_step)

    def check(
        self, spec: Mapping[str, Any], platform_spec: Mapping[str, Any] | None, parameters: Mapping[str, Any]
    ) -> None:
        """Raise ``InvalidPipelineError`` or ``UnsupportedPipelineError`` where ``submit`` would for these."""
        self.read(spec, platform_spec, parameters)

    def read(
        self,
        spec: Mapping[str, Any],
        platform_spec: Mapping[str, Any] | None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Pipeline:
        """The pipeline, checked; with its arguments where they are given. Raises as ``check``."""
        pipeline = read_pipeline(spec, platform_spec)
        check_pipeline(pipeline, self._allowed)
        if parameters is not None:
            root_inputs(pipeline.root, parameters, None)
        return pipeline

    def submit(self, request: PipelineRequest) -> Run:
        """Check, store and begin a run. An id that exists already gives that run."""
        if self._engine.repository.exists(request.id):
            return self._engine.repository.get(request.id)
        pipeline = self.read(request.spec, request.platform_spec)
        inputs = root_inputs(pipeline.root, request.parameters, request.input_artifacts)
        pipeline_root = check_root(request.pipeline_root or pipeline.default_root)
        plan = plan_of(pipeline, pipeline.root, inputs, fail_slow=request.fail_slow, caching=request.caching)
        stored = stored_request(request, pipeline_root)
        new = NewRun(request.id, self._api, RUN_KIND, request.parent, request.name, stored, plan)
        return self._engine.submit(new)

    def stop(self, run_id: str) -> Run:
        """Cancel: what runs is stopped, nothing new begins. Raises ``NotFoundError``."""
        self._known(run_id)
        return self._engine.stop(run_id)

    def retry(self, run_id: str) -> Run:
        """Go on with a failed or cancelled run: what succeeded stays. Raises ``ConflictError`` for any other."""
        run = self._known(run_id)
        if run.status not in {RunStatus.FAILED, RunStatus.STOPPED}:
            raise ConflictError(f"run {run_id} cannot be retried", f"it is {run.status}, not failed or cancelled")
        return self._engine.reopen(run_id)

    def tasks(self, root_run_id: str) -> Sequence[TaskDetail]:
        """The run's tasks, parents before children, the root first. Raises ``NotFoundError``."""
        return list_tasks(self._engine.repository, self._roots.of(self._known(root_run_id)))

    def delete(self, root_run_id: str) -> None:
        """Forget a run that has ended, with all that is inside. Raises ``NotFoundError`` and ``ConflictError``."""
        run = self._known(root_run_id)
        if not run.status.is_final:
            raise ConflictError(f"run {root_run_id} cannot be deleted", f"it is {run.status}")
        jobs = self.means.jobs.repository
        with self._engine.repository.transaction():
            for inside in self._engine.repository.tree(root_run_id):
                for job in jobs.of_run(inside.id):
                    jobs.delete(job.id)
            self._engine.repository.delete(root_run_id)
        self._roots.forget(root_run_id)

    def _known(self, run_id: str) -> Run:
        run = self._engine.repository.get(run_id)
        if run.api != self._api or run.id != run.root_run:
            raise NotFoundError(f"run {run_id} does not exist")
        return run

    def _on_run(self, run: Run, before: RunStatus | None) -> None:
        """Write a root run's, and an iteration's, states into the metadata store."""
        if run.api != self._api:
            return
        root = self._roots.of(run)
        if run.id == run.root_run:
            if before is None:
                self._recorder.run_began(root, dag_inputs(run))
            else:
                self._recorder.run_changed(root, run_state(run), self._outputs(run))
        elif run.iteration >= 0 and run.status.is_final:
            self._recorder.task_ended(root, iteration_record(run), run_state(run), self._outputs(run))

    def _outputs(self, run: Run) -> TaskValues:
        if run.status is not RunStatus.SUCCEEDED:
            return TaskValues()
        component = self._roots.of(run).pipeline.component(run.plan.context["component"])
        return dag_outputs(component, self._engine.repository.steps(run.id))

    def _on_step(self, run: Run, step: Step, before: StepStatus) -> None:  # noqa: ARG002
        """Write of a task that took another's results: its handler was not asked to start it."""
        if run.api != self._api or step.status is not StepStatus.SUCCEEDED or step.reuse is not Reuse.CACHE:
            return
        root = self._roots.of(run)
        at = task_of(root, run, self._engine.repository.steps(run.id), step.name)
        outputs = TaskValues.from_json(step.outputs)
        self._recorder.task_ended(root, at.record(at.inputs()), TaskState.CACHED, outputs)


def handlers(pipelines: Callable[[], PipelineRuns]) -> dict[str, StepHandler]:
    """The handlers of an API's pipelines, by the step's kind, for ``RunEngine``."""

    def means() -> Means:
        return pipelines().means

    return {
        TaskKind.CONTAINER.value: ContainerStep(means),
        TaskKind.IMPORTER.value: ImporterStep(means),
        TaskKind.DAG.value: DagStep(means),
    }
