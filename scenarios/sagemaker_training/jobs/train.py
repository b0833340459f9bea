"""Training job, script mode: XGBoost regression of the arrival delay in minutes.

Runs in the sagemaker-xgboost image through the SDK's drivers (hyperparameters arrive as arguments, channels as
SM_CHANNEL_*), or anywhere with xgboost and pandas:

    python train.py --train FOLDER --validation FOLDER --features FOLDER --model-dir FOLDER

Writes one file, `xgboost-model`: the name the image's server looks for. Feature names, encodings and the training
mean travel inside it as the attribute `features`, so that the model can be used without the job that prepared its data.

If MLFLOW_TRACKING_URI is set, parameters and metrics go to the run that MLFLOW_RUN_ID names (or to a new one).
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import xgboost as xgb


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Folders default to SageMaker's; hyperparameters to the ones chosen on the validation month."""
    parser = argparse.ArgumentParser(description=__doc__)
    for channel in ("train", "validation", "features"):
        default = os.environ.get(f"SM_CHANNEL_{channel.upper()}", f"/opt/ml/input/data/{channel}")
        parser.add_argument(f"--{channel}", type=Path, default=Path(default))
    parser.add_argument("--model-dir", type=Path, default=Path(os.environ.get("SM_MODEL_DIR", "/opt/ml/model")))
    parser.add_argument("--max_depth", type=int, default=5)
    parser.add_argument("--eta", type=float, default=0.05)
    parser.add_argument("--subsample", type=float, default=0.8)
    parser.add_argument("--colsample_bytree", type=float, default=0.5)
    parser.add_argument("--min_child_weight", type=float, default=100.0)
    parser.add_argument("--num_round", type=int, default=600)
    parser.add_argument("--early_stopping_rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=2013)
    return parser.parse_args(arguments)


def read(folder: Path, columns: int) -> xgb.DMatrix:
    """The channel's CSV files as one matrix of shape (rows, columns), the label taken from their first column."""
    parts = [pd.read_csv(path, header=None, dtype="float32") for path in sorted(folder.glob("*.csv"))]
    if not parts:
        raise SystemExit(f"{folder} holds no CSV file")
    table = pd.concat(parts).to_numpy()
    if table.shape[1] != columns + 1:
        raise SystemExit(f"{folder} has {table.shape[1] - 1} features, features.json names {columns}")
    return xgb.DMatrix(table[:, 1:], label=table[:, 0])


def fit(
    options: argparse.Namespace, train: xgb.DMatrix, validation: xgb.DMatrix
) -> tuple[xgb.Booster, dict[str, list[float]]]:
    """Train with early stopping on the validation month; keep the trees up to the best round.

    Returns the model and its history: {"train" | "validation": [rmse of each round]}.
    """
    names = ("max_depth", "eta", "subsample", "colsample_bytree", "min_child_weight", "seed")
    parameters = {name: getattr(options, name) for name in names}
    history: dict[str, dict[str, list[float]]] = {}
    booster = xgb.train(
        {"objective": "reg:squarederror", "tree_method": "hist", "eval_metric": "rmse", **parameters},
        train,
        num_boost_round=options.num_round,
        evals=[(train, "train"), (validation, "validation")],
        evals_result=history,
        early_stopping_rounds=options.early_stopping_rounds,
        verbose_eval=25,
    )
    best = booster.best_iteration
    kept = {name: values["rmse"][: best + 1] for name, values in history.items()}
    return booster[: best + 1], kept


def log_to_mlflow(parameters: dict[str, Any], history: dict[str, list[float]], final: dict[str, float]) -> str | None:
    """Log to the tracking server that the environment names; returns the run's id, None where there is no server.

    A server that is named and cannot be reached is an error: a run that says it is tracked must be.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return None
    try:
        import mlflow
        from mlflow.entities import Metric
    except ImportError:
        print("MLFLOW_TRACKING_URI is set, but mlflow is not installed in this image: nothing is tracked")
        return None
    with mlflow.start_run() as run:  # takes MLFLOW_RUN_ID where it is given
        client = mlflow.MlflowClient()
        mlflow.log_params(parameters)
        stamp = run.info.start_time
        rounds = [
            Metric(f"{name}_rmse", value, stamp, step)
            for name, values in history.items()
            for step, value in enumerate(values)
        ]
        for start in range(0, len(rounds), 500):
            client.log_batch(run.info.run_id, metrics=rounds[start : start + 500])
        mlflow.log_metrics(final)
        return str(run.info.run_id)


def main(arguments: list[str] | None = None) -> None:
    """Read the channels, train, save, log."""
    options = parse(arguments)
    facts = json.loads((options.features / "features.json").read_text())
    train, validation = (read(folder, len(facts["features"])) for folder in (options.train, options.validation))
    print(f"training on {train.num_row()} flights, {train.num_col()} features; validating on {validation.num_row()}")
    booster, history = fit(options, train, validation)
    booster.set_attr(features=json.dumps(facts))
    options.model_dir.mkdir(parents=True, exist_ok=True)
    (options.model_dir / "xgboost-model").write_bytes(booster.save_raw(raw_format="ubj"))

    final: dict[str, float] = {"best_round": len(history["train"]) - 1}
    for name, values in history.items():
        final[f"best_{name}_rmse"] = values[-1]
        final[f"best_{name}_mse"] = values[-1] ** 2
    folders = {"train", "validation", "features", "model_dir"}
    hyperparameters = {name: value for name, value in vars(options).items() if name not in folders}
    run = log_to_mlflow(hyperparameters, history, final)
    if run:
        print(f"logged to MLflow run {run}")
    # The training job's metric definitions read this line.
    print("final: " + " ".join(f"{name}={value:.6f};" for name, value in final.items()))


if __name__ == "__main__":
    main()
