"""Runs inside steps, what begins after a failure, and what limits a job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlparity.engine.jobs import Phase
from mlparity.engine.retry import RetryRule, next_attempt
from mlparity.engine.runs import StepPlan
from mlparity.state.paging import PageRequest
from tests.unit.engine_world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "state.db")
    made.engine.start()
    yield made
    made.engine.close()
    made.database.close()


def nested(name: str, *runs: dict[str, str], at_once: int = 1000, needs: tuple[str, ...] = ()) -> StepPlan:
    return StepPlan(name, "nested", needs, {"runs": list(runs), "at_once": at_once})


def job(name: str, *needs: str, after_failure: bool = False) -> StepPlan:
    return StepPlan(name, "job", needs, {}, after_failure=after_failure)


def test_a_step_succeeds_when_all_runs_inside_it_have(world: World) -> None:
    world.submit(nested("loop", {"a": "job"}, {"a": "job"}), job("after", "loop"))
    world.wait(of="r1.loop.0", a="executing")
    world.wait(of="r1.loop.1", a="executing")
    world.end("a", run="r1.loop.1")
    world.wait(of="r1.loop.1", run="succeeded")
    assert world.states() == {"loop": "executing", "after": "pending"}
    world.end("a", run="r1.loop.0")
    world.wait(loop="succeeded", after="executing")
    assert world.step("loop").outputs == {"runs": ["r1.loop.0", "r1.loop.1"]}
    assert [run.id for run in world.runs.tree("r1")] == ["r1", "r1.loop.0", "r1.loop.1"]
    assert {step.run_id for step in world.runs.tree_steps("r1")} == {"r1", "r1.loop.0", "r1.loop.1"}
    listed = world.runs.list("test", "run", "p", PageRequest("created_at", False, 10))
    assert [run.id for run in listed.items] == ["r1"]


def test_as_many_runs_at_once_as_the_handler_submits(world: World) -> None:
    world.submit(nested("loop", *[{"a": "job"}] * 3, at_once=2))
    world.wait(of="r1.loop.1", a="executing")
    assert len(world.runs.children("r1", "loop")) == 2
    world.end("a", run="r1.loop.0")
    world.wait(of="r1.loop.0", run="succeeded")
    with world.changed:
        assert world.changed.wait_for(lambda: world.runs.exists("r1.loop.2"), timeout=10)


def test_a_failure_inside_fails_the_step_and_a_stop_goes_all_the_way_down(world: World) -> None:
    world.submit(nested("loop", {"a": "job"}, {"a": "job"}))
    world.wait(of="r1.loop.1", a="executing")
    world.end("a", Phase.FAILED, run="r1.loop.0")
    world.wait(of="r1.loop.0", run="failed")
    world.engine.stop("r1")
    world.wait(of="r1.loop.1", run="stopping")
    world.end("a", Phase.STOPPED, run="r1.loop.1")
    world.wait(of="r1.loop.1", run="stopped")
    world.wait(loop="stopped", run="stopped")


def test_after_a_crash_the_runs_inside_go_on(world: World) -> None:
    world.submit(nested("loop", {"a": "job"}))
    world.wait(of="r1.loop.0", a="executing")
    world.engine.close()
    world.end("a", run="r1.loop.0")
    world.engine = world.new_engine()
    world.engine.start()
    world.wait(loop="succeeded", run="succeeded")


def test_what_comes_after_a_failure(world: World) -> None:
    world.submit(
        job("bad"), job("behind", "bad"), job("first"), job("other", "first"),
        job("exit", "behind", "bad", after_failure=True), job("cleanup", "bad", after_failure=True),
    )  # fmt: skip
    world.wait(bad="executing", first="executing")
    world.end("bad", Phase.FAILED)
    world.wait(cleanup="executing")
    world.end("first")
    world.end("cleanup")
    world.wait(run="failed", behind="pending", other="pending", exit="pending")


def test_fail_slow_goes_on_where_nothing_failed(world: World) -> None:
    world.submit(job("bad"), job("behind", "bad"), job("first"), job("other", "first"), fail_slow=True)
    world.wait(bad="executing", first="executing")
    world.end("bad", Phase.FAILED)
    world.wait(bad="failed")
    world.end("first")
    world.wait(other="executing")
    world.end("other")
    world.wait(run="failed", behind="pending", other="succeeded")


def test_an_interval_grows_to_its_largest(world: World) -> None:
    rule = RetryRule(["flaky"], interval_seconds=10, backoff_rate=2, max_attempts=5, max_interval_seconds=15)
    now = world.clock.now()
    waits = [next_attempt([rule], "flaky", attempt, now, now) for attempt in (1, 2, 3)]
    assert [(at - now).total_seconds() for at in waits if at] == [10, 15, 15]
