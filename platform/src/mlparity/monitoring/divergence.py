"""How far two distributions of a feature are apart, as Vertex AI Model Monitoring measures it.

Jensen-Shannon divergence of numbers, the L-infinity norm of categories, on histograms of ten equal buckets:
https://cloud.google.com/vertex-ai/docs/model-monitoring/overview#calculating-skew-and-drift
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlparity.monitoring import drift

BUCKETS = 10
_MOST_VALUES = 1000  # categories that are kept one by one; the rest is one category
_REST = "(other values)"


@dataclass(frozen=True)
class Distribution:
    """A feature's values, counted.

    Numbers: ``counts[i]`` of them lie between ``edges[i]`` and ``edges[i + 1]``. Categories: ``values`` has how often
    each was seen. ``missing`` counts what is not there, or is no number where numbers are meant.
    """

    numerical: bool
    present: int
    missing: int
    edges: Sequence[float] = ()
    counts: Sequence[float] = ()
    values: Mapping[str, float] | None = None
    mean: float = 0.0
    std_dev: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As stored, and as written to the statistics file: the names of ``FeatureNameStatistics``."""
        common = {"numNonMissing": self.present, "numMissing": self.missing}
        if not self.numerical:
            ranked = [{"label": value, "sampleCount": count} for value, count in (self.values or {}).items()]
            return {"type": "STRING", "stringStats": {"commonStats": common, "rankHistogram": {"buckets": ranked}}}
        buckets = [
            {"lowValue": low, "highValue": high, "sampleCount": count}
            for low, high, count in zip(self.edges[:-1], self.edges[1:], self.counts, strict=True)
        ]
        numbers = {"mean": self.mean, "stdDev": self.std_dev, "histograms": [{"buckets": buckets, "type": "STANDARD"}]}
        return {"type": "FLOAT", "numStats": {"commonStats": common, **numbers}}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Distribution:
        """The inverse of ``to_json``."""
        told = document.get("numStats") or document["stringStats"]
        present, missing = told["commonStats"]["numNonMissing"], told["commonStats"]["numMissing"]
        if "stringStats" in document:
            values = {one["label"]: one["sampleCount"] for one in told["rankHistogram"]["buckets"]}
            return cls(False, present, missing, values=values)
        buckets = told["histograms"][0]["buckets"]
        edges = [*(one["lowValue"] for one in buckets), *(one["highValue"] for one in buckets[-1:])]
        counts = [one["sampleCount"] for one in buckets]
        return cls(True, present, missing, edges, counts, mean=told["mean"], std_dev=told["stdDev"])


def are_numbers(values: Iterable[Any]) -> bool:
    """Whether every value that is there is a number (a truth value is a category), and one is there."""
    there = [value for value in values if value is not None]
    return bool(there) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in there)


def distribution(values: Sequence[Any], *, numerical: bool) -> Distribution:
    """Count ``values``: JSON scalars, None for what is missing; a list or an object is a category of its own."""
    return _numbers(values) if numerical else _categories(values)


def distance(baseline: Distribution, current: Distribution) -> float | None:
    """From 0 (alike) to 1; None where one of them has no value, or they are of different types."""
    if not baseline.present or not current.present or baseline.numerical is not current.numerical:
        return None
    if baseline.numerical:
        return _jensen_shannon(baseline, current)
    return drift.categorical(baseline.values or {}, current.values or {}, robust=False)


def _numbers(values: Sequence[Any]) -> Distribution:
    import numpy as np

    numbers = np.array([number for value in values if (number := _number(value)) is not None], dtype=np.float64)
    missing = len(values) - len(numbers)
    if not len(numbers):
        return Distribution(True, 0, missing)
    counts, edges = np.histogram(numbers, bins=BUCKETS)
    return Distribution(
        True, len(numbers), missing, edges.tolist(), counts.astype(float).tolist(),
        mean=float(numbers.mean()), std_dev=float(numbers.std()),
    )  # fmt: skip


def _categories(values: Sequence[Any]) -> Distribution:
    seen = Counter(_text(value) for value in values if value is not None)
    kept = dict(seen.most_common(_MOST_VALUES))
    rest = seen.total() - sum(kept.values())
    counted = {value: float(count) for value, count in kept.items()} | ({_REST: float(rest)} if rest else {})
    return Distribution(False, seen.total(), len(values) - seen.total(), values=counted)


def _jensen_shannon(baseline: Distribution, current: Distribution) -> float:
    """Over the buckets of both; values lie evenly in a bucket. The logarithm has the base 2: from 0 to 1."""
    import numpy as np
    from scipy.spatial.distance import jensenshannon

    edges = np.union1d(baseline.edges, current.edges)
    shares = [np.diff(np.interp(edges, one.edges, np.cumsum([0.0, *one.counts]))) for one in (baseline, current)]
    return float(jensenshannon(*shares, base=2) ** 2)


def _number(value: Any) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _text(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
