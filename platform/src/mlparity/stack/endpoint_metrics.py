"""What the router and the fleet measure of SageMaker's endpoints, in CloudWatch and for Prometheus.

https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mlparity.apis.aws.metrics import ServiceMetric
from mlparity.apis.sagemaker.context import API
from mlparity.clock import Clock
from mlparity.serving.routing.measuring import VariantMetrics

NAMESPACE = "AWS/SageMaker"
_EVERY = timedelta(seconds=5)
_MICROSECONDS = "Microseconds"
_MOST_VALUES = 150  # of one datum, as PutMetricData has it
Publish = Callable[[Sequence[ServiceMetric]], None]
Key = tuple[str, str]  # endpoint (without its API), variant


@dataclass
class _Counts:
    """One variant's requests since the last time that they were published."""

    invocations: int = 0
    errors_4xx: int = 0
    errors_5xx: int = 0
    model_latency: Counter[int] = field(default_factory=Counter)
    overhead_latency: Counter[int] = field(default_factory=Counter)


class EndpointMetrics:
    """A listener of the router, and timed work: publishes what it has heard every five seconds.

    ``instances`` gives how many instances of a variant answer now; 0 where there is no such variant any more.
    """

    def __init__(
        self, publish: Publish, instances: Callable[[str, str], int], clock: Clock, wake: Callable[[], None]
    ) -> None:
        self._publish = publish
        self._instances = instances
        self._clock = clock
        self._wake = wake
        self._lock = threading.Lock()
        self._counts: dict[Key, _Counts] = {}
        self._due: datetime | None = None

    def report(self, metrics: Sequence[VariantMetrics]) -> None:
        """See ``RouterProcess.listen``."""
        with self._lock:
            for one in metrics:
                api, _, endpoint = one.endpoint.partition("/")
                if api == API and one.invocations:
                    _add(self._counts.setdefault((endpoint, one.variant), _Counts()), one)
            woken = self._due is None and bool(self._counts)
            if woken:
                self._due = self._clock.now() + _EVERY
        if woken:
            self._wake()

    def next_due(self) -> datetime | None:
        """See ``TimedWork``."""
        return self._due

    def run_due(self) -> None:
        """See ``TimedWork``."""
        with self._lock:
            counts, self._counts, self._due = self._counts, {}, None
        now = self._clock.now()
        self._publish([each for key, one in counts.items() for each in self._metrics(key, one, now)])

    def _metrics(self, key: Key, counts: _Counts, now: datetime) -> Iterator[ServiceMetric]:
        dimensions = dict(zip(("EndpointName", "VariantName"), key, strict=True))
        total = float(counts.invocations)
        instances = max(self._instances(*key), 1)

        def metric(name: str, unit: str, samples: Sequence[tuple[float, float]]) -> ServiceMetric:
            known = [(value, count) for value, count in samples if count > 0]
            return ServiceMetric(NAMESPACE, name, dimensions, 0.0, unit, now, known)

        yield metric("Invocations", "None", [(1.0, total)])
        yield metric("InvocationsPerInstance", "None", [(1.0 / instances, total)])
        for name, errors in (
            ("Invocation4XXErrors", counts.errors_4xx),
            ("Invocation5XXErrors", counts.errors_5xx),
            ("InvocationModelErrors", counts.errors_4xx + counts.errors_5xx),
        ):
            # One for each error and nothing for each success: their average is the rate.
            yield metric(name, "None", [(1.0, float(errors)), (0.0, total - errors)])
        yield metric("ModelLatency", _MICROSECONDS, _samples(counts.model_latency))
        yield metric("OverheadLatency", _MICROSECONDS, _samples(counts.overhead_latency))


def _add(counts: _Counts, one: VariantMetrics) -> None:
    counts.invocations += one.invocations
    counts.errors_4xx += one.errors_4xx
    counts.errors_5xx += one.errors_5xx
    counts.model_latency.update(dict(one.model_latency))
    counts.overhead_latency.update(dict(one.overhead_latency))


def _samples(histogram: Counter[int]) -> list[tuple[float, float]]:
    """As values with counts. Of many, those that agree in their first two digits become their average."""
    if len(histogram) <= _MOST_VALUES:
        return [(float(value), float(count)) for value, count in sorted(histogram.items())]
    totals: dict[int, tuple[float, float]] = {}
    for value, count in sorted(histogram.items()):
        scale = 10 ** max(len(str(value)) - 2, 0)
        total, counted = totals.get(value // scale * scale, (0.0, 0.0))
        totals[value // scale * scale] = (total + value * count, counted + count)
    return [(total / count, count) for total, count in totals.values()]
