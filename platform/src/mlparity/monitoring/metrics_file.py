"""An analysis' metrics for CloudWatch, in the file that the analyzer's container leaves for SageMaker to publish.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-interpreting-cloudwatch.html: a line of JSON a metric, as
PutMetricData has them; SageMaker adds the namespace.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlparity.monitoring.columns import Column

FILE = "cloudwatch_metrics.jsonl"
Metric = dict[str, Any]


def of_data(columns: Sequence[Column], distances: Mapping[str, float]) -> list[Metric]:
    """Of every column: its numbers (``feature_data_x``), completeness and distance from the baseline."""
    found: list[Metric] = []
    for column in columns:
        if column.kind.is_number:
            numbers = column.numbers
            found.append(
                {
                    "MetricName": f"feature_data_{column.name}",
                    "StatisticValues": {
                        "SampleCount": float(len(numbers)),
                        "Sum": float(numbers.sum()),
                        "Minimum": float(numbers.min()),
                        "Maximum": float(numbers.max()),
                    },
                }
            )
        found.append({"MetricName": f"feature_non_null_{column.name}", "Value": column.completeness})
        if column.name in distances:
            found.append({"MetricName": f"feature_baseline_drift_{column.name}", "Value": distances[column.name]})
    return found


def of_model(metrics: Mapping[str, Any]) -> list[Metric]:
    """Every metric that is one number."""
    return [
        {"MetricName": name, "Value": metric["value"]}
        for name, metric in metrics.items()
        if isinstance(metric.get("value"), float)
    ]


def write(folder: Path, metrics: Iterable[Metric], dimensions: Mapping[str, str], timestamp: str) -> None:
    """One file in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    common = {"Timestamp": timestamp, "Dimensions": [{"Name": k, "Value": v} for k, v in dimensions.items()]}
    lines = [json.dumps({**metric, **common}) for metric in metrics]
    (folder / FILE).write_text("".join(f"{line}\n" for line in lines), "utf-8")
