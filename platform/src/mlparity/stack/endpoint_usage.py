"""What the workers of endpoints use: CPUUtilization and MemoryUtilization, each minute.

https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from mlparity.apis.aws.metrics import ServiceMetric
from mlparity.clock import Clock
from mlparity.serving.endpoints.endpoints import Endpoint
from mlparity.serving.fleet.usage import WorkerUsage

_NAMESPACE = "/aws/sagemaker/Endpoints"
_EVERY = timedelta(minutes=1)
_PERCENT = 100.0


class EndpointUsage:
    """Timed work. ``usage`` is ``ProcessFleet.usage``: of the workers of one deployment."""

    def __init__(
        self,
        endpoints: Callable[[], Iterable[Endpoint]],
        usage: Callable[[str], Sequence[WorkerUsage]],
        publish: Callable[[Sequence[ServiceMetric]], None],
        clock: Clock,
    ) -> None:
        self._endpoints = endpoints
        self._usage = usage
        self._publish = publish
        self._clock = clock
        self._at = clock.now()
        self._seconds: dict[str, float] = {}  # instance -> processor seconds when it was last looked at

    def next_due(self) -> datetime | None:
        """See ``TimedWork``."""
        return self._at + _EVERY

    def run_due(self) -> None:
        """See ``TimedWork``."""
        now = self._clock.now()
        elapsed, self._at = (now - self._at) / timedelta(seconds=1), now
        seen: dict[str, float] = {}
        found: list[ServiceMetric] = []
        for endpoint in self._endpoints():
            for variant in endpoint.variants:
                workers = self._usage(variant.deployment)
                seen |= {one.instance: one.cpu_seconds for one in workers}
                dimensions = {"EndpointName": endpoint.name, "VariantName": variant.name}
                found += self._of_variant(workers, dimensions, elapsed, now)
        self._seconds = seen
        self._publish(found)

    def _of_variant(
        self, workers: Sequence[WorkerUsage], dimensions: dict[str, str], elapsed: float, now: datetime
    ) -> Iterable[ServiceMetric]:
        cpu = [
            ((one.cpu_seconds - self._seconds[one.instance]) / elapsed * _PERCENT, 1.0)
            for one in workers
            if one.instance in self._seconds and elapsed > 0
        ]
        memory = [(one.memory_bytes / one.machine_bytes * _PERCENT, 1.0) for one in workers]
        for name, samples in (("CPUUtilization", cpu), ("MemoryUtilization", memory)):
            if samples:
                yield ServiceMetric(_NAMESPACE, name, dimensions, 0.0, "Percent", now, samples)
