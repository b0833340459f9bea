"""scikit-learn's linear models by their own formula, without the 90 µs that its validation takes for a row.

Only models whose ``predict`` is known, for arrays of finite numbers with the right width; anything else goes to
``predict`` itself. Before it is used, the formula has to give the model's own answers, to the last bit, for a set of
probes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Array = Any
Formula = Callable[[Array], Array]  # rows -> predictions; None where ``predict`` is to be asked

_REGRESSORS = frozenset({"LinearRegression", "Ridge", "Lasso", "ElasticNet"})
_CLASSIFIERS = frozenset({"LogisticRegression", "SGDClassifier", "Perceptron"})
_PROBES = 16  # rows


def formula_of(native: Any) -> Formula | None:
    """The formula of a linear model, or of a pipeline of scalers and one; None for any other."""
    import numpy as np

    *scalers, model = [step for _, step in native.steps] if type(native).__name__ == "Pipeline" else [native]
    score = _scores(model)
    if score is None or not all(_is(step, "sklearn.preprocessing", {"StandardScaler"}) for step in scalers):
        return None
    width = model.coef_.shape[-1]

    def formula(rows: Array) -> Array:
        if rows.shape[1] != width or rows.dtype.kind not in "fi" or not np.isfinite(rows).all():
            return None
        return score(_scaled(rows.astype(np.float64), scalers))

    return formula if _agrees(formula, native, width) else None


def _scaled(rows: Array, scalers: Sequence[Any]) -> Array:
    for scaler in scalers:
        if scaler.with_mean:
            rows -= scaler.mean_
        if scaler.with_std:
            rows /= scaler.scale_
    return rows


def _scores(model: Any) -> Formula | None:
    import numpy as np

    coefficients = getattr(model, "coef_", None)
    if not isinstance(coefficients, np.ndarray) or coefficients.dtype != np.float64:
        return None
    if _is(model, "sklearn.linear_model", _REGRESSORS) and coefficients.ndim == 1:
        return lambda rows: rows @ coefficients + model.intercept_
    if not _is(model, "sklearn.linear_model", _CLASSIFIERS):
        return None
    classes = model.classes_

    def predict(rows: Array) -> Array:
        scores = rows @ coefficients.T + model.intercept_
        if scores.shape[1] == 1:
            return classes.take((scores.reshape(-1) > 0).astype(np.int64), axis=0)
        return classes.take(scores.argmax(axis=1), axis=0)

    return predict


def _is(value: Any, module: str, names: frozenset[str] | set[str]) -> bool:
    kind = type(value)
    return kind.__module__.startswith(module) and kind.__name__ in names and "predict" not in vars(value)


def _agrees(formula: Formula, native: Any, width: int) -> bool:
    """Whether the formula is the model's own ``predict``, for one row as for several."""
    import numpy as np

    spread = np.sin(np.arange(_PROBES * width, dtype=np.float64) * 1.7).reshape(_PROBES, width)
    probes = spread * np.logspace(-3, 4, _PROBES).reshape(-1, 1)
    try:
        for rows in (probes, *(probes[index : index + 1] for index in range(_PROBES))):
            ours, its = formula(rows.copy()), native.predict(rows)
            if ours is None or ours.dtype != its.dtype or not np.array_equal(ours, its):
                return False
    except Exception:  # noqa: BLE001 - a model that cannot predict says so when it is asked
        return False
    return True
