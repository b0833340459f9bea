"""Finds out what lies in a model folder and loads it, once, before the first request."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlparity.serving import exchange
from mlparity.serving.encoding import JsonForm
from mlparity.serving.exchange import RefusedError
from mlparity.serving.libraries import (
    BoosterPredictor,
    EstimatorPredictor,
    PyfuncPredictor,
    booster_of,
    estimator_of,
    pyfunc_of,
)
from mlparity.serving.model import Formats, LibraryModel, Predictor, Servable
from mlparity.serving.user_code import CodeModel, Context, call, import_code

_BOOSTERS = (".ubj", ".bst", ".json", ".xgb", ".model")
_ESTIMATORS = (".joblib", ".pkl", ".pickle")
_XGBOOST = Formats(exchange.CSV, exchange.CSV, JsonForm.SCORES)
_SKLEARN = Formats(exchange.JSON, exchange.JSON, JsonForm.ARRAY)
_MLFLOW = Formats(exchange.JSON, exchange.JSON, JsonForm.MLFLOW)
_XGBOOST_PAYLOAD_MB = 6


@dataclass(frozen=True)
class ModelFolder:
    """Where a container's model is, and the environment that says how to serve it.

    ``code`` is the folder with the inference code where it is not ``folder``/code.
    """

    folder: Path
    environment: Mapping[str, str]
    code: Path | None = None


def load(source: ModelFolder) -> Servable:
    """The model that the folder holds. Raises ``RefusedError`` 500 saying what was looked for."""
    code = source.code or source.folder / "code"
    program = source.environment.get("SAGEMAKER_PROGRAM") or (
        "inference.py" if (code / "inference.py").is_file() else ""
    )
    if program:
        return _with_code(source, code, program)
    predictor, formats = find(source.folder)
    formats = _with_defaults(formats, source.environment)
    parameters = _xgboost_parameters() if formats.json_form is JsonForm.SCORES else None
    return LibraryModel(predictor, formats, parameters)


def find(folder: Path) -> tuple[Predictor, Formats]:
    """The predictor in ``folder``: an MLflow model, a booster or an estimator, in this order."""
    for candidate in (folder, *sorted(path for path in folder.glob("*") if path.is_dir())):
        if (candidate / "MLmodel").is_file():
            return PyfuncPredictor(pyfunc_of(candidate)), _MLFLOW
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path, folder))
    for path in files:
        if path.name == "xgboost-model" or path.suffix in _BOOSTERS:
            return _booster(booster_of(path))
    for path in files:
        if path.suffix in _ESTIMATORS:
            return _booster(estimator_of(path))
    names = ", ".join(path.relative_to(folder).as_posix() for path in files) or "nothing"
    raise RefusedError(
        500,
        "no model was found: expected an MLmodel folder, xgboost-model, *.json, *.ubj, *.bst, *.joblib, *.pkl or "
        f"code/inference.py; the archive holds {names}",
    )


def _booster(model: Any) -> tuple[Predictor, Formats]:
    """A pickle may hold either."""
    if type(model).__name__ == "Booster":
        return BoosterPredictor(model), _XGBOOST
    if not hasattr(model, "predict"):
        raise RefusedError(500, f"the model file holds a {type(model).__name__}, which has no predict")
    return EstimatorPredictor(model), _SKLEARN


def _with_code(source: ModelFolder, code: Path, program: str) -> Servable:
    module = import_code(code, program)
    context = Context(str(source.folder), {"model_dir": str(source.folder)})
    model_fn = getattr(module, "model_fn", None)
    model = call(model_fn, (str(source.folder),), context) if model_fn else find(source.folder)[0].native
    return CodeModel(
        model,
        module,
        context,
        content_type=source.environment.get("SAGEMAKER_DEFAULT_INVOCATIONS_CONTENT_TYPE", exchange.JSON),
        accept=source.environment.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", exchange.JSON),
    )


def _with_defaults(formats: Formats, environment: Mapping[str, str]) -> Formats:
    accept = environment.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT")
    return Formats(formats.content_type, accept, formats.json_form) if accept else formats


def _xgboost_parameters() -> Mapping[str, Any]:
    """What SageMaker's XGBoost image answers: a request for each processor."""
    return {
        "MaxConcurrentTransforms": os.cpu_count() or 1,
        "BatchStrategy": "MULTI_RECORD",
        "MaxPayloadInMB": _XGBOOST_PAYLOAD_MB,
    }


def _is_hidden(path: Path, folder: Path) -> bool:
    """Hidden files, and the inference code's folder."""
    parts = path.relative_to(folder).parts
    return parts[0] == "code" or any(part.startswith(".") for part in parts)
