"""The flat list of a run's tasks, put together from the run, the runs inside it and their steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from mlparity.engine.run_repository import RunRepository
from mlparity.engine.runs import Reuse, Run, RunStatus, Step, StepStatus
from mlparity.pipeline_ir.dag_step import dag_failure
from mlparity.pipeline_ir.errors import InvalidPipelineError, TaskFailedError
from mlparity.pipeline_ir.outputs import dag_outputs
from mlparity.pipeline_ir.root_runs import RootRun, child_id, metadata_id
from mlparity.pipeline_ir.task_context import TaskAt, dag_inputs, task_of
from mlparity.pipeline_ir.tasks import TaskDetail, TaskKind, TaskState, TaskValues

_STEP_STATES = {
    StepStatus.PENDING: TaskState.PENDING,
    StepStatus.STARTING: TaskState.RUNNING,
    StepStatus.EXECUTING: TaskState.RUNNING,
    StepStatus.RETRYING: TaskState.RUNNING,
    StepStatus.STOPPING: TaskState.CANCELING,
    StepStatus.STOPPED: TaskState.CANCELED,
    StepStatus.FAILED: TaskState.FAILED,
    StepStatus.SUCCEEDED: TaskState.SUCCEEDED,
    StepStatus.SKIPPED: TaskState.SKIPPED,
}
_RUN_STATES = {
    RunStatus.EXECUTING: TaskState.RUNNING,
    RunStatus.STOPPING: TaskState.CANCELING,
    RunStatus.STOPPED: TaskState.CANCELED,
    RunStatus.FAILED: TaskState.FAILED,
    RunStatus.SUCCEEDED: TaskState.SUCCEEDED,
}


def run_state(run: Run) -> TaskState:
    """Where a run is, as a task's state."""
    return _RUN_STATES[run.status]


def step_state(step: Step) -> TaskState:
    """Where a step is, as a task's state."""
    cached = step.status is StepStatus.SUCCEEDED and step.reuse is Reuse.CACHE
    return TaskState.CACHED if cached else _STEP_STATES[step.status]


def list_tasks(repository: RunRepository, root: RootRun) -> list[TaskDetail]:
    """The root first, parents before children."""
    runs = {run.id: run for run in repository.tree(root.id)}
    steps: dict[str, dict[str, Step]] = defaultdict(dict)
    for step in repository.tree_steps(root.id):
        steps[step.run_id][step.name] = step
    inside: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs.values():
        if run.enclosing_run is not None:
            inside[run.enclosing_run, run.enclosing_step].append(run)
    listing = _Listing(root, steps, inside)
    return listing.of_root(runs[root.id])


class _Listing:
    def __init__(
        self,
        root: RootRun,
        steps: Mapping[str, Mapping[str, Step]],
        inside: Mapping[tuple[str, str], Sequence[Run]],
    ) -> None:
        self._root = root
        self._steps = steps
        self._inside = inside
        self._found: list[TaskDetail] = []

    def of_root(self, run: Run) -> list[TaskDetail]:
        self._found.append(self._dag(run, "", run.name, run.id))
        self._add_steps(run, run.id)
        return self._found

    def _add_steps(self, run: Run, parent: str) -> None:
        for name, step in self._steps[run.id].items():
            at = task_of(self._root, run, self._steps[run.id], name)
            self._found.append(self._task(at, step, parent))
            for child in self._current(at, step):
                if child.iteration >= 0:
                    display = f"{at.task.display_name}-{child.iteration}"
                    self._found.append(self._dag(child, at.id, display, child.id))
                    self._add_steps(child, child.id)
                else:
                    self._add_steps(child, at.id)

    def _current(self, at: TaskAt, step: Step) -> list[Run]:
        """The runs of a step's last attempt."""
        attempt = step.details.get("attempt", step.attempt)
        children = self._inside.get((at.run.id, at.task.name), ())
        return [child for child in children if child.id == child_id(at.run.id, at.task.name, attempt, child.iteration)]

    def _task(self, at: TaskAt, step: Step, parent: str) -> TaskDetail:
        state = step_state(step)
        began = state not in {TaskState.PENDING, TaskState.SKIPPED}
        jobs = (*step.past_jobs, *((step.job_id,) if step.job_id else ()))
        return TaskDetail(
            at.id,
            parent,
            self._root.id,
            at.task.name,
            at.task.display_name,
            at.task.component,
            at.kind,
            state,
            created_at=at.run.created_at,
            started_at=step.started_at if began else None,
            ended_at=step.ended_at,
            error=step.failure_reason,
            inputs=self._inputs(at, step) if began else TaskValues(),
            outputs=TaskValues.from_json(step.outputs),
            execution_id=metadata_id(at.id) if began else "",
            cached=state is TaskState.CACHED,
            cached_from=step.reused_from or "",
            job_ids=jobs,
            attempt=step.attempt,
            dependencies=at.task.dependencies,
        )

    @staticmethod
    def _inputs(at: TaskAt, step: Step) -> TaskValues:
        if "inputs" in step.details and step.reuse is not Reuse.CACHE:
            return TaskValues.from_json(step.details["inputs"])
        try:
            return at.inputs()  # of a step that took another's results: its own
        except (TaskFailedError, InvalidPipelineError):
            return TaskValues()

    def _dag(self, run: Run, parent: str, display: str, own: str) -> TaskDetail:
        """The root, or an iteration of a loop."""
        steps = self._steps[run.id]
        component = self._root.pipeline.component(run.plan.context["component"])
        state = run_state(run)
        failed = [step.name for step in steps.values() if step.status is StepStatus.FAILED]
        return TaskDetail(
            own,
            parent,
            self._root.id,
            run.enclosing_step or component.name,
            display,
            component.name,
            TaskKind.DAG,
            state,
            iteration=run.iteration,
            created_at=run.created_at,
            started_at=run.started_at,
            ended_at=run.ended_at,
            error=(dag_failure(failed) if failed else run.failure_reason) if state is TaskState.FAILED else "",
            inputs=dag_inputs(run),
            outputs=dag_outputs(component, steps) if state is TaskState.SUCCEEDED else TaskValues(),
            execution_id=metadata_id(run.id),
        )
