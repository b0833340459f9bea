"""Finds out what lies in a model folder and loads it, once, before the first request."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlparity.serving import exchange, requirements
from mlparity.serving.encoding import JsonForm
from mlparity.serving.exchange import RefusedError
from mlparity.serving.libraries import BoosterPredictor, booster_of, estimator_of, predictor_of, pyfunc_of
from mlparity.serving.model import Formats, LibraryModel, Predictor, Servable
from mlparity.serving.pyfunc import serve_pyfunc
from mlparity.serving.user_code import CodeModel, Context, call, import_code

_LOG = logging.getLogger("mlparity.serving")
_BOOSTERS = (".ubj", ".bst", ".json", ".xgb", ".model")
_ESTIMATORS = (".joblib", ".pkl", ".pickle", ".skops")
_XGBOOST = Formats(exchange.CSV, exchange.CSV, JsonForm.SCORES)
_SKLEARN = Formats(exchange.JSON, exchange.JSON, JsonForm.ARRAY)
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
    mlflow_model = requirements.mlflow_folder(source.folder)
    if mlflow_model is not None:
        accept = source.environment.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "")
        return serve_pyfunc(_pyfunc(mlflow_model, source.environment), accept)
    predictor, formats = _find(source.folder)
    formats = _with_defaults(formats, source.environment)
    parameters = _xgboost_parameters() if formats.json_form is JsonForm.SCORES else None
    return LibraryModel(predictor, formats, parameters)


def _pyfunc(folder: Path, environment: Mapping[str, str]) -> Any:
    wanted = folder / "requirements.txt"
    missing = [] if environment.get(requirements.INSTALLED) or not wanted.is_file() else requirements.unmet(wanted)
    if missing:
        _LOG.warning("%s", requirements.refusal(wanted, missing))
    try:
        return pyfunc_of(folder)
    except ImportError as error:
        said = f" ({requirements.refusal(wanted, missing)})" if missing else ""
        raise RefusedError(500, f"the MLflow model cannot be imported: {error}{said}") from error


def _find(folder: Path) -> tuple[Predictor, Formats]:
    """The predictor in ``folder``: a booster or an estimator, in this order."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path, folder))
    for path in files:
        if path.name == "xgboost-model" or path.suffix in _BOOSTERS:
            return _predictor(booster_of(path))
    for path in files:
        if path.suffix in _ESTIMATORS:
            return _predictor(estimator_of(path))
    names = ", ".join(path.relative_to(folder).as_posix() for path in files) or "nothing"
    raise RefusedError(
        500,
        "no model was found: expected an MLmodel folder, xgboost-model, *.json, *.ubj, *.bst, *.joblib, *.pkl, "
        f"*.skops or code/inference.py; the archive holds {names}",
    )


def _predictor(model: Any) -> tuple[Predictor, Formats]:
    """A pickle may hold either."""
    predictor = predictor_of(model)
    if predictor is None:
        raise RefusedError(500, f"the model file holds a {type(model).__name__}, which has no predict")
    return predictor, _XGBOOST if isinstance(predictor, BoosterPredictor) else _SKLEARN


def _with_code(source: ModelFolder, code: Path, program: str) -> Servable:
    wanted = code / "requirements.txt"
    if wanted.is_file() and not source.environment.get(requirements.INSTALLED):
        missing = requirements.unmet(wanted)
        if missing:  # the toolkit would install them, and not start where it could not
            raise RefusedError(500, requirements.refusal(wanted, missing))
    module = import_code(code, program)
    context = Context(str(source.folder), {"model_dir": str(source.folder)})
    model_fn = getattr(module, "model_fn", None)
    model = call(model_fn, (str(source.folder),), context) if model_fn else _native(source)
    return CodeModel(
        model,
        module,
        code,
        context,
        content_type=source.environment.get("SAGEMAKER_DEFAULT_INVOCATIONS_CONTENT_TYPE", exchange.JSON),
        accept=source.environment.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", exchange.JSON),
    )


def _native(source: ModelFolder) -> Any:
    """What the default ``model_fn`` of our images loads: the library's own object."""
    folder = requirements.mlflow_folder(source.folder)
    return _find(source.folder)[0].native if folder is None else _pyfunc(folder, source.environment)


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
