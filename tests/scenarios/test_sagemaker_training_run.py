"""The scenario itself, on a stack of its own: it checks every result, and the first that does not hold ends it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlparity.testing.stack import RunningStack

FOLDER = Path(__file__).parents[2] / "scenarios" / "sagemaker_training"


@pytest.mark.sdk
@pytest.mark.slow
def test_the_scenario_holds(stack: RunningStack) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlparity.scenarios.runner", str(FOLDER)],
        env={**os.environ, **stack.environment()},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything was checked and held" in done.stdout
    sagemaker = stack.client("sagemaker")
    (package,) = sagemaker.list_model_packages(ModelPackageGroupName="flights-arrival-delay")["ModelPackageSummaryList"]
    assert package["ModelApprovalStatus"] == "Approved"
    executions = sagemaker.list_pipeline_executions(PipelineName="flights-arrival-delay")["PipelineExecutionSummaries"]
    assert sorted(each["PipelineExecutionStatus"] for each in executions) == ["Failed", "Succeeded"]
