"""The scenario vertex_training, whole, on a small sample."""

from __future__ import annotations

import pytest

from mlparity.errors import ConfigurationError
from mlparity.testing.stack import RunningStack
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
