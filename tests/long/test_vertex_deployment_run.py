"""The scenario vertex_deployment, whole; and its plan, which needs nothing."""

from __future__ import annotations

import pytest

from mlparity.errors import ConfigurationError
from mlparity.scenarios.plan import Place, text
from mlparity.scenarios.platform import Parts
from mlparity.testing.stack import RunningStack
from scenarios.vertex_deployment.plan import plan
from tests.scenarios.running import told


@pytest.mark.slow
def test_the_scenario_holds_and_leaves_nothing(stack: RunningStack) -> None:
    said = told(stack, "vertex_deployment")
    assert "unknown categories" in said
    assert "far from the training data: month 1.000\n" in said
    assert "rolling out        approved by ana" in said
    assert "none failed" in said
    assert "no endpoint, model, job, schedule or object is left" in said


def test_the_plan_says_what_runs_here_only() -> None:
    cloud = Place("gcp", False, "p", "us-central1", "", "b")
    assert "loop" not in text(plan(cloud, Parts(), []), cloud, "t").partition("It removes")[0]
    here = Place("embedded", True, "p", "us-central1", "", "b")
    assert "of the local control plane" in text(plan(here, Parts(), []), here, "t")
    with pytest.raises(ConfigurationError, match="--requests must be 100"):
        plan(cloud, Parts(), ["--requests", "5"])
