"""Thresholds that a baseline suggests for a model's metrics, and where later metrics break them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlparity.monitoring.model_quality.metrics import SECTION

_LESS, _GREATER = "LessThanThreshold", "GreaterThanThreshold"
_COMPARED = {
    "mae": _GREATER, "mse": _GREATER, "rmse": _GREATER, "r2": _LESS,
    "recall": _LESS, "precision": _LESS, "accuracy": _LESS, "auc": _LESS, "f0_5": _LESS, "f1": _LESS, "f2": _LESS,
    "true_positive_rate": _LESS, "true_negative_rate": _LESS,
    "false_positive_rate": _GREATER, "false_negative_rate": _GREATER,
    "weighted_recall": _LESS, "weighted_precision": _LESS,
    "weighted_f0_5": _LESS, "weighted_f1": _LESS, "weighted_f2": _LESS,
}  # fmt: skip


def suggest(problem: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The whole ``constraints.json``: every metric at its baseline's value."""
    thresholds = {
        name: {"threshold": metrics[name]["value"], "comparison_operator": operator}
        for name, operator in _COMPARED.items()
        if name in metrics
    }
    return {"version": 0.0, f"{SECTION[problem]}_constraints": thresholds}


def violations(problem: str, metrics: Mapping[str, Any], constraints: Mapping[str, Any]) -> list[dict[str, str]]:
    """What breaks ``constraints``, in the layout of ``constraint_violations.json``."""
    found = []
    for name, rule in constraints.get(f"{SECTION[problem]}_constraints", {}).items():
        if name not in metrics:
            continue
        value, operator, threshold = metrics[name]["value"], rule["comparison_operator"], rule["threshold"]
        if value < threshold if operator == _LESS else value > threshold:
            deviation = metrics[name]["standard_deviation"]
            text = f"Metric {name} with {value} +/- {deviation} was {operator} '{threshold}'"
            found.append({"constraint_check_type": operator, "description": text, "metric_name": name})
    return found
