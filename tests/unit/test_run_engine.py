"""The DAG engine over a real database, with handlers that end when a test says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mlparity.engine.job_repository import JobRepository
from mlparity.engine.jobs import Job, JobSpec, LogStream, NewJob, Phase
from mlparity.engine.run_engine import RunEngine
from mlparity.engine.run_repository import NewRun, RunRepository
from mlparity.engine.runs import (
    Gate,
    Run,
    RunPlan,
    RunStatus,
    Step,
    StepContext,
    StepPlan,
    StepStatus,
    StepUpdate,
)
from mlparity.errors import InvalidRequestError
from mlparity.ids import SeededIds
from mlparity.state import Database
from mlparity.testing import TestClock

API = "test"
SPEC = JobSpec("image", ["true"], {}, LogStream("g", "s"), ["/opt/ml"])


@dataclass
class Jobs:
    """Steps of kind "job": a job row each, ended by ``end``."""

    repository: JobRepository
    started: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)

    def start(self, context: StepContext) -> StepUpdate:
        earlier = self.repository.of_run(context.run.id, context.plan.name)
        if earlier:
            return StepUpdate(StepStatus.EXECUTING, job_id=earlier[0].id)
        self.started.append(context.plan.name)
        job = self.repository.create(
            NewJob(API, "job", f"{context.run.id}-{context.plan.name}", {}, SPEC, context.run.id, context.plan.name)
        )
        return StepUpdate(StepStatus.EXECUTING, job_id=job.id)

    def on_job(self, context: StepContext, job: Job) -> StepUpdate:
        ends = {
            Phase.COMPLETED: StepStatus.SUCCEEDED,
            Phase.FAILED: StepStatus.FAILED,
            Phase.STOPPED: StepStatus.STOPPED,
        }
        return StepUpdate(ends[job.phase], outputs={"from": context.plan.name}, failure_reason=job.failure_reason)

    def stop(self, context: StepContext) -> None:
        self.stopped.append(context.plan.name)


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


class World:
    """An engine, and waiting for what it does."""

    def __init__(self, path: Path) -> None:
        self.database = Database.open(path)
        clock = TestClock()
        self.jobs = JobRepository(self.database, clock, SeededIds(1))
        self.runs = RunRepository(self.database, clock)
        self.job_steps = Jobs(self.jobs)
        self.engine = self.new_engine()

    def new_engine(self) -> RunEngine:
        engine = RunEngine(self.runs, self.jobs, {(API, "job"): self.job_steps, (API, "instant"): Instant()})
        engine.listen(self._on_run, self._on_step)
        self.changed = threading.Condition()
        return engine

    def _on_run(self, _run: Run, _before: RunStatus | None) -> None:
        with self.changed:
            self.changed.notify_all()

    def _on_step(self, _run: Run, _step: Step, _before: StepStatus) -> None:
        with self.changed:
            self.changed.notify_all()

    def submit(self, *steps: StepPlan, max_parallel: int = 0) -> Run:
        plan = RunPlan(steps, max_parallel_steps=max_parallel)
        return self.engine.submit(NewRun("r1", API, "run", "p", "n", {}, plan))

    def states(self) -> dict[str, str]:
        return {name: step.status.value for name, step in self.runs.steps("r1").items()}

    def wait(self, **expected: str) -> None:
        """Until the steps named have these states ("run" is the run itself)."""

        def reached() -> bool:
            now = {**self.states(), "run": self.runs.get("r1").status.value}
            return all(now[name] == state for name, state in expected.items())

        with self.changed:
            assert self.changed.wait_for(reached, timeout=10), self.states()

    def end(self, step: str, phase: Phase = Phase.COMPLETED) -> None:
        job = self.jobs.of_run("r1", step)[0]
        self.engine.on_job(self.jobs.enter(job.id, phase, failure_reason="it broke" if phase is Phase.FAILED else ""))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "state.db")
    made.engine.start()
    yield made
    made.engine.close()
    made.database.close()


def job(name: str, *needs: str, gate: Gate | None = None) -> StepPlan:
    return StepPlan(name, "job", needs, {}, gate)


def test_ready_steps_run_in_parallel_and_the_rest_waits(world: World) -> None:
    world.submit(job("a"), job("b"), job("c", "a", "b"))
    world.wait(a="executing", b="executing", c="pending")
    world.end("a")
    world.wait(a="succeeded", c="pending")
    world.end("b")
    world.wait(c="executing")
    world.end("c")
    world.wait(run="succeeded")
    assert world.runs.steps("r1")["a"].outputs == {"from": "a"}


def test_parallelism_is_limited(world: World) -> None:
    world.submit(job("a"), job("b"), job("c"), max_parallel=2)
    world.wait(a="executing", b="executing", c="pending")
    world.end("b")
    world.wait(c="executing")


def test_the_branch_not_taken_is_skipped_with_all_behind_it(world: World) -> None:
    condition = StepPlan("if", "instant", (), {"branch": "True"})
    world.submit(
        condition,
        job("yes", gate=Gate("if", "True")),
        job("no", gate=Gate("if", "False")),
        job("after-no", "no"),
        StepPlan("nested", "instant", (), {"branch": "True"}, Gate("if", "False")),
        job("deep", gate=Gate("nested", "True")),
    )
    world.wait(yes="executing")
    world.end("yes")
    world.wait(run="succeeded")
    assert world.states() == {
        "if": "succeeded", "yes": "succeeded", "no": "skipped",
        "after-no": "skipped", "nested": "skipped", "deep": "skipped",
    }  # fmt: skip
    assert world.job_steps.started == ["yes"]


def test_after_a_failure_nothing_new_starts_and_what_runs_may_finish(world: World) -> None:
    world.submit(job("bad"), job("good"), job("after-good", "good"))
    world.wait(bad="executing", good="executing")
    world.end("bad", Phase.FAILED)
    world.wait(bad="failed")
    assert world.runs.get("r1").status is RunStatus.EXECUTING
    world.end("good")
    world.wait(run="failed")
    assert world.states()["after-good"] == "pending"
    assert world.runs.steps("r1")["bad"].failure_reason == "it broke"
    assert world.runs.get("r1").failure_reason == "Step failure: One or multiple steps failed."


def test_a_refusing_handler_fails_its_step(world: World) -> None:
    world.submit(StepPlan("no", "instant", (), {"refuse": True}))
    world.wait(run="failed")
    assert world.runs.steps("r1")["no"].failure_reason == "refused: the body says so"


def test_stopping_stops_what_runs_and_starts_nothing(world: World) -> None:
    world.submit(job("a"), job("b", "a"))
    world.wait(a="executing")
    world.engine.stop("r1")
    world.wait(a="stopping")
    assert world.job_steps.stopped == ["a"]
    world.end("a", Phase.STOPPED)
    world.wait(run="stopped")
    assert world.states() == {"a": "stopped", "b": "pending"}


def test_a_restart_goes_on_and_starts_no_job_twice(world: World) -> None:
    world.submit(job("a"), job("b", "a"))
    world.wait(a="executing")
    world.engine.close()
    # While nobody looks: the job ends, and the step is back where a crash could have left it.
    world.runs.update_step("r1", "a", StepUpdate(StepStatus.STARTING))
    world.end("a")
    world.engine = world.new_engine()
    world.engine.start()
    world.wait(a="succeeded", b="executing")
    world.end("b")
    world.wait(run="succeeded")
    assert world.job_steps.started == ["a", "b"]
