"""An engine over a real database, whose steps end when a test says so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from mlparity.engine.job_repository import JobRepository
from mlparity.engine.jobs import Instance, Job, JobSpec, LogStream, NewJob, Phase
from mlparity.engine.run_engine import RunEngine
from mlparity.engine.run_repository import NewRun, RunRepository
from mlparity.engine.runs import (
    TIMEOUT,
    ChildRun,
    Run,
    RunPlan,
    RunStatus,
    Step,
    StepContext,
    StepHandler,
    StepPlan,
    StepStatus,
    StepUpdate,
)
from mlparity.errors import InvalidRequestError
from mlparity.ids import SeededIds
from mlparity.state import Database
from mlparity.testing import TestClock

API = "test"
SPEC = JobSpec("image", ["true"], {}, [Instance("algo-1", LogStream("g", "s"))], ["/opt/ml"])


@dataclass
class Jobs:
    """Steps of kind "job": a job row each, ended by ``end``."""

    repository: JobRepository
    started: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)

    def start(self, context: StepContext) -> StepUpdate:
        earlier = self.repository.of_run(context.run.id, context.plan.name)
        mine = [job for job in earlier if job.id not in context.step.past_jobs]
        if mine:
            return StepUpdate(StepStatus.EXECUTING, job_id=mine[0].id)
        self.started.append(context.plan.name)
        name = f"{context.run.id}-{context.plan.name}-{len(earlier)}"
        job = self.repository.create(NewJob(API, "job", name, {}, SPEC, context.run.id, context.plan.name))
        return StepUpdate(StepStatus.EXECUTING, job_id=job.id)

    def on_job(self, context: StepContext, job: Job) -> StepUpdate:
        ends = {
            Phase.COMPLETED: StepStatus.SUCCEEDED,
            Phase.FAILED: StepStatus.FAILED,
            Phase.STOPPED: StepStatus.STOPPED,
        }
        fault = "flaky" if job.phase is Phase.FAILED else None
        outputs = {"from": context.plan.name, "job": job.name}
        return StepUpdate(ends[job.phase], outputs=outputs, failure_reason=job.failure_reason, fault=fault)

    def stop(self, context: StepContext) -> None:
        self.stopped.append(context.plan.name)

    def cache_inputs(self, context: StepContext) -> Mapping[str, Any]:
        return {"body": context.plan.body}


class Instant:
    """Steps that end at once; their body says how."""

    def start(self, context: StepContext) -> StepUpdate:
        if context.plan.body.get("refuse"):
            raise InvalidRequestError("refused", "the body says so")
        return StepUpdate(StepStatus.SUCCEEDED, branch=context.plan.body.get("branch", ""))

    def on_job(self, context: StepContext, job: Job) -> StepUpdate:
        raise AssertionError("an instant step has no job")

    def stop(self, context: StepContext) -> None:
        raise AssertionError("an instant step does not run")


class Outside:
    """Steps that somebody outside ends, within an hour."""

    def __init__(self, clock: TestClock) -> None:
        self.clock = clock

    def start(self, context: StepContext) -> StepUpdate:
        return StepUpdate(StepStatus.EXECUTING, due_at=self.clock.now() + timedelta(hours=1))

    def on_job(self, context: StepContext, job: Job) -> StepUpdate:
        raise AssertionError("it has no job")

    def stop(self, context: StepContext) -> None:
        pass

    def expire(self, context: StepContext) -> StepUpdate:
        return StepUpdate(StepStatus.FAILED, failure_reason="nobody answered", fault=TIMEOUT)


class Nested:
    """Steps that consist of runs, one for each list of kinds in their body, at most ``at_once`` at a time."""

    def __init__(self, engine: Callable[[], RunEngine]) -> None:
        self.engine = engine

    def start(self, context: StepContext) -> StepUpdate:
        self._submit(context, 0, int(context.plan.body.get("at_once", 1000)))
        return StepUpdate(StepStatus.EXECUTING)

    def on_job(self, context: StepContext, job: Job) -> StepUpdate:
        raise AssertionError("it has no job")

    def on_runs(self, context: StepContext, children: Sequence[ChildRun]) -> StepUpdate:
        wanted = context.plan.body["runs"]
        ended = [child for child in children if child.status.is_final]
        if len(ended) == len(wanted) or (context.step.status is StepStatus.STOPPING and len(ended) == len(children)):
            bad = {child.status for child in ended} - {RunStatus.SUCCEEDED}
            state = StepStatus.SUCCEEDED
            if bad:
                state = StepStatus.STOPPED if context.step.status is StepStatus.STOPPING else StepStatus.FAILED
            return StepUpdate(state, outputs={"runs": [child.id for child in children]})
        if context.step.status is StepStatus.EXECUTING:
            self._submit(context, len(children), len(ended) + int(context.plan.body.get("at_once", 1000)))
        return StepUpdate(context.step.status)

    def stop(self, context: StepContext) -> None:
        for child in self.engine().repository.children(context.run.id, context.plan.name):
            self.engine().stop(child.id)

    def _submit(self, context: StepContext, first: int, until: int) -> None:
        for index, steps in list(enumerate(context.plan.body["runs"]))[first:until]:
            plan = RunPlan([StepPlan(name, kind, (), {}) for name, kind in steps.items()])
            run = f"{context.run.id}.{context.plan.name}.{index}"
            self.engine().submit(
                NewRun(
                    run,
                    API,
                    "run",
                    "p",
                    "n",
                    {},
                    plan,
                    enclosing_run=context.run.id,
                    enclosing_step=context.plan.name,
                    iteration=index,
                )
            )


class World:
    """An engine, and waiting for what it does."""

    def __init__(self, path: Path) -> None:
        self.database = Database.open(path)
        self.clock = TestClock()
        self.jobs = JobRepository(self.database, self.clock, SeededIds(1))
        self.runs = RunRepository(self.database, self.clock)
        self.job_steps = Jobs(self.jobs)
        self.engine = self.new_engine()

    def new_engine(self) -> RunEngine:
        handlers: dict[str, StepHandler] = {
            "job": self.job_steps,
            "instant": Instant(),
            "outside": Outside(self.clock),
            "nested": Nested(lambda: self.engine),
        }
        engine = RunEngine(
            self.runs, self.jobs, {(API, kind): handler for kind, handler in handlers.items()}, self.clock
        )
        engine.listen(self._on_run, self._on_step)
        self.changed = threading.Condition()
        return engine

    def _on_run(self, _run: Run, _before: RunStatus | None) -> None:
        self.runs.after_commit(self._notify)  # listeners are told inside the transaction

    def _on_step(self, _run: Run, _step: Step, _before: StepStatus) -> None:
        self.runs.after_commit(self._notify)

    def _notify(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def submit(
        self, *steps: StepPlan, run: str = "r1", max_parallel: int = 0, fail_slow: bool = False, **more: Any
    ) -> Run:
        plan = RunPlan(steps, max_parallel_steps=max_parallel, fail_slow=fail_slow)
        return self.engine.submit(NewRun(run, API, "run", "p", "n", {}, plan, **more))

    def states(self, run: str = "r1") -> dict[str, str]:
        return {name: step.status.value for name, step in self.runs.steps(run).items()}

    def step(self, name: str, run: str = "r1") -> Step:
        return self.runs.steps(run)[name]

    def wait(self, of: str = "r1", **expected: str) -> None:
        """Until the steps named have these states ("run" is the run itself)."""

        def reached() -> bool:
            if not self.runs.exists(of):
                return False
            now = {**self.states(of), "run": self.runs.get(of).status.value}
            return all(now[name] == state for name, state in expected.items())

        with self.changed:
            assert self.changed.wait_for(reached, timeout=10), self.states(of)

    def end(self, step: str, phase: Phase = Phase.COMPLETED, run: str = "r1") -> None:
        job = self.jobs.of_run(run, step)[-1]
        self.engine.on_job(self.jobs.enter(job.id, phase, failure_reason="it broke" if phase is Phase.FAILED else ""))

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.engine.wake()
