"""The DAG engine: one thread that starts what is ready, tries again what may be, and records what ended.

Everything it decides follows from the database, so a restart simply looks again. After a step fails nothing
new is started; what runs is let finish, and then the run has failed.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from mlparity.clock import Clock
from mlparity.engine.job_repository import JobRepository
from mlparity.engine.jobs import Job
from mlparity.engine.readiness import is_blocked, is_full, is_off_branch, must_wait_for_end
from mlparity.engine.retry import next_attempt
from mlparity.engine.run_repository import NewRun, RunRepository
from mlparity.engine.runs import (
    TIMEOUT,
    DeadlineHandler,
    NestingHandler,
    Reuse,
    Run,
    RunStatus,
    Step,
    StepContext,
    StepHandler,
    StepPlan,
    StepStatus,
    StepUpdate,
)
from mlparity.engine.step_cache import CacheableHandler, FingerprintHandler, cache_key, oldest_reusable
from mlparity.errors import MlparityError, StateError

_LOG = logging.getLogger(__name__)
_FAILED = "Step failure: One or multiple steps failed."
_PATIENCE = 1.0  # seconds between two looks at the clock while a step is due later: a suspended machine wakes late
RunListener = Callable[[Run, RunStatus | None], None]
StepListener = Callable[[Run, Step, StepStatus], None]


class _Signal(NamedTuple):
    run_id: str  # "": only look at the clock


class RunEngine:
    """Starts, advances, retries, stops and recovers runs. ``handlers`` maps (api, step kind) to its meaning."""

    def __init__(
        self,
        repository: RunRepository,
        jobs: JobRepository,
        handlers: Mapping[tuple[str, str], StepHandler],
        clock: Clock,
    ) -> None:
        self.repository = repository
        self._jobs = jobs
        self._handlers = dict(handlers)
        self._clock = clock
        self._queue: queue.Queue[_Signal | None] = queue.Queue()
        self._due: dict[str, datetime] = {}  # run -> when one of its steps is due next; the engine's thread only
        self._run_listeners: list[RunListener] = []
        self._step_listeners: list[StepListener] = []
        self._thread = threading.Thread(target=self._loop, name="runs", daemon=True)

    def listen(self, on_run: RunListener, on_step: StepListener) -> None:
        """Call back on every change of a run (with its status before) and of a step.

        What a listener writes is committed together with the change.
        """
        self._run_listeners.append(on_run)
        self._step_listeners.append(on_step)

    def submit(self, new: NewRun) -> Run:
        """Store a run and begin it. A run inside a step that is there already (from before a crash) is returned."""
        with self.repository.transaction():
            if new.enclosing_run is not None and self.repository.exists(new.id):
                return self.repository.get(new.id)
            run = self.repository.create(new)
            self._tell_run(run, None)
            self._signal(run.id)
        return run

    def stop(self, run_id: str) -> Run:
        """Ask a run to stop: its steps, and the runs inside them, are stopped, then it is STOPPED."""
        with self.repository.transaction():
            run, before = self.repository.set_status(run_id, RunStatus.STOPPING)
            if before is not run.status:
                self._tell_run(run, before)
            self._signal(run_id)
        return run

    def reopen(self, run_id: str) -> Run:
        """Go on with a FAILED or STOPPED run: what failed or was stopped runs again. Any other run stays."""
        with self.repository.transaction():
            run, before = self.repository.reopen(run_id)
            if before is not run.status:
                self._tell_run(run, before)
            self._signal(run_id)
        return run

    def report(self, run_id: str, step: str, change: StepUpdate) -> Step:
        """Take in what somebody outside says of a step that runs without a job. A step that has ended stays."""
        with self.repository.transaction():
            run, before = self.repository.get(run_id), self.repository.steps(run_id)[step]
            updated = self.repository.update_step(run_id, step, change)
            if updated.status is not before.status:
                self._tell_step(run, updated, before.status)
            self._signal(run_id)
        return updated

    def wake(self, run_id: str = "") -> None:
        """Look at a run again, and at the clock: for a change of its parallelism, and for tests that move time."""
        self._signal(run_id)

    def on_job(self, job: Job) -> None:
        """To be told of every job's phases (``JobService.listen``)."""
        if job.run_id is not None and job.phase.is_final:
            self._signal(job.run_id)

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

    def _signal(self, run_id: str) -> None:
        """Have the thread look, once what it is to see is committed."""
        self.repository.after_commit(lambda: self._queue.put(_Signal(run_id)))

    def _loop(self) -> None:
        while True:
            try:
                signal = self._queue.get(timeout=self._patience())
            except queue.Empty:
                signal = _Signal("")
            if signal is None:
                return
            now = self._clock.now()
            due = [run_id for run_id, at in self._due.items() if at <= now]
            for run_id in dict.fromkeys([*([signal.run_id] if signal.run_id else []), *due]):
                self._advance_safely(run_id)

    def _patience(self) -> float | None:
        """Seconds to wait for a signal; None where nothing is due later."""
        if not self._due:
            return None
        return min(_PATIENCE, max(0.0, (min(self._due.values()) - self._clock.now()).total_seconds()))

    def _advance_safely(self, run_id: str) -> None:
        self._due.pop(run_id, None)
        try:
            self._advance(run_id)
        except StateError as error:  # nothing is decided while nothing can be written down
            _LOG.warning("run %s waits: %s", run_id, error)
            self._due[run_id] = self._clock.now() + timedelta(seconds=_PATIENCE)
        except Exception as error:  # noqa: BLE001 - one run must not stop the others
            _LOG.exception("run %s", run_id)
            self._give_up(run_id, f"internal error: {error}")

    def _give_up(self, run_id: str, reason: str) -> None:
        try:
            with self.repository.transaction():
                run, before = self.repository.set_status(run_id, RunStatus.FAILED, reason)
                self._tell_run(run, before)
                if run.enclosing_run is not None:
                    self._signal(run.enclosing_run)
        except Exception:  # noqa: BLE001 - nor must it end the thread; a restart looks at the run again
            _LOG.exception("run %s", run_id)

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
        due = [step.due_at for step in steps.values() if step.due_at is not None and step.status.is_active]
        if due:
            self._due[run_id] = min(due)

    def _collect(self, run: Run, steps: dict[str, Step]) -> None:
        """Take in jobs that have ended, times that have come, and what was starting when the last process died."""
        now = self._clock.now()
        for plan in run.plan.steps:
            step = steps[plan.name]
            if not step.status.is_active:
                continue
            context = StepContext(run, plan, step, steps)
            handler = self._handler(run, plan)
            is_due = step.due_at is not None and step.due_at <= now
            if step.status is StepStatus.RETRYING:
                if is_due and run.status is RunStatus.EXECUTING:
                    self._begin(run, plan, steps)
            elif step.job_id is not None:
                job = self._jobs.get(step.job_id)
                if job.phase.is_final:
                    self._conclude(context, steps, self._guarded(partial(handler.on_job, context, job)))
            elif step.status is StepStatus.STARTING:
                self._begin(run, plan, steps)
            elif is_due and isinstance(handler, DeadlineHandler):
                self._conclude(context, steps, self._guarded(partial(handler.expire, context)))
            elif isinstance(handler, NestingHandler):
                self._ask_of_runs(handler, context, steps)

    def _ask_of_runs(self, handler: NestingHandler, context: StepContext, steps: dict[str, Step]) -> None:
        inside = self.repository.children(context.run.id, context.plan.name)
        change = self._guarded(partial(handler.on_runs, context, inside))
        if change != StepUpdate(context.step.status):  # else nothing is new
            self._conclude(context, steps, change)

    def _start_ready(self, run: Run, steps: dict[str, Step]) -> bool:
        """Start or skip what can be; whether anything ended at once, so that more may be ready now."""
        again = False
        for plan in run.plan.steps:
            step = steps[plan.name]
            if step.status is not StepStatus.PENDING or is_blocked(plan, steps):
                continue
            if is_off_branch(plan, steps):
                self._apply(run, steps, step, StepUpdate(StepStatus.SKIPPED))
                again = True
                continue
            if must_wait_for_end(run, plan, steps):
                continue
            if is_full(run, steps):
                return again
            self._begin(run, plan, steps)
            again = again or steps[plan.name].status.is_final
        return again

    def _begin(self, run: Run, plan: StepPlan, steps: dict[str, Step]) -> None:
        """Start an attempt, or take an equal step's results."""
        step = steps[plan.name]
        context = StepContext(run, plan, step, steps)
        key = None
        if step.status is StepStatus.PENDING and plan.reuse_within_seconds is not None:
            change = self._guarded(partial(self._reuse, context))
            if change.status.is_final:
                self._conclude(context, steps, change)
                return
            key = change.cache_key
        if step.status is not StepStatus.STARTING:
            step = self._apply(run, steps, step, StepUpdate(StepStatus.STARTING, cache_key=key))
        context = StepContext(run, plan, step, steps)
        self._conclude(context, steps, self._guarded(partial(self._handler(run, plan).start, context)))

    def _reuse(self, context: StepContext) -> StepUpdate:
        """SUCCEEDED with the results of an equal step; else PENDING with the key under which this one will be found."""
        handler = self._handler(context.run, context.plan)
        if isinstance(handler, FingerprintHandler):
            key = handler.fingerprint(context)
        elif isinstance(handler, CacheableHandler):
            key = cache_key(context.run, context.plan, handler.cache_inputs(context))
        else:
            return StepUpdate(StepStatus.PENDING)
        found = self.repository.reusable(key, oldest_reusable(context.plan, self._clock.now()))
        if found is None:
            return StepUpdate(StepStatus.PENDING, cache_key=key)
        return StepUpdate(
            StepStatus.SUCCEEDED,
            outputs=found.outputs,
            details=found.details,
            branch=found.branch,
            cache_key=key,
            reuse=Reuse.CACHE,
            reused_from=found.run_id,
        )

    def _conclude(self, context: StepContext, steps: dict[str, Step], change: StepUpdate) -> None:
        """Record what a handler said; a failure that the plan's rules forgive becomes another attempt."""
        run, step = context.run, context.step
        if change.status is StepStatus.FAILED and change.fault and run.status is RunStatus.EXECUTING:
            now = self._clock.now()
            at = next_attempt(context.plan.retries, change.fault, step.attempt, step.started_at or now, now)
            if at is not None:
                change = replace(change, status=StepStatus.RETRYING, due_at=at, outputs=None)
        self._apply(run, steps, step, change)

    def _stop_active(self, run: Run, steps: dict[str, Step]) -> None:
        for plan in run.plan.steps:
            step = steps[plan.name]
            if step.status is StepStatus.RETRYING:
                self._apply(run, steps, step, StepUpdate(StepStatus.STOPPED))
            elif step.status in {StepStatus.STARTING, StepStatus.EXECUTING}:
                with self.repository.transaction():  # a step that is stopping has been told to
                    step = self._apply(run, steps, step, StepUpdate(StepStatus.STOPPING, due_at=step.due_at))
                    self._handler(run, plan).stop(StepContext(run, plan, step, steps))

    def _settle(self, run: Run, steps: Mapping[str, Step]) -> None:
        """End the run where nothing is left to do."""
        states = [step.status for step in steps.values()]
        if any(status.is_active for status in states):
            return
        if run.status is RunStatus.STOPPING:
            late = any(step.status is StepStatus.FAILED and step.fault == TIMEOUT for step in steps.values())
            self._end(run, *((RunStatus.FAILED, _FAILED) if late else (RunStatus.STOPPED, "")))
        elif StepStatus.FAILED in states:
            self._end(run, RunStatus.FAILED, _FAILED)
        elif StepStatus.STOPPED in states:
            self._end(run, RunStatus.STOPPED)
        elif StepStatus.PENDING not in states:
            self._end(run, RunStatus.SUCCEEDED)

    def _end(self, run: Run, status: RunStatus, reason: str = "") -> None:
        with self.repository.transaction():
            ended, before = self.repository.set_status(run.id, status, reason)
            self._tell_run(ended, before)
            if ended.enclosing_run is not None:
                self._signal(ended.enclosing_run)

    def _handler(self, run: Run, plan: StepPlan) -> StepHandler:
        return self._handlers[run.api, plan.kind]

    @staticmethod
    def _guarded(action: Callable[[], StepUpdate]) -> StepUpdate:
        """A handler's refusal is the step's failure, and so is its defect."""
        try:
            return action()
        except StateError:
            raise  # it says nothing about the step
        except MlparityError as error:
            return StepUpdate(StepStatus.FAILED, failure_reason=str(error))
        except Exception as error:  # noqa: BLE001 - a defect fails the step, and says so, instead of hanging the run
            _LOG.exception("a step's handler failed")
            return StepUpdate(StepStatus.FAILED, failure_reason=f"InternalServerError: {error!r}")

    def _apply(self, run: Run, steps: dict[str, Step], step: Step, change: StepUpdate) -> Step:
        with self.repository.transaction():
            updated = self.repository.update_step(run.id, step.name, change)
            if updated.status is not step.status:
                self._tell_step(run, updated, step.status)
        steps[step.name] = updated
        return updated

    def _tell_step(self, run: Run, step: Step, before: StepStatus) -> None:
        for listener in self._step_listeners:
            listener(run, step, before)

    def _tell_run(self, run: Run, before: RunStatus | None) -> None:
        for listener in self._run_listeners:
            listener(run, before)
