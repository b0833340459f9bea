"""Predictors of the libraries that the server knows: XGBoost, scikit-learn, MLflow's pyfunc."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlparity.serving.decoding import Table
from mlparity.serving.exchange import bad_request


@dataclass(frozen=True)
class BoosterPredictor:
    """An ``xgboost.Booster``: rows in its column order, missing values as NaN."""

    native: Any

    @property
    def columns(self) -> Sequence[str]:
        """The feature names it was trained with."""
        return tuple(self.native.feature_names or ())

    def predict(self, table: Table) -> Any:
        """With the best iteration where early stopping found one, as XGBoost's own ``predict``."""
        import numpy as np
        import xgboost

        expected = self.native.num_features()
        columns = self.columns
        if columns and hasattr(table, "columns") and set(columns) <= set(table.columns):
            table = table[list(columns)]
        elif hasattr(table, "columns"):
            table = table.to_numpy(dtype=np.float32)
        if table.shape[1] > expected or (table.shape[1] < expected and isinstance(table, np.ndarray)):
            raise bad_request(
                f"Unable to evaluate payload provided: Feature size of inference data {table.shape[1]} "
                f"is not consistent with feature size of trained model {expected}."
            )
        if table.shape[1] < expected and not hasattr(table, "columns"):  # LIBSVM leaves trailing zeros out
            table.resize(table.shape[0], expected)
        matrix = xgboost.DMatrix(table)
        best = getattr(self.native, "best_iteration", None) if self.native.attr("best_iteration") else None
        span = (0, best + 1) if best is not None else (0, 0)
        return self.native.predict(matrix, validate_features=False, iteration_range=span)


@dataclass(frozen=True)
class EstimatorPredictor:
    """Anything with scikit-learn's ``predict``."""

    native: Any

    @property
    def columns(self) -> Sequence[str]:
        """``feature_names_in_``, where it was fitted on a frame."""
        return tuple(str(name) for name in getattr(self.native, "feature_names_in_", ()))

    def predict(self, table: Table) -> Any:
        """Its ``predict``."""
        return self.native.predict(table)


@dataclass(frozen=True)
class PyfuncPredictor:
    """An MLflow ``python_function`` model."""

    native: Any

    @property
    def columns(self) -> Sequence[str]:
        """The names in its signature."""
        schema = self.native.metadata.get_input_schema()
        if schema is None or not schema.has_input_names():
            return ()
        return tuple(schema.input_names())

    def predict(self, table: Table) -> Any:
        """Its ``predict``, its signature enforced. Whole numbers of a payload fit a signature's doubles."""
        schema = self.native.metadata.get_input_schema()
        if schema is not None and hasattr(table, "columns") and not schema.is_tensor_spec():
            kinds = dict(zip(schema.input_names(), schema.pandas_types(), strict=True))
            table = table.astype({name: kind for name, kind in kinds.items() if name in table.columns})
        return self.native.predict(table)


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
    """A joblib or pickle file's object."""
    import joblib

    return joblib.load(path)


def pyfunc_of(folder: Path) -> Any:
    """An MLflow model folder. Raises what MLflow raises."""
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(str(folder))
