"""What the router counts for each variant, in the units of CloudWatch's ``AWS/SageMaker`` endpoint metrics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

_SERVER_ERROR, _CLIENT_ERROR = 500, 400
_DIGITS = 1000  # values keep three significant digits, so that a second's worth stays a few hundred values


@dataclass(frozen=True)
class VariantMetrics:
    """One variant's requests since the report before.

    Latencies are in microseconds, as (value, count); ``overhead`` is what the router added to the model's.
    """

    endpoint: str
    variant: str
    invocations: int
    errors_4xx: int  # the model answered 4xx
    errors_5xx: int  # it answered 5xx, or not at all
    model_latency: tuple[tuple[int, int], ...]
    overhead_latency: tuple[tuple[int, int], ...]
    bytes_in: int  # of request bodies
    bytes_out: int  # of answers' bodies
    shadow_dropped: int = 0  # copies that were not sent, because the shadow is too slow

    def to_json(self) -> dict[str, Any]:
        """As sent to the control plane."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> VariantMetrics:
        """The inverse of ``to_json``."""
        pairs = {
            name: tuple((int(value), int(count)) for value, count in document[name])
            for name in ("model_latency", "overhead_latency")
        }
        return cls(**{**document, **pairs})


class _Counts:
    __slots__ = ("bytes_in", "bytes_out", "dropped", "errors_4xx", "errors_5xx", "invocations", "model", "overhead")

    def __init__(self) -> None:
        self.invocations = self.errors_4xx = self.errors_5xx = self.bytes_in = self.bytes_out = self.dropped = 0
        self.model: list[float] = []  # seconds
        self.overhead: list[float] = []


class Measurements:
    """Counts until they are taken."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], _Counts] = {}

    def note(
        self, endpoint: str, variant: str, status: int, model: float, overhead: float, size_in: int, size_out: int
    ) -> None:
        """Count one request. ``model`` and ``overhead`` are in seconds; ``status`` 500 where there was no answer."""
        counts = self._counts.get((endpoint, variant))
        if counts is None:
            counts = self._counts[endpoint, variant] = _Counts()
        counts.invocations += 1
        counts.bytes_in += size_in
        counts.bytes_out += size_out
        counts.model.append(model)
        counts.overhead.append(overhead)
        if status >= _SERVER_ERROR:
            counts.errors_5xx += 1
        elif status >= _CLIENT_ERROR:
            counts.errors_4xx += 1

    def dropped(self, endpoint: str, variant: str) -> None:
        """Count a copy that a shadow did not get."""
        self._counts.setdefault((endpoint, variant), _Counts()).dropped += 1

    def take(self) -> Iterator[VariantMetrics]:
        """What was counted; counting starts anew."""
        counts, self._counts = self._counts, {}
        for (endpoint, variant), one in counts.items():
            yield VariantMetrics(
                endpoint,
                variant,
                one.invocations,
                one.errors_4xx,
                one.errors_5xx,
                _histogram(one.model),
                _histogram(one.overhead),
                one.bytes_in,
                one.bytes_out,
                one.dropped,
            )


def _histogram(seconds: list[float]) -> tuple[tuple[int, int], ...]:
    found: dict[int, int] = {}
    for one in seconds:
        micros = _rounded(int(one * 1e6))
        found[micros] = found.get(micros, 0) + 1
    return tuple(sorted(found.items()))


def _rounded(value: int) -> int:
    scale = 1
    while value // scale >= _DIGITS:
        scale *= 10
    return value // scale * scale + scale // 2 if scale > 1 else max(value, 0)
