"""What the router counts, as CloudWatch's metrics of an endpoint and on the Prometheus page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mlparity.apis.aws.metrics import MetricsService, ServiceMetric
from mlparity.apis.aws.metrics_store import MetricStore
from mlparity.serving.endpoints.endpoints import Endpoint
from mlparity.serving.fleet.usage import WorkerUsage
from mlparity.serving.routing.measuring import VariantMetrics
from mlparity.stack.endpoint_metrics import EndpointMetrics
from mlparity.stack.endpoint_usage import EndpointUsage
from mlparity.stack.prometheus import EndpointPage
from mlparity.state import Database
from mlparity.testing import TestClock
from tests.unit.sagemaker_endpoint_bench import Bench

REPORT = VariantMetrics("sagemaker/e", "A", 10, 2, 1, ((1000, 6), (30000, 4)), ((200, 10),), 100, 50, 3)


def test_metrics_are_cloudwatchs_own(tmp_path: Path) -> None:
    clock = TestClock()
    database = Database.open(tmp_path / "state.db")
    service = MetricsService(MetricStore(database), clock, "us-east-1")
    woken: list[bool] = []
    metrics = EndpointMetrics(service.publish, lambda _endpoint, _variant: 2, clock, lambda: woken.append(True))
    assert metrics.next_due() is None
    metrics.report([REPORT])
    metrics.report([REPORT, VariantMetrics("vertex/e", "A", 1, 0, 0, (), (), 0, 0)])
    assert woken == [True]
    assert metrics.next_due() == clock.now().replace(second=5)
    clock.advance(5)
    metrics.run_due()
    assert metrics.next_due() is None
    names = {each["MetricName"] for each in service.handle("ListMetrics", {}, "us-east-1")["Metrics"]}  # type: ignore[index]
    assert names == {
        "Invocations", "InvocationsPerInstance", "Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors",
        "ModelLatency", "OverheadLatency",
    }  # fmt: skip

    def statistic(name: str, which: str) -> float:
        dimensions = [{"Name": "EndpointName", "Value": "e"}, {"Name": "VariantName", "Value": "A"}]
        found = service.handle(
            "GetMetricStatistics",
            {
                "Namespace": "AWS/SageMaker", "MetricName": name, "Dimensions": dimensions, "Period": 60,
                "Statistics": [which], "StartTime": clock.now().replace(second=0), "EndTime": clock.now().replace(
                    second=59),
            },
            "us-east-1",
        )  # fmt: skip
        assert found is not None
        return float(found["Datapoints"][0][which])

    assert statistic("Invocations", "Sum") == 20
    assert statistic("InvocationsPerInstance", "Sum") == 10
    assert statistic("Invocation4XXErrors", "Average") == 0.2
    assert statistic("Invocation5XXErrors", "Sum") == 2
    assert statistic("InvocationModelErrors", "Sum") == 6
    assert statistic("ModelLatency", "Maximum") == 30000
    assert statistic("ModelLatency", "SampleCount") == 20
    database.close()


def test_many_latencies_become_few_values_of_the_same_sum() -> None:
    clock = TestClock()
    published: list[ServiceMetric] = []
    metrics = EndpointMetrics(published.extend, lambda _endpoint, _variant: 1, clock, lambda: None)
    latencies = tuple((micros, 2) for micros in range(1000, 100_000, 7))
    count = 2 * len(latencies)
    metrics.report([VariantMetrics("sagemaker/e", "A", count, 0, 0, latencies, ((5, count),), 0, 0)])
    metrics.run_due()
    (found,) = [one for one in published if one.name == "ModelLatency"]
    assert len(found.samples) <= 180
    assert sum(times for _, times in found.samples) == count
    assert sum(value * times for value, times in found.samples) == pytest.approx(
        sum(2 * value for value, _ in latencies)
    )


def test_usage_is_the_growth_since_the_minute_before(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.endpoint("one")
    published: list[ServiceMetric] = []
    seconds = iter((10.0, 40.0))

    def usage(_deployment: str) -> Sequence[WorkerUsage]:
        return [WorkerUsage("i-1", next(seconds), 25, 100)]

    def endpoints() -> list[Endpoint]:
        return [bench.service.get("sagemaker", "one")]

    work = EndpointUsage(endpoints, usage, published.extend, bench.clock)
    for _ in range(2):
        bench.clock.advance(60)
        work.run_due()
    assert [(each.name, each.samples[0][0]) for each in published] == [
        ("MemoryUtilization", 25.0),
        ("CPUUtilization", 50.0),
        ("MemoryUtilization", 25.0),
    ]
    assert published[0].dimensions == {"EndpointName": "one", "VariantName": "AllTraffic"}
    bench.close()


def test_the_page_for_prometheus() -> None:
    page = EndpointPage()
    page.report([REPORT])
    page.report([REPORT])
    lines = page.text().splitlines()
    labels = 'endpoint="sagemaker/e",variant="A"'
    assert f'mlparity_endpoint_requests_total{{{labels},code="2xx"}} 14' in lines
    assert f'mlparity_endpoint_requests_total{{{labels},code="4xx"}} 4' in lines
    assert f"mlparity_endpoint_shadow_dropped_total{{{labels}}} 6" in lines
    assert f'mlparity_endpoint_model_latency_seconds_bucket{{{labels},le="0.001"}} 12' in lines
    assert f'mlparity_endpoint_model_latency_seconds_bucket{{{labels},le="0.05"}} 20' in lines
    assert f"mlparity_endpoint_model_latency_seconds_count{{{labels}}} 20" in lines
    assert sum(line.startswith("# TYPE") for line in lines) == 6
