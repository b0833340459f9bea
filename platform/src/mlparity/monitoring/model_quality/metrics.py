"""The metrics of each problem type, in the layout of the model quality ``statistics.json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mlparity.monitoring.errors import CustomerError
from mlparity.monitoring.model_quality.predictions import BINARY, MULTICLASS, REGRESSION, Predictions, positive

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# As the documentation has it: five samples of 80 %, where there are at least 200 rows.
_ROWS_FOR_DEVIATION, _SAMPLES, _SAMPLE_SHARE = 200, 5, 0.8
_CURVE_POINTS = 200
_BETAS = {"f0_5": 0.5, "f1": 1.0, "f2": 2.0}
SECTION = {
    REGRESSION: "regression",
    BINARY: "binary_classification",
    MULTICLASS: "multiclass_classification",
}

Scores = dict[str, float]


def evaluate(problem: str, predictions: Predictions, generator: np.random.Generator) -> dict[str, Any]:
    """The metrics: name -> {"value", "standard_deviation"}, and confusion matrix and curves of classifications.

    ``generator`` draws the samples of the standard deviations. Raises ``CustomerError``.
    """
    if not len(predictions):
        raise CustomerError("There are no predictions with a label to evaluate")
    scores = _SCORES.get(problem)
    if scores is None:
        raise CustomerError(f"problem_type must be one of {', '.join(SECTION)}, not {problem!r}")
    prepared, score = scores(predictions)
    whole = _every_row(predictions)
    values = score(prepared, whole)
    deviations = _deviations(lambda rows: score(prepared, rows), len(predictions), generator)
    found: dict[str, Any] = {
        name: {"value": value, "standard_deviation": deviations.get(name, "NaN")} for name, value in values.items()
    }
    if problem != REGRESSION:
        found = {"confusion_matrix": confusion_matrix(predictions), **found}
    if problem == BINARY and predictions.probability is not None:
        found |= _curves(predictions)
    return found


def confusion_matrix(predictions: Predictions) -> dict[str, dict[str, int]]:
    """Actual label -> predicted label -> rows."""
    labels = sorted(set(predictions.actual) | set(predictions.predicted))
    matrix = {actual: dict.fromkeys(labels, 0) for actual in labels}
    for actual, predicted in zip(predictions.actual, predictions.predicted, strict=True):
        matrix[actual][predicted] += 1
    return matrix


def _every_row(predictions: Predictions) -> NDArray[np.intp]:
    import numpy as np

    return np.arange(len(predictions))


def _deviations(
    score: Callable[[NDArray[np.intp]], Scores], count: int, generator: np.random.Generator
) -> Mapping[str, float]:
    import numpy as np

    if count < _ROWS_FOR_DEVIATION:
        return {}
    draws = [score(generator.choice(count, int(count * _SAMPLE_SHARE), replace=False)) for _ in range(_SAMPLES)]
    everywhere = [name for name in draws[0] if all(name in draw for draw in draws)]  # auc needs both labels
    return {name: float(np.std([draw[name] for draw in draws])) for name in everywhere}


def _regression(predictions: Predictions) -> tuple[Any, Callable[[Any, NDArray[np.intp]], Scores]]:
    return predictions.numbers(), _regression_scores


def _regression_scores(prepared: Any, rows: NDArray[np.intp]) -> Scores:
    from sklearn import metrics

    predicted, actual = prepared[0][rows], prepared[1][rows]
    mse = float(metrics.mean_squared_error(actual, predicted))
    found = {"mae": float(metrics.mean_absolute_error(actual, predicted)), "mse": mse, "rmse": mse**0.5}
    return {**found, "r2": float(metrics.r2_score(actual, predicted))} if len(rows) > 1 else found


def _binary(predictions: Predictions) -> tuple[Any, Callable[[Any, NDArray[np.intp]], Scores]]:
    import numpy as np

    labels = set(predictions.actual) | set(predictions.predicted)
    if len(labels) > 2:  # noqa: PLR2004 - that is what binary means
        raise CustomerError(f"A binary classification has two labels; these are there: {', '.join(sorted(labels))}")
    wanted = positive(labels)
    actual = np.array([value == wanted for value in predictions.actual])
    predicted = np.array([value == wanted for value in predictions.predicted])
    return (predicted, actual, predictions.probability), _binary_scores


def _binary_scores(prepared: Any, rows: NDArray[np.intp]) -> Scores:
    """The best constant classifier of the documentation's example says "positive" always."""
    import numpy as np
    from sklearn import metrics

    predicted, actual = prepared[0][rows], prepared[1][rows]
    hit, miss = int((predicted & actual).sum()), int((~predicted & actual).sum())
    false_alarm, quiet = int((predicted & ~actual).sum()), int((~predicted & ~actual).sum())
    constant = np.ones_like(actual)
    scores = _labelled(predicted, actual, "")
    best = _labelled(constant, actual, "_best_constant_classifier")
    found = {
        **{name: scores[name] for name in ("recall", "precision", "accuracy")},
        **{name: value for name, value in best.items() if not name.startswith("f")},
        "true_positive_rate": _ratio(hit, hit + miss),
        "true_negative_rate": _ratio(quiet, quiet + false_alarm),
        "false_positive_rate": _ratio(false_alarm, quiet + false_alarm),
        "false_negative_rate": _ratio(miss, hit + miss),
    }
    if prepared[2] is not None and 0 < actual.sum() < len(actual):
        found["auc"] = float(metrics.roc_auc_score(actual, prepared[2][rows]))
    found |= {name: value for name, value in scores.items() if name.startswith("f")}
    return found | {name: value for name, value in best.items() if name.startswith("f")}


