"""Vertex AI's prediction container contract, and its prebuilt scikit-learn and XGBoost servers.

https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements and
https://cloud.google.com/vertex-ai/docs/predictions/pre-built-containers
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlparity.serving import exchange, loading
from mlparity.serving.contract import HttpRequest, Route
from mlparity.serving.exchange import Payload, RefusedError, Reply, accepted, media_type
from mlparity.serving.json_codec import dumps, loads
from mlparity.serving.libraries import booster_of, estimator_of, predictor_of
from mlparity.serving.loading import ModelFolder
from mlparity.serving.model import Predictor, Servable

_LOG = logging.getLogger("mlparity.serving")
HTTP_PORT, HEALTH_ROUTE, PREDICT_ROUTE = "AIP_HTTP_PORT", "AIP_HEALTH_ROUTE", "AIP_PREDICT_ROUTE"
FRAMEWORK = "AIP_FRAMEWORK"
SKLEARN, XGBOOST = "SCIKIT_LEARN", "XGBOOST"
_PICKLED = ("model.joblib", "model.pkl")
FILES: Mapping[str, tuple[str, ...]] = {SKLEARN: _PICKLED, XGBOOST: (*_PICKLED, "model.bst")}
_PACKAGES = {SKLEARN: "sklearn", XGBOOST: "xgboost"}
_LABELS = {SKLEARN: "sklearn", XGBOOST: "xgboost"}
_INSTANCES = "instances"


@dataclass(frozen=True)
class VertexContract:
    """The health and predict routes that AIP_HEALTH_ROUTE and AIP_PREDICT_ROUTE name."""

    environment: Mapping[str, str]

    def load(self, environment: Mapping[str, str]) -> Servable:
        """What a prebuilt image makes of the artifact folder; any other image's model as ``loading`` finds it."""
        folder = Path(environment.get("SM_MODEL_DIR", "/opt/ml/model"))
        framework = environment.get(FRAMEWORK, "")
        if framework in FILES:
            return prebuilt(folder, framework)
        return loading.load(ModelFolder(folder, environment))

    def routes(self, model: Servable) -> Mapping[tuple[str, str], Route]:
        """The routes of one loaded model."""

        def health(_request: HttpRequest) -> Reply:
            return Reply(b"{}", status=200 if model.healthy() else 503)

        def predict(request: HttpRequest) -> Reply:
            headers = request.headers
            content_type = media_type(headers.get("content-type", "")) or exchange.JSON
            return model.invoke(Payload(request.body, content_type, accepted(headers.get("accept", "")), headers))

        environment = self.environment
        return {
            ("GET", "/ping"): health,
            ("POST", "/invocations"): predict,
            ("GET", environment.get(HEALTH_ROUTE) or "/ping"): health,
            ("POST", environment.get(PREDICT_ROUTE) or "/invocations"): predict,
        }


@dataclass(frozen=True)
class PrebuiltModel:
    """Answers ``{"instances": [...]}`` as the prebuilt images do: the rows as one array, whatever they are."""

    predictor: Predictor
    framework: str
    execution_parameters: Mapping[str, Any] | None = None
    library: bool = True

    def healthy(self) -> bool:
        """It is loaded: that is all there is."""
        return True

    def invoke(self, payload: Payload) -> Reply:
        """``{"predictions": [...]}``. Raises ``RefusedError`` with the images' own sentences as a JSON text."""
        try:
            document = loads(payload.body)
        except ValueError as error:
            raise _failed(f"Could not parse the request body as JSON: {error}") from error
        if not isinstance(document, dict) or not isinstance(document.get(_INSTANCES), list):
            raise _failed('Request must be a JSON object with a "instances" list')
        options = {name: value for name, value in document.items() if name != _INSTANCES and value is not None}
        return Reply(dumps({"predictions": self._predicted(document[_INSTANCES], options)}))

    def _predicted(self, instances: list[Any], options: Mapping[str, Any]) -> Any:
        import numpy as np

        try:
            table = np.array(instances)
        except ValueError as error:
            raise _failed(f"Could not make an array of the instances: {error}") from error
        label = _LABELS[self.framework]
        if options:  # the images pass them on to predict
            name = next(iter(options))
            raise _failed(f"Exception during {label} prediction: predict() got an unexpected keyword argument '{name}'")
        try:
            return self._of_library(table).tolist()
        except RefusedError:
            raise
        except Exception as error:
            raise _failed(f"Exception during {label} prediction: {error}") from error

    def _of_library(self, table: Any) -> Any:
        """As the library's own ``predict``; the quick ways of ``libraries`` give the same, and know the same width."""
        predictor = self.predictor
        if type(predictor.native).__name__ != "Booster":
            return predictor.predict(table)
        quick = table.ndim == 2 and table.dtype.kind in "fiu" and not predictor.columns  # noqa: PLR2004 - rows
        if quick and table.shape[1] == predictor.native.num_features():
            return predictor.predict(table)
        import xgboost

        try:
            matrix = xgboost.DMatrix(table)
        except Exception as error:
            raise _failed(f"Could not initialize DMatrix from inputs: {error}") from error
        return predictor.native.predict(matrix)


def prebuilt(folder: Path, framework: str) -> PrebuiltModel:
    """The model that an image of ``framework`` finds in ``folder``. Raises ``RefusedError`` as the image says it."""
    names = FILES[framework]
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        raise RefusedError(500, f"Could not find any of {', '.join(names)} in the model's artifact folder")
    try:
        native = booster_of(path) if path.suffix == ".bst" else estimator_of(path)
    except Exception as error:
        raise RefusedError(500, f"Could not load the model: {path.name}. {error}") from error
    kind = type(native)
    predictor = predictor_of(native)
    if _PACKAGES[framework] not in kind.__module__ or predictor is None:
        raise RefusedError(
            500,
            f"Invalid model type detected: {kind.__module__}.{kind.__name__}. Please make sure the model file is an "
            f"exported {_PACKAGES[framework]} model.",
        )
    return PrebuiltModel(predictor, framework)


def _failed(message: str) -> RefusedError:
    return RefusedError(400, dumps(f"Prediction failed: {message}").decode() + "\n", exchange.JSON)
