"""Requests that the router counts make an endpoint grow and shrink: metrics, policy, capacity and fleet, on a clock."""

from __future__ import annotations

from pathlib import Path

from mlparity.apis.aws.application_autoscaling_store import AutoscalingStore
from mlparity.apis.aws.application_autoscaling_work import AutoscalingWork
from mlparity.apis.aws.metrics import MetricsService
from mlparity.apis.aws.metrics_store import MetricStore
from mlparity.ids import SeededIds
from mlparity.serving.routing.measuring import VariantMetrics
from mlparity.stack.endpoint_capacities import EndpointCapacities
from mlparity.stack.endpoint_metrics import EndpointMetrics
from tests.unit.sagemaker_endpoint_bench import REGION, Bench

RESOURCE = "endpoint/one/variant/AllTraffic"
TRACKING = {
    "TargetValue": 60.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    "ScaleInCooldown": 0,
    "ScaleOutCooldown": 0,
}


def test_an_endpoint_grows_with_its_requests_and_shrinks_without(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.endpoint("one")
    stored = MetricStore(bench.database)
    metrics = EndpointMetrics(
        MetricsService(stored, bench.clock, REGION).publish,
        lambda endpoint, _variant: bench.describe(endpoint)["ProductionVariants"][0]["CurrentInstanceCount"],
        bench.clock,
        lambda: None,
    )
    capacities = EndpointCapacities(lambda: bench.service)
    store = AutoscalingStore(bench.database, bench.clock)
    suspended = dict.fromkeys(("DynamicScalingInSuspended", "DynamicScalingOutSuspended"), False)
    limits = {"Id": "t", "MinCapacity": 1, "MaxCapacity": 5, "RoleARN": "r", "SuspendedState": suspended}
    store.put_target(REGION, RESOURCE, limits)
    body = {"Id": "p", "AlarmHigh": "h", "AlarmLow": "l", "TargetTrackingScalingPolicyConfiguration": TRACKING}
    store.put_policy(REGION, RESOURCE, "policy", body)
    work = AutoscalingWork(store, stored, capacities, bench.clock, SeededIds(1))

    def minute(requests: int) -> int:
        metrics.report([VariantMetrics("sagemaker/one", "AllTraffic", requests, 0, 0, ((1, requests),), (), 0, 0)])
        bench.clock.advance(5)
        metrics.run_due()
        bench.clock.advance(55)
        work.run_due()
        bench.service.settle()
        return int(bench.describe("one")["ProductionVariants"][0]["CurrentInstanceCount"])

    assert [minute(170) for _ in range(3)] == [1, 1, 3]  # 170 a minute at 60 an instance
    assert minute(170) == 3
    assert [minute(30) for _ in range(15)][-2:] == [3, 1]  # the busy minute has to pass out of sight first
    assert capacities.capacity("one", "other") is None
    assert capacities.capacity("other", "AllTraffic") is None
    bench.call("DeleteEndpoint", EndpointName="one")
    work.run_due()  # a target whose endpoint has just gone is left alone
    bench.close()
