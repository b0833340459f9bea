"""The page that Prometheus scrapes: requests of every endpoint and how long they took, since the stack was started.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mlparity.serving.routing.measuring import VariantMetrics

_MICRO = 1e-6
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_LATENCIES = (
    ("model_latency_seconds", "From when a worker got a request until it had answered."),
    ("overhead_latency_seconds", "What the router added to that."),
)


@dataclass
class _Histogram:
    counts: list[int] = field(default_factory=lambda: [0] * (len(_BUCKETS) + 1))
    total: float = 0.0

    def add(self, pairs: Sequence[tuple[int, int]]) -> None:
        for micros, count in pairs:
            self.counts[bisect_left(_BUCKETS, micros * _MICRO)] += count
            self.total += micros * _MICRO * count


@dataclass
class _Variant:
    codes: dict[str, int] = field(default_factory=lambda: {"2xx": 0, "4xx": 0, "5xx": 0})
    bytes_in: int = 0
    bytes_out: int = 0
    dropped: int = 0
    latencies: tuple[_Histogram, _Histogram] = field(default_factory=lambda: (_Histogram(), _Histogram()))


class EndpointPage:
    """A listener of the router; ``text`` is the page."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._variants: dict[tuple[str, str], _Variant] = {}

    def report(self, metrics: Sequence[VariantMetrics]) -> None:
        """See ``RouterProcess.listen``."""
        with self._lock:
            for one in metrics:
                known = self._variants.setdefault((one.endpoint, one.variant), _Variant())
                known.codes["2xx"] += one.invocations - one.errors_4xx - one.errors_5xx
                known.codes["4xx"] += one.errors_4xx
                known.codes["5xx"] += one.errors_5xx
                known.bytes_in += one.bytes_in
                known.bytes_out += one.bytes_out
                known.dropped += one.shadow_dropped
                known.latencies[0].add(one.model_latency)
                known.latencies[1].add(one.overhead_latency)

    def text(self) -> str:
        """In the text format, version 0.0.4."""
        with self._lock:
            return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        labelled = {key: _labels(*key) for key in sorted(self._variants)}
        yield from _head("requests_total", "counter", "Requests to endpoints, by the class of the answer's status.")
        for key, labels in labelled.items():
            for code, count in self._variants[key].codes.items():
                yield f'mlparity_endpoint_requests_total{{{labels},code="{code}"}} {count}'
        for name, about, member in (
            ("request_bytes_total", "Bytes of request bodies.", "bytes_in"),
            ("response_bytes_total", "Bytes of answers' bodies.", "bytes_out"),
            ("shadow_dropped_total", "Copies that a shadow was too slow for.", "dropped"),
        ):
            yield from _head(name, "counter", about)
            for key, labels in labelled.items():
                yield f"mlparity_endpoint_{name}{{{labels}}} {getattr(self._variants[key], member)}"
        for index, (name, about) in enumerate(_LATENCIES):
            yield from _head(name, "histogram", about)
            for key, labels in labelled.items():
                yield from _histogram(name, labels, self._variants[key].latencies[index])


def _head(name: str, kind: str, about: str) -> Iterator[str]:
    yield f"# HELP mlparity_endpoint_{name} {about}"
    yield f"# TYPE mlparity_endpoint_{name} {kind}"


def _histogram(name: str, labels: str, found: _Histogram) -> Iterator[str]:
    passed = 0
    for bound, count in zip((*map(str, _BUCKETS), "+Inf"), found.counts, strict=True):
        passed += count
        yield f'mlparity_endpoint_{name}_bucket{{{labels},le="{bound}"}} {passed}'
    yield f"mlparity_endpoint_{name}_sum{{{labels}}} {found.total}"
    yield f"mlparity_endpoint_{name}_count{{{labels}}} {passed}"


def _labels(endpoint: str, variant: str) -> str:
    escaped = (text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for text in (endpoint, variant))
    return 'endpoint="{}",variant="{}"'.format(*escaped)
