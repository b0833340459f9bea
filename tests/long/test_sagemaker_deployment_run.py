"""The scenario itself, on a stack of its own: it checks every result, and the first that does not hold ends it."""

from __future__ import annotations

import pytest

from mlparity.testing.stack import RunningStack
from tests.scenarios.running import told


@pytest.mark.sdk
@pytest.mark.slow
def test_the_scenario_holds_and_leaves_nothing(stack: RunningStack) -> None:
    said = told(stack, "sagemaker_deployment")
    assert "the following alarms are in ALARM state: flights-delay-prod-errors" in said
    assert "rolling out        approved by" in said
    sagemaker = stack.client("sagemaker")
    assert sagemaker.list_endpoints()["Endpoints"] == []
    assert sagemaker.list_monitoring_schedules()["MonitoringScheduleSummaries"] == []
