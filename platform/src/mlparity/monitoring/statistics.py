"""A dataset's statistics, in the layout of SageMaker's ``statistics.json``.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-interpreting-statistics.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlparity.monitoring import sketch
from mlparity.monitoring.columns import Column

BUCKETS = 10
# Above it a text column's values are not counted one by one: Deequ's limit.
MOST_CATEGORIES = 120


def statistics(columns: Sequence[Column], rows: int) -> dict[str, Any]:
    """The whole file."""
    return {"version": 0.0, "dataset": {"item_count": rows}, "features": [_feature(column) for column in columns]}


def _feature(column: Column) -> dict[str, Any]:
    feature: dict[str, Any] = {"name": column.name, "inferred_type": column.kind.value}
    common = {"num_present": column.present, "num_missing": column.missing}
    if column.kind.is_number:
        feature["numerical_statistics"] = {"common": common, **_numerical(column)}
    else:
        feature["string_statistics"] = {"common": common, **_string(column)}
    return feature


def _numerical(column: Column) -> dict[str, Any]:
    """``std_dev`` is the population's, as Deequ has it."""
    import numpy as np

    numbers = column.numbers
    counts, edges = np.histogram(numbers, bins=BUCKETS)
    buckets = [
        {"lower_bound": float(low), "upper_bound": float(high), "count": float(count)}
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    return {
        "mean": float(numbers.mean()),
        "sum": float(numbers.sum()),
        "std_dev": float(numbers.std()),
        "min": float(numbers.min()),
        "max": float(numbers.max()),
        "distribution": {"kll": {"buckets": buckets, "sketch": sketch.document(numbers)}},
    }


def _string(column: Column) -> dict[str, Any]:
    found: dict[str, Any] = {"distinct_count": float(len(column.texts))}
    if len(column.texts) <= MOST_CATEGORIES:
        buckets = [{"value": value, "count": count} for value, count in column.texts.items()]
        found["distribution"] = {"categorical": {"buckets": buckets}}
    return found
