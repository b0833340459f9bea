"""The scenario vertex_training, whole, on a small sample."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest

from mlparity.errors import ConfigurationError, ScenarioError
from mlparity.scenarios import Platform
from mlparity.testing.stack import RunningStack
from scenarios.vertex_training.checks import check_rejected
from scenarios.vertex_training.runs import Ended
from scenarios.vertex_training.settings import case_of
from tests.scenarios.running import told


@pytest.mark.slow
def test_it_runs_and_everything_holds(stack: RunningStack) -> None:
    said = told(stack, "vertex_training", "--sample", "20")
    assert "beats no champion yet" in said
    assert "version 2: ROC AUC" in said
    assert "does not beat version 2" in said
    assert "is below 0.9500" in said
    assert "registered <- " in said


@pytest.mark.parametrize("wrong", [["--sample", "101"], ["--seed", "x"], ["extra"]])
def test_wrong_arguments_are_refused(wrong: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="vertex_training"):
        case_of(wrong)


State = Enum("State", ["PIPELINE_STATE_SUCCEEDED", "SUCCEEDED", "SKIPPED", "NOT_TRIGGERED", "FAILED"])
Task = tuple[State, Mapping[str, Any]]
REJECTED: Mapping[str, Task] = {"reject": (State.SUCCEEDED, {"reason": "0.7 is below 0.9"})}


def checked(tasks: Mapping[str, Task]) -> dict[str, Any]:
    details = [
        SimpleNamespace(
            task_name=name,
            state=state,
            outputs={"record": SimpleNamespace(artifacts=[SimpleNamespace(metadata=metadata)])},
        )
        for name, (state, metadata) in tasks.items()
    ]
    job = SimpleNamespace(state=State.PIPELINE_STATE_SUCCEEDED, task_details=details)
    return check_rejected(object.__new__(Platform), Ended(job, 1.0, ""))  # of which only ``check`` is used


def test_the_record_of_a_rejection_may_come_from_the_cache() -> None:
    """A second run of the scenario in a stack: the same model, parameters and verdict, so the same record."""
    record = REJECTED["reject"][1]
    assert checked(REJECTED) == record
    assert checked({"reject": (State.SKIPPED, record)}) == record
    for state in (State.NOT_TRIGGERED, State.FAILED):
        with pytest.raises(ScenarioError, match="no record of the rejection"):
            checked({"reject": (state, record)})
    with pytest.raises(ScenarioError, match="it was registered"):
        checked({**REJECTED, "register": (State.SUCCEEDED, {})})
    with pytest.raises(ScenarioError, match="names no reason"):
        checked({"reject": (State.SKIPPED, {"reason": ""})})
