"""Parts are killed in the bake of a canary, and models change under load: shares stay, and nobody's request is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy.stats import binomtest

from mlparity.testing import faults
from mlparity.testing.stack import running_stack
from tests.crash.hosted import Hosted, until
from tests.crash.invariants import processes_of

REQUESTS = 300
UNLIKELY = 1e-6
CANARY = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {
            "Type": "CANARY",
            "WaitIntervalInSeconds": 3600,
            "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 30},
        }
    },
    "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "bad"}]},
}
ROLLING = {
    "RollingUpdatePolicy": {
        "MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 50},
        "WaitIntervalInSeconds": 1,
    }
}


def canary_has_its_share(hosted: Hosted) -> None:
    seen = hosted.shares(REQUESTS)
    assert set(seen) == {"old", "new"}, seen
    assert binomtest(seen["new"], REQUESTS, 0.3).pvalue > UNLIKELY, seen


@pytest.mark.slow
def test_a_canary_keeps_its_share_whatever_is_killed_and_goes_back_at_the_alarm(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_stack(data, mlflow=False) as stack:
        hosted = Hosted(stack)
        hosted.create(hosted.config("old", ("old", 1.0)))
        cloudwatch = stack.client("cloudwatch")
        cloudwatch.put_metric_alarm(
            AlarmName="bad", Namespace="n", MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1,
            Threshold=1, ComparisonOperator="GreaterThanThreshold", TreatMissingData="ignore",
        )  # fmt: skip
        hosted.update(hosted.config("new", ("new", 1.0)), **CANARY)
        until(lambda: hosted.shares(20)["new"])
        canary_has_its_share(hosted)

        assert faults.kill(stack, faults.Part.CONTROL_PLANE) is not None
        faults.bring_up(stack)
        assert hosted.described()["EndpointStatus"] == "Updating"
        canary_has_its_share(hosted)

        plane = faults.find(stack, faults.Part.CONTROL_PLANE)
        assert plane is not None
        router = next(one for one in plane.children() if "mlparity.stack.serve_router" in one.cmdline())
        router.kill()
        router.wait(30)
        until(lambda: hosted.shares(20)["new"])
        canary_has_its_share(hosted)

        runtime = stack.client("sagemaker-runtime")
        until(lambda: hosted.ask(runtime, "die") == "new")
        runtime.close()
        canary_has_its_share(hosted)

        cloudwatch.set_alarm_state(AlarmName="bad", StateValue="ALARM", StateReason="a test")
        after = hosted.settled()
        assert after["EndpointConfigName"] == "old"
        assert "bad" in after["FailureReason"]
        assert set(hosted.shares(50)) == {"old"}
        hosted.sagemaker.delete_endpoint(EndpointName="e")
        until(lambda: not hosted.sagemaker.list_endpoints()["Endpoints"])
    assert processes_of(data) == {}


@pytest.mark.slow
def test_no_request_fails_while_models_change_and_workers_die(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_stack(data, mlflow=False) as stack:
        hosted = Hosted(stack)
        hosted.create(hosted.config("first", ("a", 0.7), ("b", 0.3), count=2))
        seen = hosted.shares(REQUESTS)
        assert binomtest(seen["b"], REQUESTS, 0.3).pvalue > UNLIKELY, seen
        with hosted.load() as answers:
            until(lambda: answers["a"] and answers["b"])
            hosted.update(hosted.config("second", ("c", 1.0), count=2))  # all at once
            assert hosted.settled()["EndpointConfigName"] == "second"
            until(lambda: answers["c"])
            hosted.update(hosted.config("third", ("d", 1.0), count=2), **ROLLING)
            assert hosted.settled()["EndpointConfigName"] == "third"
            before = answers["d"]
            runtime = stack.client("sagemaker-runtime")
            hosted.ask(runtime, "die")
            runtime.close()
            until(lambda: answers["d"] > before + 300)
        assert set(answers) == {"a", "b", "c", "d"}, answers
        assert set(hosted.shares(50)) == {"d"}
    with running_stack(data, mlflow=False) as stack:  # another port: the endpoint is the data folder's
        again = Hosted(stack)
        assert set(again.shares(50)) == {"d"}
    assert processes_of(data) == {}
