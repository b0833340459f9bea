"""What the router has measured of a deployed model lately: the numbers that a canary is judged by."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mlparity.clock import Clock

if TYPE_CHECKING:
    from mlparity.serving.routing.measuring import VariantMetrics

_API = "vertex"
_KEPT = timedelta(hours=1)
_PERCENTILE = 0.95


@dataclass(frozen=True)
class Traffic:
    """``errors``: answers of the classes 4xx and 5xx, and requests without one; ``latency_ms``: the 95th percentile."""

    requests: int = 0
    errors: int = 0
    latency_ms: float = 0.0

    @property
    def error_rate(self) -> float:
        """Of all requests; 0 where there were none."""
        return self.errors / self.requests if self.requests else 0.0


class TrafficMeter:
    """A listener of the router (``report``). Keeps an hour in memory: after a restart a step counts anew."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._reports: dict[tuple[str, str], deque[tuple[datetime, VariantMetrics]]] = {}

    def report(self, metrics: Sequence[VariantMetrics]) -> None:
        """See ``RouterProcess.listen``."""
        now = self._clock.now()
        with self._lock:
            for one in metrics:
                api, _, endpoint = one.endpoint.partition("/")
                if api == _API and one.invocations:
                    self._reports.setdefault((endpoint, one.variant), deque()).append((now, one))
            for key in list(self._reports):
                reports = self._reports[key]
                while reports and reports[0][0] < now - _KEPT:
                    reports.popleft()
                if not reports:
                    del self._reports[key]

    def seen(self, endpoint: str, deployed_model: str, since: datetime) -> Traffic:
        """Of one deployed model. ``endpoint`` is LOCATION/ID."""
        with self._lock:
            found = [one for at, one in self._reports.get((endpoint, deployed_model), ()) if at >= since]
        latencies: Counter[int] = Counter()
        for one in found:
            latencies.update(dict(one.model_latency))
        errors = sum(one.errors_4xx + one.errors_5xx for one in found)
        return Traffic(sum(one.invocations for one in found), errors, _percentile(latencies) / 1000)


def _percentile(histogram: Counter[int]) -> float:
    wanted, passed = histogram.total() * _PERCENTILE, 0
    for value, count in sorted(histogram.items()):
        passed += count
        if passed >= wanted:
            return float(value)
    return 0.0
