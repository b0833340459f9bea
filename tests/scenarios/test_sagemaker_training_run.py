"""The scenario itself, on a stack of its own: it checks every result, and the first that does not hold ends it."""

from __future__ import annotations

import pytest

from mlparity.testing.stack import RunningStack
from tests.scenarios.running import told


@pytest.mark.sdk
@pytest.mark.slow
def test_the_scenario_holds(stack: RunningStack) -> None:
    told(stack, "sagemaker_training")
    sagemaker = stack.client("sagemaker")
    (package,) = sagemaker.list_model_packages(ModelPackageGroupName="flights-arrival-delay")["ModelPackageSummaryList"]
    assert package["ModelApprovalStatus"] == "Approved"
    executions = sagemaker.list_pipeline_executions(PipelineName="flights-arrival-delay")["PipelineExecutionSummaries"]
    assert sorted(each["PipelineExecutionStatus"] for each in executions) == ["Failed", "Succeeded"]
