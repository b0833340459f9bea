"""SageMaker's built-in XGBoost in algorithm mode, as a local program.

Reads /opt/ml/input/config and the channels, writes /opt/ml/model/xgboost-model (XGBoost's native format, as the
containers 1.3-1 and later do), checkpoints, metrics lines in the log, and on failure /opt/ml/output/failure with
exit code 1. https://docs.aws.amazon.com/sagemaker/latest/dg/xgboost.html
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlparity.engine.algorithms import xgboost_checkpoints as checkpoints
from mlparity.engine.algorithms import xgboost_data, xgboost_hyperparameters
from mlparity.engine.algorithms.errors import AlgorithmError, FailureError, PlatformError, UserError
from mlparity.engine.algorithms.xgboost_metrics import MAXIMIZED, METRIC_DEFINITIONS, computed_here, scorer
from mlparity.engine.script_mode import program as script_mode

__all__ = ["METRIC_DEFINITIONS", "main", "run"]

MODEL_NAME = "xgboost-model"
_FRAMEWORK = "sagemaker_xgboost_container.training:main"  # what scripts are told
_NOT_XGBOOSTS = frozenset(
    {"num_round", "csv_weights", "early_stopping_rounds", "eval_metric", "save_model_on_termination"}
    | {"_kfold", "_num_cv_round", "_tuning_objective_metric"}
)
# Texts in XGBoost's errors that tell of a mistake in the data or the hyperparameters, not in the algorithm.
_USER_MISTAKES = (
    "label must be in [0,1] for logistic regression",
    "label must be in [0, num_class)",
    "Target is multiclass but average='binary'",
    "feature_names mismatch",
    "preds.size() == info.labels",
    "the dataset only contains pos or neg samples",
    "base_score must be in (0,1)",
    "label must be nonnegative",
    "should be greater equal to 0",
    "valid values are",
)

_log = logging.getLogger(__name__)


def main() -> None:
    """Run in /opt/ml and exit as the container would: a user's script where the job brings one."""
    root = Path("/opt/ml")
    if os.environ.get("SAGEMAKER_PROGRAM") or "sagemaker_program" in _json(root / "input/config/hyperparameters.json"):
        sys.exit(script_mode.run(root, os.environ, framework_module=_FRAMEWORK, as_module=True))
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stdout,
        format="[%(asctime)s:%(levelname)s] %(message)s",
        datefmt="%Y-%m-%d:%H:%M:%S",
    )
    sys.exit(run(root))


def run(root: Path) -> int:
    """Train with the files under ``root``. 0, or 1 with the reason in ``root``/output/failure."""
    try:
        _train(_read_job(root), root)
    except FailureError as failure:
        return _fail(root, f"{type(failure).__name__}: {failure}")
    except Exception as error:  # noqa: BLE001 - whatever it is goes to the failure file
        _log.exception("training failed")
        return _fail(root, f"{type(error).__name__}: {error}")
    return 0


def _fail(root: Path, reason: str) -> int:
    _log.error(reason)
    output = root / "output"
    output.mkdir(parents=True, exist_ok=True)
    (output / "failure").write_text(f"framework error: \n{reason}\n", "utf-8")
    return 1


@dataclass(frozen=True)
class _Job:
    parameters: Mapping[str, Any]
    train: Any  # DMatrix
    validation: Any | None
    checkpoint_folder: Path | None


def _read_job(root: Path) -> _Job:
    _log.info("Running XGBoost Sagemaker in algorithm mode")
    config = root / "input" / "config"
    given = _json(config / "hyperparameters.json")
    parameters = xgboost_hyperparameters.parse(given)
    if "_kfold" in parameters:
        raise PlatformError("mlparity does not run k-fold cross validation of this algorithm (_kfold)")
    if len(_json(config / "resourceconfig.json").get("hosts", ["algo-1"])) > 1:
        raise PlatformError("mlparity trains this algorithm on one instance: set the instance count to 1")
    channels = _json(config / "inputdataconfig.json")
    xgboost_data.check_channels(channels)
    kind = xgboost_data.content_type(channels["train"].get("ContentType"))
    data = root / "input" / "data"
    weights = parameters.get("csv_weights") == 1
    train = xgboost_data.load(data / "train", kind, weights=weights, pipe=_is_pipe(channels["train"]))
    if train is None:
        raise UserError(f"No data in training channel path {data / 'train'}")
    held_out = channels.get("validation")
    validation = xgboost_data.load(data / "validation", kind, pipe=_is_pipe(held_out)) if held_out is not None else None
    if "validation" in channels and validation is None:
        raise UserError(f"No data in validation channel path {data / 'validation'}")
    return _Job(parameters, train, validation, _checkpoint_folder(root, config))


