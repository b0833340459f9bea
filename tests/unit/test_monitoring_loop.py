"""The retraining loop on a clock of its own, against a vendor that does what it is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mlparity.errors import ConflictError, InvalidRequestError
from mlparity.monitoring.loop.actions import (
    Champion,
    Decision,
    LoopActionError,
    Outcome,
    RolloutState,
    Training,
    Verdict,
)
from mlparity.monitoring.loop.cycles import Cycle, CycleState
from mlparity.monitoring.loop.definition import LoopDefinition
from mlparity.monitoring.loop.gate import judge
from mlparity.monitoring.loop.repository import LoopRepository
from mlparity.monitoring.loop.service import LoopService
from mlparity.state import Database
from mlparity.testing import TestClock

ALARM = {
    "source": "aws.cloudwatch",
    "detail-type": "CloudWatch Alarm State Change",
    "resources": ["arn:aws:cloudwatch:us-east-1:123456789012:alarm:drift"],
    "detail": {"alarmName": "drift", "state": {"value": "ALARM", "reason": "1 datapoint was over 0"}},
}
DEFINITION = {
    "name": "flights",
    "endpoint": "flights-prod",
    "model_group": "flights",
    "trigger": {"alarm": "drift"},
    "retrain": {
        "pipeline": "train",
        "parameters": {"Champion": "{champion.model_data}", "Day": "{day}"},
        "cool_down_seconds": 7200,
        "daily_cap": 2,
        "dedupe_key": "{trigger}/{hour}",
        "dedupe_seconds": 3600,
    },
    "gate": {"metric": "mse.value", "threshold": 100.0, "champion_metric": "champion.mse"},
    "approval": {"timeout_seconds": 86400},
}

CHAMPION = Champion("package/1", "s3://bucket/champion.tar.gz")


@dataclass
class Vendor:
    """``LoopActions`` over plain values."""

    trainings: dict[str, Training] = field(default_factory=dict)
    reports: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    decisions: dict[str, Decision] = field(default_factory=dict)
    rollouts: dict[str, RolloutState] = field(default_factory=dict)
    parameters: dict[str, Mapping[str, str]] = field(default_factory=dict)
    serving: Champion = CHAMPION
    refusal: LoopActionError | None = None

    def check(self, definition: LoopDefinition) -> None:
        del definition

    def champion(self, endpoint: str) -> Champion:
        assert endpoint == "flights-prod"
        return self.serving

    def start_training(self, definition: LoopDefinition, token: str, parameters: Mapping[str, str]) -> str:
        del definition
        if self.refusal is not None:
            raise self.refusal
        self.trainings.setdefault(_cycle(token), Training(Outcome.RUNNING))
        self.parameters[_cycle(token)] = parameters
        return _cycle(token)

    def training(self, definition: LoopDefinition, execution: str) -> Training:
        del definition
        return self.trainings[execution]

    def report(self, package: str) -> Mapping[str, Any]:
        return self.reports.get(package, {})

    def decision(self, package: str) -> Decision:
        return self.decisions.get(package, Decision(Verdict.PENDING))

    def decide(self, package: str, verdict: Verdict, comment: str) -> None:
        self.decisions[package] = Decision(verdict, "loop", "now", comment)

    def start_rollout(self, definition: LoopDefinition, token: str, package: str) -> str:
        del definition, package
        self.rollouts.setdefault(_cycle(token), RolloutState(Outcome.RUNNING))
        return _cycle(token)

    def rollout(self, definition: LoopDefinition, rollout: str) -> RolloutState:
        del definition
        return self.rollouts[rollout]


def _cycle(token: str) -> str:
    """ "flights-1" of "flights-1-260101000000"."""
    return token.rpartition("-")[0]


class Stand:
    """A loop service on a database that survives it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = TestClock()
        self.vendor = Vendor()
        self.restart()
        self.service.put(LoopDefinition.read(DEFINITION))

    def restart(self) -> None:
        repository = LoopRepository(self.database, self.clock, "sagemaker")
        self.service = LoopService(repository, self.vendor, _alarm_of, self.clock, lambda: None)

    def run(self, **forward: float) -> Cycle:
        """Move the clock, and let the loop do what is due, with a restart after every look."""
        self.clock.advance(timedelta(**forward).total_seconds() or 1.5)
        for _ in range(4):
            due = self.service.next_due()
            if due is None or due > self.clock.now():
                break
            self.service.run_due()
            self.restart()
        return self.service.show("flights")[1][0]

    def trained(self, report: Mapping[str, Any]) -> None:
        self.vendor.trainings["flights-1"] = Training(Outcome.SUCCEEDED, "package/2")
        self.vendor.reports["package/2"] = report


