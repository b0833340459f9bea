"""The model as code: MLflow logs this file, and runs it where the model is loaded.

https://mlflow.org/docs/latest/ml/model/models-from-code/
"""

from __future__ import annotations

from typing import Any

import joblib
import pandas as pd
from arrival_rules import late, prepared  # type: ignore[import-not-found]  # logged beside this file
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class ArrivalDelay(PythonModel):  # type: ignore[misc,unused-ignore]  # MLflow has no types
    """Flights as people write them in, minutes and a verdict out."""

    def load_context(self, context: Any) -> None:
        """The estimator is an artifact of the model."""
        self._estimator = joblib.load(context.artifacts["estimator"])

    def predict(self, context: Any, model_input: pd.DataFrame) -> pd.DataFrame:  # noqa: ARG002 - MLflow's signature
        """A row a flight: ``delay_minutes`` (early is negative), ``late``."""
        minutes = self._estimator.predict(prepared(model_input)).round(3)
        return pd.DataFrame({"delay_minutes": minutes, "late": late(minutes)})


set_model(ArrivalDelay())