def _is_pipe(channel: Mapping[str, Any]) -> bool:
    return bool(channel.get("TrainingInputMode") == "Pipe")


def _checkpoint_folder(root: Path, config: Path) -> Path | None:
    local = _json(config / "checkpointconfig.json").get("LocalPath", "/opt/ml/checkpoints")
    inside = Path(str(local))
    folder = root / inside.relative_to("/opt/ml") if inside.is_relative_to("/opt/ml") else inside
    return folder if folder.is_dir() else None


def _json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content


def _train(job: _Job, root: Path) -> None:
    import xgboost

    _check_labels(job)
    _log.info("Single node training.")
    _log.info("Train matrix has %d rows and %d columns", job.train.num_row(), job.train.num_col())
    watched = [(job.train, "train")]
    if job.validation is not None:
        _log.info("Validation matrix has %d rows", job.validation.num_row())
        watched.append((job.validation, "validation"))
    start, done = checkpoints.latest(job.checkpoint_folder) if job.checkpoint_folder else (None, 0)
    if start is not None:
        _log.info("Checkpoint loaded from %s", start)
        _log.info("Resuming from iteration %d", done)
    settings, metrics = _settings(job.parameters)
    model = root / "model" / MODEL_NAME
    callbacks = _callbacks(job, metrics, done, model)
    try:
        booster = xgboost.train(
            settings,
            job.train,
            num_boost_round=max(0, int(job.parameters["num_round"]) - done),
            evals=watched,
            custom_metric=scorer(computed_here(metrics)) if computed_here(metrics) else None,
            callbacks=callbacks,
            xgb_model=_booster(start) if start is not None else None,
            verbose_eval=False,
        )
    except (xgboost.core.XGBoostError, ValueError) as error:
        reason = str(error).partition("\nStack trace:")[0]
        if any(text in reason for text in _USER_MISTAKES):
            raise UserError(reason) from error
        raise AlgorithmError(f"XGB train call failed with exception:\n {reason}") from error
    checkpoints.write(booster, model)


def _check_labels(job: _Job) -> None:
    """What the images' XGBoost said of labels out of range; the present one speaks of its base score instead."""
    objective = str(job.parameters.get("objective", ""))
    classes = job.parameters.get("num_class")
    for matrix in (job.train, job.validation):
        labels = matrix.get_label() if matrix is not None else None
        if labels is None:
            continue
        if objective in {"binary:logistic", "reg:logistic"} and not ((labels >= 0) & (labels <= 1)).all():
            raise UserError("label must be in [0,1] for logistic regression")
        if objective.startswith("multi:") and not ((labels >= 0) & (labels < classes)).all():
            raise UserError("label must be in [0, num_class).")


def _booster(path: Path) -> Any:
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(bytearray(path.read_bytes()))
    return booster


def _settings(parameters: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """XGBoost's own parameters, and all metrics that are asked for (the tuning objective's included)."""
    settings = {name: value for name, value in parameters.items() if name not in _NOT_XGBOOSTS}
    if "updater" in settings:
        settings["updater"] = ",".join(settings["updater"])
    metrics = list(parameters.get("eval_metric", []))
    tuned = str(parameters.get("_tuning_objective_metric", "")).partition(":")[2]
    if tuned and tuned not in metrics:
        metrics.append(tuned)
    native = [metric for metric in metrics if metric not in computed_here(metrics)]
    if native:
        settings["eval_metric"] = native
    elif metrics:
        settings["disable_default_eval_metric"] = True
    return settings, metrics


def _callbacks(job: _Job, metrics: Sequence[str], done: int, model: Path) -> list[Any]:
    from xgboost.callback import EarlyStopping

    from mlparity.engine.algorithms.xgboost_callback import Rounds

    keeps_model = job.parameters.get("save_model_on_termination") == "true"
    if keeps_model:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    callbacks: list[Any] = [Rounds(done, job.checkpoint_folder, model if keeps_model else None)]
    rounds = job.parameters.get("early_stopping_rounds")
    if rounds and job.validation is not None:
        metric = metrics[-1] if metrics else None
        maximize = metric.partition("@")[0] in MAXIMIZED if metric else None
        stopping = EarlyStopping(
            rounds=rounds, data_name="validation", metric_name=metric, maximize=maximize, save_best=True
        )
        callbacks.append(stopping)
    return callbacks


if __name__ == "__main__":
    main()
