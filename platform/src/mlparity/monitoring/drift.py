"""How far two distributions are apart.

The formulas are those of SageMaker's analyzer (Deequ's ``Distance``):
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-byoc-constraints.html
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

from mlparity.monitoring.sketch import Sketch

_SIGNIFICANCE = 1.8  # of the two-sample Kolmogorov-Smirnov test: a level of 0.003


def numerical(baseline: Sketch, current: Sketch, *, robust: bool) -> float:
    """The largest difference between the two cumulative distributions, from 0 to 1.

    ``robust`` takes off what chance explains with as many samples, by the two-sample Kolmogorov-Smirnov test.
    """
    import numpy as np

    if not baseline.count or not current.count:
        return 0.0
    at = np.union1d(baseline.values, current.values)
    distance = float(np.abs(baseline.cdf(at) - current.cdf(at)).max())
    return _corrected(distance, baseline.count, current.count) if robust else distance


def categorical(baseline: Mapping[str, float], current: Mapping[str, float], *, robust: bool) -> float:
    """The largest difference of a category's shares, from 0 to 1; ``robust`` as for numbers."""
    before, now = sum(baseline.values()), sum(current.values())
    if not before or not now:
        return 0.0
    values = set(baseline) | set(current)
    distance = max(abs(baseline.get(value, 0) / before - current.get(value, 0) / now) for value in values)
    return _corrected(distance, before, now) if robust else distance


def chi_squared(baseline: Mapping[str, float], current: Mapping[str, float]) -> float:
    """The p-value of the current counts being drawn from the baseline's shares: small where they drifted.

    A category that the baseline does not know makes it 0: it was expected never.
    """
    from scipy import stats

    before, now = sum(baseline.values()), sum(current.values())
    if not before or not now or len(baseline) == 1 == len(set(baseline) | set(current)):
        return 1.0
    if any(count and not baseline.get(value) for value, count in current.items()):
        return 0.0
    values = list(baseline)
    expected = [baseline[value] / before * now for value in values]
    return float(stats.chisquare([current.get(value, 0) for value in values], expected).pvalue)


def _corrected(distance: float, before: float, now: float) -> float:
    return max(0.0, distance - _SIGNIFICANCE * sqrt((before + now) / (before * now)))
