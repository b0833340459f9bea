"""The metrics of asynchronous endpoints, each minute: their backlog, and what was done.

https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-monitor.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from mlparity.apis.aws.metrics import ServiceMetric
from mlparity.apis.sagemaker.async_inference import AsyncEndpoint, AsyncInference
from mlparity.clock import Clock
from mlparity.stack.endpoint_metrics import NAMESPACE

_EVERY = timedelta(minutes=1)
_MILLISECONDS = 1000.0


class AsyncMetrics:
    """Timed work. ``endpoints`` gives all asynchronous endpoints by name."""

    def __init__(
        self,
        inference: AsyncInference,
        endpoints: Callable[[], Mapping[str, AsyncEndpoint]],
        publish: Callable[[Sequence[ServiceMetric]], None],
        clock: Clock,
    ) -> None:
        self._inference = inference
        self._endpoints = endpoints
        self._publish = publish
        self._clock = clock
        self._at = clock.now()

    def next_due(self) -> datetime | None:
        """See ``TimedWork``."""
        return self._at + _EVERY

    def run_due(self) -> None:
        """See ``TimedWork``."""
        self._at = now = self._clock.now()
        found = self._endpoints()
        self._publish([metric for name, one in found.items() for metric in self._of(name, one, now)])

    def _of(self, name: str, endpoint: AsyncEndpoint, now: datetime) -> Iterator[ServiceMetric]:
        dimensions = {"EndpointName": name}

        def metric(what: str, values: Sequence[float], unit: str = "None") -> Iterator[ServiceMetric]:
            if values:
                yield ServiceMetric(NAMESPACE, what, dimensions, 0.0, unit, now, [(value, 1.0) for value in values])

        size, age = self._inference.backlog(name)
        yield from metric("ApproximateBacklogSize", [float(size)], "Count")
        yield from metric("ApproximateBacklogSizePerInstance", [size / max(endpoint.instances, 1)], "Count")
        yield from metric("HasBacklogWithoutCapacity", [float(size > 0 and endpoint.instances == 0)], "Count")
        yield from metric("ApproximateAgeOfOldestRequest", [age], "Seconds")
        done = self._inference.take_processed(name)
        yield from metric("InvocationsProcessed", [1.0] * len(done.outcomes), "Count")
        yield from metric("InvocationFailures", [float(bool(one.reason)) for one in done.outcomes], "Count")
        yield from metric("ExpiredRequests", [float(one.expired) for one in done.outcomes], "Count")
        yield from metric("TimeInBacklog", [one * _MILLISECONDS for one in done.backlog_seconds], "Milliseconds")
        yield from metric("TotalProcessingTime", [one.seconds * _MILLISECONDS for one in done.outcomes], "Milliseconds")