def _alarm_of(pattern: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    return event["detail"].get("alarmName") in pattern["detail"]["alarmName"]


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    database = Database.open(tmp_path / "state.db")
    yield Stand(database)
    database.close()


GOOD = {"mse": {"value": 90.0}, "champion": {"mse": 95.0}}


def test_a_violation_goes_all_the_way_to_a_promotion(stand: Stand) -> None:
    stand.service.on_event(ALARM)
    assert stand.run().state is CycleState.RETRAINING
    day = stand.clock.now().strftime("%Y-%m-%d")
    assert stand.vendor.parameters["flights-1"] == {"Champion": "s3://bucket/champion.tar.gz", "Day": day}
    stand.trained(GOOD)
    assert stand.run().state is CycleState.AWAITING_APPROVAL
    assert stand.run(hours=3).state is CycleState.AWAITING_APPROVAL
    stand.vendor.decisions["package/2"] = Decision(Verdict.APPROVED, "arn:ana", "noon", "looks right")
    assert stand.run().state is CycleState.ROLLING_OUT
    stand.vendor.rollouts["flights-1"] = RolloutState(Outcome.SUCCEEDED)
    cycle = stand.run()
    assert cycle.state is CycleState.PROMOTED
    assert stand.service.next_due() is None
    assert cycle.facts["actor"] == "arn:ana"
    reasons = [item.reason for item in cycle.history]
    assert reasons[0] == "triggered by alarm drift: 1 datapoint was over 0"
    assert any("beats the champion 95 (on the same data, champion.mse)" in reason for reason in reasons)
    assert any(reason == "approved by arn:ana at noon: looks right" for reason in reasons)


def test_nothing_is_retrained_twice_for_one_violation_nor_too_often(stand: Stand) -> None:
    def why() -> str:
        return stand.service.show("flights")[1][0].history[0].reason

    stand.service.on_event(ALARM)
    stand.service.on_event(ALARM)
    assert why() == "cycle 1 is under way (retraining)"
    stand.run()
    stand.vendor.trainings["flights-1"] = Training(Outcome.SUCCEEDED)
    assert stand.run().state is CycleState.SUPPRESSED  # the newest; the first was rejected by the pipeline's own gate
    assert stand.service.repository.cycle("flights", 1).state is CycleState.REJECTED
    stand.service.on_event(ALARM)
    assert why() == "cycle 1 was started for the same key 'drift/2026-01-01T00'"
    stand.run(seconds=3700)
    stand.service.on_event(ALARM)
    assert why().startswith("cool-down until 2026-01-01 02:00:00 UTC")
    stand.run(seconds=3600)
    stand.service.on_event(ALARM)
    assert why().startswith("triggered by alarm")
    stand.run()
    stand.vendor.trainings["flights-5"] = Training(Outcome.FAILED, reason="no data")
    stand.run()
    assert stand.service.show("flights")[1][0].history[-1].reason == "the retraining failed: no data"
    stand.run(hours=3)
    stand.service.on_event(ALARM)
    assert why() == "daily cap: 2 of 2 retrainings were started today"
    stand.run(hours=24)
    stand.service.repository.pause("flights", paused=True)
    stand.service.on_event(ALARM)
    assert why() == "the loop is paused"


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        ({"mse": {"value": 120.0}, "champion": {"mse": 130.0}}, "misses the threshold, at most 100"),
        ({"mse": {"value": 90.0}, "champion": {"mse": 80.0}}, "does not beat the champion 80"),
        ({"mse": {"value": 90.0}}, "no report says what the champion's is"),
        ({"mse": {"value": float("nan")}}, "no finite number at mse.value"),
        ({}, "no finite number at mse.value"),
    ],
)
def test_a_model_that_does_not_pass_the_gate_is_rejected_with_the_reason(
    stand: Stand, report: Mapping[str, Any], reason: str
) -> None:
    stand.service.on_event(ALARM)
    stand.run()
    stand.trained(report)
    cycle = stand.run()
    assert cycle.state is CycleState.REJECTED
    assert reason in cycle.history[-1].reason
    assert stand.vendor.decisions["package/2"].verdict is Verdict.REJECTED
    assert reason in stand.vendor.decisions["package/2"].comment


