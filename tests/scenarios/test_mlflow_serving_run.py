"""The scenario itself, on a stack of its own: it checks every result, and the first that does not hold ends it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mlparity.testing.stack import RunningStack

FOLDER = Path(__file__).parents[2] / "scenarios" / "mlflow_serving"


def run(stack: RunningStack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mlparity.scenarios.runner", str(FOLDER), *arguments],
        env={**os.environ, **stack.environment()},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.sdk
@pytest.mark.slow
def test_the_scenario_holds_and_leaves_nothing(stack: RunningStack) -> None:
    done = run(stack)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything was checked and held" in done.stdout
    moves = re.findall(r"^  version 1 → 2 in .* 0 failed$|^  version 2 → 1 in .* 0 failed$", done.stdout, re.MULTILINE)
    assert len(moves) == 2
    assert "missing inputs ['carrier']" in done.stdout
    assert "no Invocations for" in done.stdout
    assert "ttl-until" in done.stdout
    sagemaker = stack.client("sagemaker")
    made = sagemaker.list_endpoints(NameContains="mlflow-serving")["Endpoints"]
    assert made + sagemaker.list_models(NameContains="mlflow-serving")["Models"] == []
