"""Predictors of the libraries that the server knows: XGBoost and scikit-learn."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlparity.serving.decoding import Table
from mlparity.serving.exchange import bad_request
from mlparity.serving.linear import Formula, formula_of
from mlparity.serving.model import Predictor

_FEW = 64  # rows: for so many, handing them to several threads takes longer than predicting
# Modules of scikit-learn whose estimators see columns by their place only. What holds other estimators (stacking,
# column transformers) may look for names, and needs a frame.
_BY_PLACE = frozenset(
    {
        "linear_model", "tree", "svm", "neighbors", "naive_bayes", "neural_network", "discriminant_analysis",
        "gaussian_process", "cluster", "mixture", "decomposition", "dummy", "kernel_ridge", "cross_decomposition",
    }
)  # fmt: skip
_ALSO_BY_PLACE = frozenset(
    {
        "RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor",
        "GradientBoostingClassifier", "GradientBoostingRegressor", "IsolationForest", "StandardScaler", "MinMaxScaler",
        "MaxAbsScaler", "RobustScaler", "Normalizer", "PolynomialFeatures", "PowerTransformer", "QuantileTransformer",
        "SimpleImputer",
    }
)  # fmt: skip


@dataclass(frozen=True)
class BoosterPredictor:
    """An ``xgboost.Booster``: rows in its column order, missing values as NaN."""

    native: Any
    columns: Sequence[str]  # the feature names it was trained with
    features: int
    span: tuple[int, int]  # of iterations: up to the best one where early stopping found one
    small: Any = None  # the same model on one thread, for few rows; None where it cannot predict in place
    plain: bool = True

    def predict(self, table: Table) -> Any:
        """With the best iteration where early stopping found one, as XGBoost's own ``predict``."""
        import numpy as np
        import xgboost

        columns, expected = self.columns, self.features
        if columns and hasattr(table, "columns") and set(columns) <= set(table.columns):
            table = table[list(columns)]
        elif hasattr(table, "columns"):
            table = table.to_numpy(dtype=np.float32)
        is_array = isinstance(table, np.ndarray)
        if table.shape[1] > expected or (table.shape[1] < expected and is_array):
            raise bad_request(
                f"Unable to evaluate payload provided: Feature size of inference data {table.shape[1]} "
                f"is not consistent with feature size of trained model {expected}."
            )
        if table.shape[1] < expected and not hasattr(table, "columns"):  # LIBSVM leaves trailing zeros out
            table.resize(table.shape[0], expected)
        if is_array and self.small is not None and len(table) <= _FEW and table.dtype.kind in "fiu":
            return self.small.inplace_predict(table, validate_features=False, iteration_range=self.span)
        matrix = xgboost.DMatrix(table)
        return self.native.predict(matrix, validate_features=False, iteration_range=self.span)


def booster_predictor(native: Any) -> BoosterPredictor:
    """What serves a booster."""
    best = getattr(native, "best_iteration", None) if native.attr("best_iteration") else None
    small = None
    if json.loads(native.save_config())["learner"]["gradient_booster"]["name"] == "gbtree":
        small = native.copy()
        small.set_param({"nthread": 1})
    span = (0, best + 1) if best is not None else (0, 0)
    return BoosterPredictor(native, tuple(native.feature_names or ()), native.num_features(), span, small)


@dataclass(frozen=True)
class EstimatorPredictor:
    """Anything with scikit-learn's ``predict``."""

    native: Any
    columns: Sequence[str]  # ``feature_names_in_``, where it was fitted on a frame
    plain: bool
    formula: Formula | None = None  # gives what ``predict`` does, sooner

    def predict(self, table: Table) -> Any:
        """Its ``predict``."""
        import numpy as np

        if self.formula is not None and isinstance(table, np.ndarray) and len(table) <= _FEW:
            predictions = self.formula(table)
            if predictions is not None:
                return predictions
        return self.native.predict(table)


def estimator_predictor(native: Any) -> EstimatorPredictor:
    """What serves an estimator."""
    columns = tuple(str(name) for name in getattr(native, "feature_names_in_", ()))
    plain = _is_by_place(native)
    if plain and columns:  # an array in the columns' order is what it gets on purpose
        warnings.filterwarnings("ignore", "X does not have valid feature names", UserWarning)
    return EstimatorPredictor(native, columns, plain, formula_of(native) if plain else None)


def predictor_of(native: Any) -> Predictor | None:
    """What serves a booster or an estimator; None for anything that has no ``predict``."""
    if type(native).__name__ == "Booster" and type(native).__module__.startswith("xgboost"):
        return booster_predictor(native)
    return estimator_predictor(native) if hasattr(native, "predict") else None


def _is_by_place(native: Any) -> bool:
    kind = type(native)
    package, _, rest = kind.__module__.partition(".")
    if kind.__name__ == "Pipeline" and kind.__module__ == "sklearn.pipeline":
        return all(step in {None, "passthrough"} or _is_by_place(step) for _, step in native.steps)
    if package == "xgboost":
        return kind.__module__ == "xgboost.sklearn"
    return package == "sklearn" and (rest.partition(".")[0] in _BY_PLACE or kind.__name__ in _ALSO_BY_PLACE)


def booster_of(path: Path) -> Any:
    """A booster in any format that XGBoost writes, or pickled as SageMaker's images before 1.3 did."""
    import xgboost

    content = path.read_bytes()
    if content[:1] == b"\x80":  # pickle's own first byte
        return pickle.loads(content)  # noqa: S301 - the job's own model, in the job's own sandbox
    booster = xgboost.Booster()
    booster.load_model(bytearray(content))
    return booster


def estimator_of(path: Path) -> Any:
    """A joblib, pickle or skops file's object."""
    if path.suffix == ".skops":
        import skops.io  # type: ignore[import-untyped]

        # As with a pickle: the worker's own model, in the worker's own sandbox.
        return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))
    import joblib

    return joblib.load(path)


def pyfunc_of(folder: Path) -> Any:
    """An MLflow model folder. Raises what MLflow raises."""
    import mlflow.pyfunc

    # What MLflow would warn of is told by ``requirements``, in a hundredth of the time.
    return mlflow.pyfunc.load_model(str(folder), suppress_warnings=True)
