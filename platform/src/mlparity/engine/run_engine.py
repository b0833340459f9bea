"""The DAG engine: one thread that starts what is ready and records what ended.

Everything it decides follows from the database, so a restart simply looks again. After a step fails nothing
new is started; what runs is let finish, and then the run has failed.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from mlparity.engine.job_repository import JobRepository
from mlparity.engine.jobs import Job
from mlparity.engine.run_repository import NewRun, RunRepository
from mlparity.engine.runs import (
    Run,
    RunStatus,
    Step,
    StepContext,
    StepHandler,
    StepPlan,
    StepStatus,
    StepUpdate,
)
from mlparity.errors import MlparityError

_LOG = logging.getLogger(__name__)
_FAILED = "Step failure: One or multiple steps failed."
RunListener = Callable[[Run, RunStatus | None], None]
StepListener = Callable[[Run, Step, StepStatus], None]


class _Signal(NamedTuple):
    run_id: str
    job_id: str | None = None


class RunEngine:
    """Starts, advances, stops and recovers runs. ``handlers`` maps (api, step kind) to the step's meaning."""

    def __init__(
        self, repository: RunRepository, jobs: JobRepository, handlers: Mapping[tuple[str, str], StepHandler]
    ) -> None:
        self.repository = repository
        self._jobs = jobs
        self._handlers = dict(handlers)
        self._queue: queue.Queue[_Signal | None] = queue.Queue()
        self._run_listeners: list[RunListener] = []
        self._step_listeners: list[StepListener] = []
        self._thread = threading.Thread(target=self._loop, name="runs", daemon=True)

    def listen(self, on_run: RunListener, on_step: StepListener) -> None:
        """Call back on every change of a run (with its status before) and of a step."""
        self._run_listeners.append(on_run)
        self._step_listeners.append(on_step)

    def submit(self, new: NewRun) -> Run:
        """Store a run and begin it."""
        run = self.repository.create(new)
        self._tell_run(run, None)
        self._queue.put(_Signal(run.id))
        return run

    def stop(self, run_id: str) -> Run:
        """Ask a run to stop: its steps are stopped, then it is STOPPED."""
        run, before = self.repository.set_status(run_id, RunStatus.STOPPING)
        if before is not run.status:
            self._tell_run(run, before)
        self._queue.put(_Signal(run_id))
        return run

    def on_job(self, job: Job) -> None:
        """To be told of every job's phases (``JobService.listen``)."""
        if job.run_id is not None and job.phase.is_final:
            self._queue.put(_Signal(job.run_id, job.id))

    def start(self) -> None:
        """Take up every unfinished run and go on."""
        for run in self.repository.active():
            self._queue.put(_Signal(run.id))
        self._thread.start()

    def close(self) -> None:
        """Stop deciding. What is under way stays as recorded."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _loop(self) -> None:
        while (signal := self._queue.get()) is not None:
            try:
                self._advance(signal.run_id)
            except Exception as error:  # noqa: BLE001 - one run must not stop the others
                _LOG.exception("run %s", signal.run_id)
                run, before = self.repository.set_status(signal.run_id, RunStatus.FAILED, f"internal error: {error}")
                self._tell_run(run, before)

    def _advance(self, run_id: str) -> None:
        run = self.repository.get(run_id)
        if run.status.is_final:
            return
        steps = self.repository.steps(run_id)
        self._collect(run, steps)
        while run.status is RunStatus.EXECUTING and self._start_ready(run, steps):
            pass
        if run.status is RunStatus.STOPPING:
            self._stop_active(run, steps)
        self._settle(run, steps)

    def _collect(self, run: Run, steps: dict[str, Step]) -> None:
        """Take in the jobs that have ended, and steps that were starting when the last process died."""
        for plan in run.plan.steps:
            step = steps[plan.name]
            if not step.status.is_active:
                continue
            if step.job_id is None:
                self._begin(run, plan, steps)
                continue
            job = self._jobs.get(step.job_id)
            if job.phase.is_final:
                context = StepContext(run, plan, step, steps)
                self._apply(run, steps, step, self._guarded(partial(self._handler(run, plan).on_job, context, job)))

    def _start_ready(self, run: Run, steps: dict[str, Step]) -> bool:
        """Start or skip what can be; whether anything ended at once, so that more may be ready now."""
        again = False
        for plan in run.plan.steps:
            step = steps[plan.name]
            if step.status is not StepStatus.PENDING or self._blocked(plan, steps):
                continue
            if self._off_branch(plan, steps):
                self._apply(run, steps, step, StepUpdate(StepStatus.SKIPPED))
                again = True
                continue
            if any(other.status is StepStatus.FAILED for other in steps.values()):
                return False
            if self._full(run, steps):
                return again
            self._begin(run, plan, steps)
            again = again or steps[plan.name].status.is_final
        return again

    def _begin(self, run: Run, plan: StepPlan, steps: dict[str, Step]) -> None:
        step = steps[plan.name]
        if step.status is StepStatus.PENDING:
            step = self._apply(run, steps, step, StepUpdate(StepStatus.STARTING))
        context = StepContext(run, plan, step, steps)
        self._apply(run, steps, step, self._guarded(partial(self._handler(run, plan).start, context)))

    def _stop_active(self, run: Run, steps: dict[str, Step]) -> None:
        for plan in run.plan.steps:
            step = steps[plan.name]
            if step.status in {StepStatus.STARTING, StepStatus.EXECUTING}:
                step = self._apply(run, steps, step, StepUpdate(StepStatus.STOPPING))
                self._handler(run, plan).stop(StepContext(run, plan, step, steps))

    def _settle(self, run: Run, steps: Mapping[str, Step]) -> None:
        """End the run where nothing is left to do."""
        states = [step.status for step in steps.values()]
        if any(status.is_active for status in states):
            return
        if run.status is RunStatus.STOPPING:
            self._end(run, RunStatus.STOPPED)
        elif StepStatus.FAILED in states:
            self._end(run, RunStatus.FAILED, _FAILED)
        elif StepStatus.STOPPED in states:
            self._end(run, RunStatus.STOPPED)
        elif StepStatus.PENDING not in states:
            self._end(run, RunStatus.SUCCEEDED)

    def _end(self, run: Run, status: RunStatus, reason: str = "") -> None:
        ended, before = self.repository.set_status(run.id, status, reason)
        self._tell_run(ended, before)

    def _handler(self, run: Run, plan: StepPlan) -> StepHandler:
        return self._handlers[run.api, plan.kind]

    @staticmethod
    def _guarded(action: Callable[[], StepUpdate]) -> StepUpdate:
        """A handler's refusal is the step's failure."""
        try:
            return action()
        except MlparityError as error:
            return StepUpdate(StepStatus.FAILED, failure_reason=str(error))

    @staticmethod
    def _blocked(plan: StepPlan, steps: Mapping[str, Step]) -> bool:
        needed = [steps[name] for name in plan.depends_on]
        if plan.gate is not None:
            needed.append(steps[plan.gate.step])
        done = {StepStatus.SUCCEEDED, StepStatus.SKIPPED}
        return any(step.status not in done for step in needed)

    @staticmethod
    def _off_branch(plan: StepPlan, steps: Mapping[str, Step]) -> bool:
        """Behind a branch not taken, or after a step that is."""
        if plan.gate is not None:
            gate = steps[plan.gate.step]
            if gate.status is StepStatus.SKIPPED or gate.branch != plan.gate.branch:
                return True
        return any(steps[name].status is StepStatus.SKIPPED for name in plan.depends_on)

    @staticmethod
    def _full(run: Run, steps: Mapping[str, Step]) -> bool:
        limit = run.plan.max_parallel_steps
        return limit > 0 and sum(step.status.is_active for step in steps.values()) >= limit

    def _apply(self, run: Run, steps: dict[str, Step], step: Step, change: StepUpdate) -> Step:
        updated = self.repository.update_step(run.id, step.name, change)
        steps[step.name] = updated
        if updated.status is not step.status:
            for listener in self._step_listeners:
                listener(run, updated, step.status)
        return updated

    def _tell_run(self, run: Run, before: RunStatus | None) -> None:
        for listener in self._run_listeners:
            listener(run, before)