@pytest.mark.parametrize(
    ("decision", "state", "reason"),
    [
        (Decision(Verdict.REJECTED, "arn:ana", "noon", "odd in May"), CycleState.DECLINED, "odd in May"),
        (Decision(Verdict.APPROVED, "arn:role", "noon", own=True), CycleState.DECLINED, "does not count"),
        (None, CycleState.DECLINED, "nobody has approved in time"),
    ],
)
def test_only_somebody_else_can_approve_and_not_for_ever(
    stand: Stand, decision: Decision | None, state: CycleState, reason: str
) -> None:
    stand.service.on_event(ALARM)
    stand.run()
    stand.trained(GOOD)
    stand.run()
    if decision is not None:
        stand.vendor.decisions["package/2"] = decision
    cycle = stand.run(days=2)
    assert cycle.state is state
    assert reason in cycle.history[-1].reason
    assert not stand.vendor.rollouts


def test_a_rollout_that_goes_back_is_told_with_its_reason(stand: Stand) -> None:
    stand.service.put(LoopDefinition.read({**DEFINITION, "approval": {"mode": "automatic"}}))
    stand.service.on_event(ALARM)
    stand.run()
    stand.trained(GOOD)
    assert stand.run().state is CycleState.ROLLING_OUT
    stand.vendor.rollouts["flights-1"] = RolloutState(Outcome.UNDONE, "alarm errors-high")
    cycle = stand.run()
    assert (cycle.state, cycle.history[-1].reason) == (
        CycleState.ROLLED_BACK,
        "the endpoint went back: alarm errors-high",
    )


def test_what_the_vendor_refuses_for_a_while_is_tried_again_and_what_it_refuses_for_good_ends_the_cycle(
    stand: Stand,
) -> None:
    stand.vendor.refusal = LoopActionError("StartPipelineExecution was refused", "throttled", transient=True)
    stand.service.on_event(ALARM)
    assert stand.run().facts["failures"] == 1
    assert stand.run(seconds=6).facts["failures"] == 2
    stand.vendor.refusal = for_good(stand.vendor.refusal)
    cycle = stand.run(seconds=6)
    assert cycle.state is CycleState.FAILED
    assert "no such pipeline" in cycle.history[-1].reason


def for_good(error: LoopActionError) -> LoopActionError:
    return LoopActionError(error.what, "no such pipeline")


def test_by_hand_the_same_rules_hold_and_a_loop_under_way_is_not_deleted(stand: Stand) -> None:
    assert stand.service.trigger("flights", "new data").trigger == "by hand: new data"
    assert stand.service.trigger("flights", "again").state is CycleState.SUPPRESSED
    with pytest.raises(ConflictError, match="a cycle is under way"):
        stand.service.repository.delete("flights")
    assert stand.service.stop("flights", "enough").history[-1].reason == "by hand: enough"
    with pytest.raises(ConflictError, match="no cycle is under way"):
        stand.service.stop("flights", "again")
    assert stand.service.governs("flights")
    assert not stand.service.governs("others")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"trigger": {}}, "trigger: Value error, give one of alarm, monitoring_job and pattern"),
        ({"gate": {"metric": "mse"}}, "gate.threshold: Field required"),
        ({"surprise": 1}, "surprise: Extra inputs are not permitted"),
        (
            {"retrain": {"pipeline": "p", "parameters": {"A": "{weather}"}}},
            "retrain: Value error, {weather} is not known",
        ),
    ],
)
def test_a_wrong_definition_is_refused_by_the_member_that_is_wrong(change: Mapping[str, Any], where: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        LoopDefinition.read({**DEFINITION, **change})
    assert refused.value.why.startswith(where)


def test_the_gate_wants_a_margin_and_knows_metrics_that_are_better_when_higher() -> None:
    gate = LoopDefinition.read(DEFINITION).gate.model_copy(
        update={"metric": "auc", "better": "higher", "threshold": 0.7, "champion_metric": "", "margin": 0.01}
    )
    assert not judge(gate, {"auc": 0.80}, {"auc": 0.795}).passed
    assert judge(gate, {"auc": 0.81}, {"auc": 0.80}).passed
    assert not judge(gate, {"auc": 0.69}, None).passed
    assert judge(gate, {"auc": 0.71}, None).passed


def test_a_cycle_that_has_ended_stays_as_it_is(stand: Stand) -> None:
    stand.service.on_event(ALARM)
    cycle = stand.service.show("flights")[1][0]
    ended = stand.service.repository.move(cycle, CycleState.FAILED, "first", {}, None)
    again = stand.service.repository.move(replace(ended), CycleState.PROMOTED, "second", {}, None)
    assert again.state is CycleState.FAILED
