"""The DAG engine: what begins when, what is tried again, what a stop and a crash leave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mlparity.engine.jobs import Phase
from mlparity.engine.retry import RetryRule
from mlparity.engine.runs import Gate, Reuse, RunStatus, StepPlan, StepStatus, StepUpdate
from tests.unit.engine_world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "state.db")
    made.engine.start()
    yield made
    made.engine.close()
    made.database.close()


def job(name: str, *needs: str, gate: Gate | None = None, **more: Any) -> StepPlan:
    return StepPlan(name, "job", needs, more.pop("body", {}), gate, **more)


def test_ready_steps_run_in_parallel_and_the_rest_waits(world: World) -> None:
    world.submit(job("a"), job("b"), job("c", "a", "b"))
    world.wait(a="executing", b="executing", c="pending")
    world.end("a")
    world.wait(a="succeeded", c="pending")
    world.end("b")
    world.wait(c="executing")
    world.end("c")
    world.wait(run="succeeded")
    assert world.runs.steps("r1")["a"].outputs == {"from": "a", "job": "r1-a-0"}


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


# -- retries ----------------------------------------------------------------------------------------------------

FLAKY = (RetryRule(("flaky",), interval_seconds=10, backoff_rate=3, max_attempts=2),)


def test_a_failed_step_is_tried_again_after_growing_intervals(world: World) -> None:
    world.submit(job("a", retries=FLAKY))
    world.wait(a="executing")
    world.end("a", Phase.FAILED)
    world.wait(a="retrying")
    assert world.step("a").due_at == world.clock.now() + timedelta(seconds=10)
    world.pass_time(9)
    assert world.states() == {"a": "retrying"}
    world.pass_time(1)
    world.wait(a="executing")
    assert (world.step("a").attempt, world.step("a").failure_reason) == (2, "")
    world.end("a", Phase.FAILED)
    world.wait(a="retrying")
    assert world.step("a").due_at == world.clock.now() + timedelta(seconds=30)
    world.pass_time(30)
    world.wait(a="executing")
    world.end("a")
    world.wait(run="succeeded")
    assert world.step("a").outputs == {"from": "a", "job": "r1-a-2"}
    assert len(world.step("a").past_jobs) == 2
    assert [entry.phase.value for entry in world.jobs.of_run("r1", "a")] == ["failed", "failed", "completed"]


def test_retries_end_and_other_faults_are_not_retried(world: World) -> None:
    once = RetryRule(("flaky",), interval_seconds=1, max_attempts=1)
    world.submit(job("a", retries=(once,)), job("b", retries=(RetryRule(("other",)),)))
    world.wait(a="executing", b="executing")
    world.end("b", Phase.FAILED)
    world.wait(b="failed")
    world.end("a", Phase.FAILED)
    world.wait(a="retrying")
    world.pass_time(1)
    world.wait(a="executing")
    world.end("a", Phase.FAILED)
    world.wait(run="failed")
    assert world.step("a").attempt == 2


def test_retries_expire(world: World) -> None:
    world.submit(job("a", retries=(RetryRule(("flaky",), interval_seconds=30, expire_after_seconds=60),)))
    world.wait(a="executing")
    world.end("a", Phase.FAILED)
    world.wait(a="retrying")
    world.pass_time(30)
    world.wait(a="executing")
    world.end("a", Phase.FAILED)  # the next one would come 90 s after the start
    world.wait(run="failed")


def test_a_restart_remembers_the_next_attempt(world: World) -> None:
    world.submit(job("a", retries=FLAKY))
    world.wait(a="executing")
    world.end("a", Phase.FAILED)
    world.wait(a="retrying")
    world.engine.close()
    world.clock.advance(3600)
    world.engine = world.new_engine()
    world.engine.start()
    world.wait(a="executing")
    world.end("a")
    world.wait(run="succeeded")
    assert world.job_steps.started == ["a", "a"]


def test_stopping_ends_the_wait_for_a_retry(world: World) -> None:
    world.submit(job("a", retries=FLAKY))
    world.wait(a="executing")
    world.end("a", Phase.FAILED)
    world.wait(a="retrying")
    world.engine.stop("r1")
    world.wait(a="stopped", run="stopped")


# -- the cache --------------------------------------------------------------------------------------------------


def cached(name: str, *needs: str, body: Mapping[str, Any] | None = None, seconds: float = 3600) -> StepPlan:
    return job(name, *needs, body=body or {"x": 1}, reuse_within_seconds=seconds)


def run_once(world: World, run: str, *steps: StepPlan) -> None:
    world.submit(*steps, run=run)
    for plan in steps:
        world.wait(run, **{plan.name: "executing"})
        world.end(plan.name, run=run)
    world.wait(run, run="succeeded")


def test_an_equal_step_is_not_run_again_and_its_results_are_the_earlier_ones(world: World) -> None:
    run_once(world, "r1", cached("a"))
    world.submit(cached("a"), job("b", "a"), run="r2")
    world.wait("r2", a="succeeded", b="executing")
    step = world.step("a", "r2")
    assert (step.reuse, step.reused_from, step.attempt, step.job_id) == (Reuse.CACHE, "r1", 0, None)
    assert step.outputs == {"from": "a", "job": "r1-a-0"}
    assert world.jobs.of_run("r2", "a") == []


@pytest.mark.parametrize("other", [cached("a", body={"x": 2}), cached("b"), job("a", body={"x": 1})])
def test_only_equal_steps_that_ask_for_it_are_found(world: World, other: StepPlan) -> None:
    run_once(world, "r1", cached("a"))
    world.submit(other, run="r2")
    world.wait("r2", **{other.name: "executing"})


def test_results_grow_old_from_when_they_were_made(world: World) -> None:
    run_once(world, "r1", cached("a"))
    world.clock.advance(3000)
    world.submit(cached("a"), run="r2")
    world.wait("r2", run="succeeded")
    world.clock.advance(601)  # the hit of r2 does not make it younger
    world.submit(cached("a"), run="r3")
    world.wait("r3", a="executing")


def test_failures_are_not_reused(world: World) -> None:
    world.submit(cached("a"))
    world.wait(a="executing")
    world.end("a", Phase.FAILED)
    world.wait(run="failed")
    world.submit(cached("a"), run="r2")
    world.wait("r2", a="executing")


# -- again, and only some steps ---------------------------------------------------------------------------------


def test_a_failed_run_goes_on_where_it_failed(world: World) -> None:
    world.submit(job("a"), job("b", "a"), job("c", "b"))
    world.wait(a="executing")
    world.end("a")
    world.wait(b="executing")
    world.end("b", Phase.FAILED)
    world.wait(run="failed")
    world.engine.reopen("r1")
    world.wait(run="executing", b="executing")
    assert world.runs.get("r1").failure_reason == ""
    world.end("b")
    world.wait(c="executing")
    world.end("c")
    world.wait(run="succeeded")
    assert world.job_steps.started == ["a", "b", "b", "c"]


def test_a_run_that_succeeded_is_not_reopened(world: World) -> None:
    run_once(world, "r1", job("a"))
    assert world.engine.reopen("r1").status is RunStatus.SUCCEEDED
    assert world.job_steps.started == ["a"]


def test_only_some_steps_with_the_results_of_an_earlier_run(world: World) -> None:
    run_once(world, "r1", job("a"), job("b", "a"), job("c", "b"))
    world.submit(
        job("a"), job("b", "a"), job("c", "b"), run="r2", reused={"a": world.step("a")}, left_out=["c"]
    )  # fmt: skip
    world.wait("r2", a="succeeded", b="executing", c="skipped")
    world.end("b", run="r2")
    world.wait("r2", run="succeeded")
    reused = world.step("a", "r2")
    assert (reused.reuse, reused.reused_from, reused.outputs["job"]) == (Reuse.SELECTION, "r1", "r1-a-0")
    assert world.job_steps.started == ["a", "b", "c", "b"]


# -- steps that somebody outside ends ---------------------------------------------------------------------------


def outside(name: str) -> StepPlan:
    return StepPlan(name, "outside", (), {})


def test_somebody_outside_ends_a_step_once(world: World) -> None:
    world.submit(outside("ask"), job("then", "ask"))
    world.wait(ask="executing")
    world.engine.report("r1", "ask", StepUpdate(StepStatus.SUCCEEDED, outputs={"answer": 42}))
    world.wait(then="executing")
    late = world.engine.report("r1", "ask", StepUpdate(StepStatus.FAILED))
    assert (late.status, late.outputs) == (StepStatus.SUCCEEDED, {"answer": 42})


def test_a_stop_waits_for_the_answer(world: World) -> None:
    world.submit(outside("ask"))
    world.wait(ask="executing")
    world.engine.stop("r1")
    world.wait(ask="stopping", run="stopping")
    world.engine.report("r1", "ask", StepUpdate(StepStatus.FAILED, failure_reason="no"))
    world.wait(ask="failed", run="stopped")


@pytest.mark.parametrize("stopping", [False, True])
def test_a_step_that_nobody_ends_fails_at_its_deadline(world: World, stopping: bool) -> None:
    world.submit(outside("ask"))
    world.wait(ask="executing")
    if stopping:
        world.engine.stop("r1")
        world.wait(ask="stopping")
    world.pass_time(3600)
    world.wait(ask="failed", run="failed")
    assert world.step("ask").failure_reason == "nobody answered"
