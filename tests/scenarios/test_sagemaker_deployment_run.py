"""The scenario itself, on a stack of its own: it checks every result, and the first that does not hold ends it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlparity.testing.stack import RunningStack

FOLDER = Path(__file__).parents[2] / "scenarios" / "sagemaker_deployment"


@pytest.mark.sdk
@pytest.mark.slow
def test_the_scenario_holds_and_leaves_nothing(stack: RunningStack) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlparity.scenarios.runner", str(FOLDER)],
        env={**os.environ, **stack.environment()},
        capture_output=True,
        text=True,
        check=False,
        timeout=480,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything was checked and held" in done.stdout
    assert "the following alarms are in ALARM state: flights-delay-prod-errors" in done.stdout
    assert "rolling out        approved by" in done.stdout
    sagemaker = stack.client("sagemaker")
    assert sagemaker.list_endpoints()["Endpoints"] == []
    assert sagemaker.list_monitoring_schedules()["MonitoringScheduleSummaries"] == []
