"""Rollouts: every strategy forward and back, alarms, timeouts, crashes in the middle."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from endpoint_bench import API, KEY, NAME, Bench, policy, revision

from mlparity.serving.endpoints import steps
from mlparity.serving.endpoints.endpoints import Endpoint, EndpointPhase, RolloutPhase, RolloutStage, VariantStage
from mlparity.serving.endpoints.plans import Capacity, RolloutPolicy, Strategy

CANARY = policy(Strategy.CANARY, 10, wait_seconds=60, termination_wait_seconds=30, alarms=("errors", "latency"))


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def newest(endpoint: Endpoint) -> tuple[RolloutPhase, RolloutStage, float]:
    assert endpoint.rollout is not None
    return endpoint.rollout.phase, endpoint.rollout.stage, endpoint.rollout.share


def test_all_at_once_starts_the_new_fleet_whole_and_ends_the_old_one_last(bench: Bench) -> None:
    old = bench.create(revision("one", main=(1, 2))).variants[0].deployment
    bench.fleet.automatic = False
    started = bench.update(revision("two", main=(1, 3)), policy(Strategy.ALL_AT_ONCE))
    assert started.phase is EndpointPhase.UPDATING
    assert started.pending is not None
    assert [one.stage for one in started.pending.variants] == [VariantStage.CREATING]
    assert bench.router.shares(KEY) == {old: 1.0}
    bench.fleet.ready_all()
    done = bench.settle()
    assert (done.phase, done.revision.name, done.pending) == (EndpointPhase.IN_SERVICE, "two", None)
    new = done.variants[0].deployment
    assert bench.router.shares(KEY) == {new: 1.0}
    assert bench.fleet.log == [("start", old), ("start", new), ("stop", old)]
    assert bench.running() == 3
    (rollout,) = bench.service.rollouts(API, NAME)
    assert rollout.phase is RolloutPhase.SUCCEEDED
    assert [event.stage.value for event in rollout.history] == [
        "provisioning",
        "shifting",
        "baking",
        "retiring",
        "ended",
    ]


def test_canary_bakes_each_step_and_waits_before_it_ends_the_old_fleet(bench: Bench) -> None:
    bench.create(revision("one", a=(1, 1), b=(1, 1)))
    baking = bench.update(revision("two", a=(3, 1), b=(1, 1)), CANARY)
    assert newest(baking) == (RolloutPhase.IN_PROGRESS, RolloutStage.BAKING, 0.1)
    assert bench.shares() == [0.45, 0.45, 0.075, 0.025]
    assert baking.pending is not None
    assert baking.pending.variants[0].stage is VariantStage.BAKING
    assert newest(bench.advance(59)) == (RolloutPhase.IN_PROGRESS, RolloutStage.BAKING, 0.1)
    assert newest(bench.advance(1)) == (RolloutPhase.IN_PROGRESS, RolloutStage.BAKING, 1.0)
    assert bench.shares() == [0.75, 0.25]
    assert newest(bench.advance(60))[1] is RolloutStage.WAITING
    assert bench.running() == 4
    bench.in_alarm.add("errors")  # the deployment has completed: it does not count any more
    done = bench.advance(30)
    assert (done.phase, done.revision.name, bench.running()) == (EndpointPhase.IN_SERVICE, "two", 2)


def test_linear_takes_equal_steps(bench: Bench) -> None:
    bench.create()
    seen = [bench.update(revision("two"), policy(Strategy.LINEAR, 30, wait_seconds=10))]
    while seen[-1].phase is EndpointPhase.UPDATING:
        seen.append(bench.advance(10))
    assert [newest(one)[2] for one in seen] == [0.3, 0.6, 0.9, 1.0, 1.0]


def test_rolling_never_runs_much_more_than_one_fleet(bench: Bench) -> None:
    bench.create(revision("one", main=(1, 4)))
    how = policy(Strategy.ROLLING, 25, wait_seconds=10)
    workers, shares = [], []
    endpoint = bench.update(revision("two", main=(1, 4)), how)
    while endpoint.phase is EndpointPhase.UPDATING:
        workers.append(bench.running())
        shares.append(newest(endpoint)[2])
        endpoint = bench.advance(10)
    assert shares == [0.25, 0.5, 0.75, 1.0]
    assert workers == [5, 5, 5, 5]
    assert (endpoint.revision.name, bench.running()) == ("two", 4)


@pytest.mark.parametrize("rollback", [Capacity(100), Capacity(25)])
def test_rolling_goes_back_with_the_old_fleet_first(bench: Bench, rollback: Capacity) -> None:
    made = bench.create(revision("one", main=(1, 4)))
    how = RolloutPolicy(Strategy.ROLLING, Capacity(2, percent=False), 10, rollback_step=rollback, alarms=("errors",))
    bench.update(revision("two", main=(1, 4)), how)
    bench.advance(10)  # all of the traffic has gone over, two old workers are left
    bench.in_alarm.add("errors")
    before = len(bench.router.log)
    done = bench.advance(5)
    assert (done.phase, done.revision.name) == (EndpointPhase.IN_SERVICE, "one")
    assert newest(done)[0] is RolloutPhase.ROLLED_BACK
    assert bench.router.shares(KEY) == {made.variants[0].deployment: 1.0}
    assert bench.running() == 4
    on_the_way = {round(table.deployments[1].weight, 2) for table in bench.router.log[before:] if table.deployments[1:]}
    assert on_the_way == (set() if rollback.value == 100 else {0.75, 0.5, 0.25})


def test_an_alarm_in_a_bake_puts_the_traffic_back_before_anything_ends(bench: Bench) -> None:
    old = bench.create().variants[0].deployment
    bench.update(revision("two"), CANARY)
    bench.advance(20)
    bench.in_alarm.add("latency")
    done = bench.advance(5)
    assert (done.phase, done.revision.name) == (EndpointPhase.IN_SERVICE, "one")
    assert "latency" in done.failure_reason
    assert "errors" not in done.failure_reason
    assert done.rollout is not None
    assert tuple(done.rollout.alarms) == ("latency",)
    assert bench.router.shares(KEY) == {old: 1.0}
    new = bench.fleet.log[1][1]
    assert bench.fleet.log == [("start", old), ("start", new), ("stop", new)]
    assert bench.told[-2:] == [("rolling_back", "rolling_back"), ("in_service", "rolling_back")]
    again = bench.update(revision("two"), policy(Strategy.ALL_AT_ONCE))
    assert (again.revision.name, again.failure_reason, len(bench.service.rollouts(API, NAME))) == ("two", "", 2)


def test_an_alarm_that_is_on_already_means_that_nothing_is_shifted(bench: Bench) -> None:
    bench.create()
    bench.in_alarm.add("errors")
    done = bench.update(revision("two"), CANARY)
    assert (done.phase, done.revision.name) == (EndpointPhase.IN_SERVICE, "one")
    assert all(len(table.deployments) <= 1 for table in bench.router.log)


def test_a_new_fleet_that_fails_is_taken_away(bench: Bench) -> None:
    bench.create()
    bench.fleet.failing["s3://models/two"] = "ImportError: no module named lightgbm"
    done = bench.update(revision("two", a=(1, 1), b=(1, 1)), policy(Strategy.ALL_AT_ONCE))
    assert (done.phase, done.revision.name, bench.running()) == (EndpointPhase.IN_SERVICE, "one", 1)
    assert "no module named lightgbm" in done.failure_reason


def test_the_timeout_rolls_back(bench: Bench) -> None:
    bench.create()
    bench.fleet.automatic = False
    bench.update(revision("two"), policy(Strategy.CANARY, 10, wait_seconds=60, timeout_seconds=600))
    bench.advance(599)
    assert bench.phase() is EndpointPhase.UPDATING
    done = bench.advance(1)
    assert (done.phase, done.revision.name, bench.running()) == (EndpointPhase.IN_SERVICE, "one", 1)
    assert "600 seconds" in done.failure_reason


def test_retained_weights_and_counts_are_those_of_now(bench: Bench) -> None:
    bench.create(revision("one", a=(1, 1), b=(1, 1)))
    bench.service.set_weights_and_capacities(API, NAME, {"a": (3.0, 2)})
    bench.settle()
    done = bench.update(revision("two", a=(1, 1), c=(1, 1)), policy(Strategy.ALL_AT_ONCE, retain_weights=True))
    assert [(one.name, one.desired_weight, one.desired_instances) for one in done.variants] == [
        ("a", 3.0, 2),
        ("c", 1, 1),
    ]


def test_a_rollback_that_fails_leaves_both_revisions_serving(bench: Bench) -> None:
    bench.create(revision("one", main=(1, 2)))
    bench.update(revision("two", main=(1, 2)), policy(Strategy.ROLLING, 50, wait_seconds=10, alarms=("errors",)))
    bench.advance(10)  # all of the traffic has gone over, one old worker is left
    bench.fleet.automatic = False
    bench.in_alarm.add("errors")
    assert bench.advance(10).phase is EndpointPhase.ROLLING_BACK
    stuck = bench.advance(601)
    assert (stuck.phase, newest(stuck)[0]) == (EndpointPhase.ROLLBACK_FAILED, RolloutPhase.ROLLBACK_FAILED)
    assert bench.shares() == [0.0, 1.0]
    bench.crash(automatic=True)
    assert bench.settle().phase is EndpointPhase.ROLLBACK_FAILED
    assert bench.shares() == [0.0, 1.0]
    done = bench.update(revision("three"), policy(Strategy.ALL_AT_ONCE))
    assert (done.phase, done.revision.name, bench.running()) == (EndpointPhase.IN_SERVICE, "three", 1)


def test_a_crash_in_a_bake_keeps_the_share_and_the_time_that_is_left(bench: Bench) -> None:
    bench.create()
    bench.update(revision("two"), CANARY)
    shares = bench.router.shares(KEY)
    bench.advance(40)
    bench.crash(automatic=False)
    bench.settle()
    assert bench.router.shares(KEY) == shares
    assert newest(bench.advance(30))[1:] == (RolloutStage.BAKING, 0.1)  # over, but the new fleet is not back
    bench.fleet.ready_all()
    assert newest(bench.settle())[1:] == (RolloutStage.BAKING, 1.0)
    bench.in_alarm.add("errors")
    bench.crash(automatic=True)
    back = bench.settle()
    assert (back.phase, back.revision.name) == (EndpointPhase.IN_SERVICE, "one")


@pytest.mark.parametrize(
    ("strategy", "step", "instances", "shares"),
    [
        (Strategy.ALL_AT_ONCE, Capacity(100), 5, (1.0,)),
        (Strategy.CANARY, Capacity(1, percent=False), 5, (0.2, 1.0)),
        (Strategy.LINEAR, Capacity(33), 1, (0.33, 0.66, 0.99, 1.0)),
        (Strategy.ROLLING, Capacity(1, percent=False), 3, (0.333333333, 0.666666667, 1.0)),
    ],
)
def test_shares(strategy: Strategy, step: Capacity, instances: int, shares: tuple[float, ...]) -> None:
    assert steps.forward(RolloutPolicy(strategy, step), instances) == shares
