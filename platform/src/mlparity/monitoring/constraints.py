"""What a baseline suggests that later data must satisfy, in the layout of SageMaker's ``constraints.json``.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-byoc-constraints.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlparity.monitoring.columns import Column, Kind
from mlparity.monitoring.statistics import MOST_CATEGORIES

# A member of ours: SageMaker does not document where its analyzer keeps it.
OUTPUT_POSITION = "output_columns_position"
_MOST_SINGLE = 0.1  # of the values, those that are there once: a column with more of them has no domain (Deequ)


def suggest(
    columns: Sequence[Column], categorical_drift_method: str = "LInfinity", *, output_first: bool = True
) -> dict[str, Any]:
    """The whole file. A baseline whose output columns come last says so, for later data that has no names."""
    position = {} if output_first else {OUTPUT_POSITION: "END"}
    return {
        "version": 0.0,
        "features": [_feature(column) for column in columns],
        "monitoring_config": {
            **position,
            "evaluate_constraints": "Enabled",
            "emit_metrics": "Enabled",
            "datatype_check_threshold": 1.0,
            "domain_content_threshold": 1.0,
            "distribution_constraints": {
                "perform_comparison": "Enabled",
                "comparison_threshold": 0.1,
                "comparison_method": "Robust",
                "categorical_comparison_threshold": 0.1,
                "categorical_drift_method": categorical_drift_method,
            },
        },
    }


def _feature(column: Column) -> dict[str, Any]:
    feature: dict[str, Any] = {
        "name": column.name,
        "inferred_type": column.kind.value,
        "completeness": column.completeness,
    }
    if column.kind.is_number:
        feature["num_constraints"] = {"is_non_negative": bool((column.numbers >= 0).all())}
    elif column.kind is Kind.STRING and _is_categorical(column):
        feature["string_constraints"] = {"domains": list(column.texts)}
    return feature


def _is_categorical(column: Column) -> bool:
    single = sum(1 for count in column.texts.values() if count == 1)
    return len(column.texts) <= MOST_CATEGORIES and single / len(column.texts) <= _MOST_SINGLE