def _labelled(predicted: NDArray[np.bool_], actual: NDArray[np.bool_], suffix: str) -> Scores:
    from sklearn import metrics

    found = {
        "recall": float(metrics.recall_score(actual, predicted, zero_division=0)),
        "precision": float(metrics.precision_score(actual, predicted, zero_division=0)),
        "accuracy": float(metrics.accuracy_score(actual, predicted)),
        **{
            name: float(metrics.fbeta_score(actual, predicted, beta=beta, zero_division=0))
            for name, beta in _BETAS.items()
        },
    }
    return {f"{name}{suffix}": value for name, value in found.items()}


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _curves(predictions: Predictions) -> dict[str, Any]:
    import numpy as np
    from sklearn import metrics

    wanted = positive(set(predictions.actual) | set(predictions.predicted))
    actual = np.array([value == wanted for value in predictions.actual])
    if not 0 < actual.sum() < len(actual):
        return {}
    false_rates, true_rates, _ = metrics.roc_curve(actual, predictions.probability)
    precisions, recalls, _ = metrics.precision_recall_curve(actual, predictions.probability)
    return {
        "receiver_operating_characteristic_curve": {
            "false_positive_rates": _thin(false_rates),
            "true_positive_rates": _thin(true_rates),
        },
        "precision_recall_curve": {"precisions": _thin(precisions[::-1]), "recalls": _thin(recalls[::-1])},
    }


def _thin(curve: NDArray[np.float64]) -> list[float]:
    import numpy as np

    chosen = np.unique(np.linspace(0, len(curve) - 1, min(len(curve), _CURVE_POINTS)).astype(int))
    return [float(value) for value in curve[chosen]]


def _multiclass(predictions: Predictions) -> tuple[Any, Callable[[Any, NDArray[np.intp]], Scores]]:
    import numpy as np

    return (np.array(predictions.predicted), np.array(predictions.actual)), _multiclass_scores


def _multiclass_scores(prepared: Any, rows: NDArray[np.intp]) -> Scores:
    """The best constant classifier says the most frequent label always."""
    import numpy as np

    predicted, actual = prepared[0][rows], prepared[1][rows]
    labels, counts = np.unique(actual, return_counts=True)
    constant = np.full_like(actual, labels[counts.argmax()])
    return _weighted(predicted, actual, "") | _weighted(constant, actual, "_best_constant_classifier")


def _weighted(predicted: NDArray[Any], actual: NDArray[Any], suffix: str) -> Scores:
    from sklearn import metrics

    how: Any = {"average": "weighted", "zero_division": 0}
    found = {
        "accuracy": float(metrics.accuracy_score(actual, predicted)),
        "weighted_recall": float(metrics.recall_score(actual, predicted, **how)),
        "weighted_precision": float(metrics.precision_score(actual, predicted, **how)),
        **{
            f"weighted_{name}": float(metrics.fbeta_score(actual, predicted, beta=beta, **how))
            for name, beta in _BETAS.items()
        },
    }
    return {f"{name}{suffix}": value for name, value in found.items()}


_SCORES = {REGRESSION: _regression, BINARY: _binary, MULTICLASS: _multiclass}
