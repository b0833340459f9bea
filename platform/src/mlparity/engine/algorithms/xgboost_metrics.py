"""Metrics of SageMaker's XGBoost: which there are, how its log shows them, and those that XGBoost itself lacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

MAXIMIZED = (
    "accuracy",
    "auc",
    "aucpr",
    "balanced_accuracy",
    "f1",
    "f1_binary",
    "f1_macro",
    "map",
    "ndcg",
    "precision",
    "precision_macro",
    "precision_micro",
    "r2",
    "recall",
    "recall_macro",
    "recall_micro",
)
MINIMIZED = (
    "aft-nloglik",
    "cox-nloglik",
    "error",
    "gamma-deviance",
    "gamma-nloglik",
    "interval-regression-accuracy",
    "logloss",
    "mae",
    "mape",
    "merror",
    "mlogloss",
    "mphe",
    "mse",
    "poisson-nloglik",
    "rmse",
    "rmsle",
    "tweedie-nloglik",
)
_NUMBER = r"([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)"

# Metric name -> regular expression over the job's log, as DescribeTrainingJob lists them for this image.
METRIC_DEFINITIONS: Mapping[str, str] = {
    f"{channel}:{metric}": rf".*\[[0-9]+\].*#011{channel}-{metric}:{_NUMBER}.*"
    for channel in ("train", "validation")
    for metric in sorted((*MAXIMIZED, *MINIMIZED))
}

Scores = list[tuple[str, float]]


def computed_here(names: Sequence[str]) -> list[str]:
    """Those of ``names`` that the container computes itself, in their order."""
    return [name for name in names if name in _SCORERS]


def scorer(names: Sequence[str]) -> Callable[[Any, Any], Scores]:
    """A ``custom_metric`` for ``xgboost.train`` that computes ``names`` (see ``computed_here``)."""

    def score(predictions: Any, matrix: Any) -> Scores:
        labels = matrix.get_label()
        return [(name, float(_SCORERS[name](labels, predictions))) for name in names]

    return score


def _classes(predictions: Any) -> Any:
    """Class numbers from probabilities (rows x classes, or of class 1) or from class numbers."""
    if predictions.ndim > 1:
        return predictions.argmax(axis=1)
    is_probability = ((predictions >= 0) & (predictions <= 1)).all()
    return (predictions > 0.5).astype(int) if is_probability else predictions.round().astype(int)  # noqa: PLR2004


def _of_classes(function: str, **options: object) -> Callable[[Any, Any], Any]:
    def compute(labels: Any, predictions: Any) -> Any:
        from sklearn import metrics

        return getattr(metrics, function)(labels, _classes(predictions), **options)

    return compute


def _of_values(function: str) -> Callable[[Any, Any], Any]:
    def compute(labels: Any, predictions: Any) -> Any:
        from sklearn import metrics

        return getattr(metrics, function)(labels, predictions)

    return compute


_SCORERS: Mapping[str, Callable[[Any, Any], Any]] = {
    "accuracy": _of_classes("accuracy_score"),
    "balanced_accuracy": _of_classes("balanced_accuracy_score"),
    "f1": _of_classes("f1_score", average="macro"),
    "f1_binary": _of_classes("f1_score", average="binary"),
    "f1_macro": _of_classes("f1_score", average="macro"),
    "precision": _of_classes("precision_score", average="binary"),
    "precision_macro": _of_classes("precision_score", average="macro", zero_division=0),
    "precision_micro": _of_classes("precision_score", average="micro"),
    "recall": _of_classes("recall_score", average="binary"),
    "recall_macro": _of_classes("recall_score", average="macro", zero_division=0),
    "recall_micro": _of_classes("recall_score", average="micro"),
    "mse": _of_values("mean_squared_error"),
    "r2": _of_values("r2_score"),
}
