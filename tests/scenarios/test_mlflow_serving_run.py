"""The scenario itself, on a stack of its own: it checks every result, and the first that does not hold ends it."""

from __future__ import annotations

import re

import pytest

from mlparity.testing.stack import RunningStack
from tests.scenarios.running import told


@pytest.mark.sdk
@pytest.mark.slow
def test_the_scenario_holds_and_leaves_nothing(stack: RunningStack) -> None:
    said = told(stack, "mlflow_serving")
    moves = re.findall(r"^  version 1 → 2 in .* 0 failed$|^  version 2 → 1 in .* 0 failed$", said, re.MULTILINE)
    assert len(moves) == 2
    assert "missing inputs ['carrier']" in said
    assert "no Invocations for" in said
    assert "ttl-until" in said
    sagemaker = stack.client("sagemaker")
    made = sagemaker.list_endpoints(NameContains="mlflow-serving")["Endpoints"]
    assert made + sagemaker.list_models(NameContains="mlflow-serving")["Models"] == []
