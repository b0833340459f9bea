"""Statistics of metric data over periods.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlparity.apis.aws.metrics_store import Datum

PLAIN = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
_PERCENTILE = re.compile(r"p(100(?:\.0+)?|\d{1,2}(?:\.\d+)?)")
_HUNDRED = 100.0


@dataclass(frozen=True)
class Period:
    """The data of one period, which begins at ``start``."""

    start: datetime
    data: Sequence[Datum]

    @property
    def unit(self) -> str:
        """Of the first datum: a request without a unit takes the data as they are."""
        return self.data[0].unit

    def statistic(self, name: str) -> float | None:
        """A plain statistic or a percentile ("p99.9"); None where only summaries are known and a percentile is asked.

        ``is_known`` says which names there are.
        """
        count = sum(datum.count for datum in self.data)
        total = sum(datum.total for datum in self.data)
        match name:
            case "SampleCount":
                return count
            case "Sum":
                return total
            case "Average":
                return total / count if count else 0.0
            case "Minimum":
                return min(datum.low for datum in self.data)
            case "Maximum":
                return max(datum.high for datum in self.data)
        return self._percentile(float(name[1:]))

    def _percentile(self, percent: float) -> float | None:
        samples: list[tuple[float, float]] = []
        for datum in self.data:
            if datum.samples is not None:
                samples += datum.samples
            elif datum.low == datum.high or datum.count == 1:
                samples.append((datum.low, datum.count))
            else:
                return None
        samples.sort()
        count = sum(times for _, times in samples)
        position = percent / _HUNDRED * (count - 1)
        below, above = _at(samples, math.floor(position)), _at(samples, math.ceil(position))
        return below + (above - below) * (position - math.floor(position))


def is_known(name: str) -> bool:
    """Whether there is such a statistic here."""
    return name in PLAIN or _PERCENTILE.fullmatch(name) is not None


def is_percentile(name: str) -> bool:
    """Whether it is one like "p95"."""
    return _PERCENTILE.fullmatch(name) is not None


def periods(data: Iterable[Datum], origin: datetime, seconds: int) -> list[Period]:
    """The periods with data, oldest first; they are counted from ``origin``."""
    length = timedelta(seconds=seconds)
    found: dict[datetime, list[Datum]] = {}
    for datum in data:
        start = origin + (datum.at - origin) // length * length
        found.setdefault(start, []).append(datum)
    return [Period(start, found[start]) for start in sorted(found)]


def floored(moment: datetime, seconds: int) -> datetime:
    """The last multiple of ``seconds`` since the epoch."""
    whole = int(moment.timestamp())
    return moment - timedelta(seconds=whole % seconds, microseconds=moment.microsecond)


def _at(samples: Sequence[tuple[float, float]], index: int) -> float:
    passed = 0.0
    for value, times in samples:
        passed += times
        if index < passed:
            return value
    return samples[-1][0]
