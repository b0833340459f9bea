"""Processing job: measure the model on the test months, beside the baselines it has to beat.

Runs in the sagemaker-xgboost image, or anywhere with xgboost and pandas:

    python evaluate.py --model FOLDER --test FOLDER --output FOLDER

Reads model.tar.gz and the test CSV (label first, no header). Writes evaluation.json and predictions.csv (label and
prediction, minutes). The baselines know what a timetable reader knows: the mean delay of the training months, and the
mean of the flight's carrier at that hour.
"""

from __future__ import annotations

import argparse
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xgboost as xgb


def load_model(archive: Path) -> tuple[xgb.Booster, dict[str, Any]]:
    """The booster in SageMaker's model.tar.gz, and the facts about its features that it carries."""
    with tarfile.open(archive) as tar:
        member = tar.extractfile("xgboost-model")
        if member is None:
            raise SystemExit(f"{archive} holds no file xgboost-model")
        booster = xgb.Booster(model_file=bytearray(member.read()))
    return booster, json.loads(booster.attr("features") or "{}")


def regression_metrics(actual: np.ndarray, predicted: np.ndarray) -> dict[str, dict[str, float]]:
    """MSE, RMSE, MAE and R2 of predictions in minutes, in the layout of SageMaker's model quality reports.

    R2 compares with the mean of `actual` itself, which no forecaster could have known.
    """
    error = actual - predicted
    mse = float(np.mean(error**2))
    values = {
        "mse": mse,
        "rmse": mse**0.5,
        "mae": float(np.mean(np.abs(error))),
        "r2": 1.0 - mse / float(np.var(actual)),
    }
    return {name: {"value": value} for name, value in values.items()}


def report(actual: np.ndarray, predicted: np.ndarray, baselines: dict[str, np.ndarray]) -> dict[str, Any]:
    """The evaluation: the model's metrics, each baseline's, and how much of the best baseline's MSE the model saves."""
    model = regression_metrics(actual, predicted)
    measured = {name: regression_metrics(actual, values) for name, values in baselines.items()}
    best = min(measured, key=lambda name: measured[name]["mse"]["value"])
    saved = 1.0 - model["mse"]["value"] / measured[best]["mse"]["value"]
    return {
        "regression_metrics": model,
        "baselines": measured,
        "best_baseline": best,
        "mse_reduction_over_best_baseline": saved,
        "test_rows": len(actual),
    }


def main(arguments: list[str] | None = None) -> None:
    """Load, predict, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("/opt/ml/processing/model"))
    parser.add_argument("--test", type=Path, default=Path("/opt/ml/processing/test"))
    parser.add_argument("--output", type=Path, default=Path("/opt/ml/processing/evaluation"))
    paths = parser.parse_args(arguments)

    booster, facts = load_model(paths.model / "model.tar.gz")
    test = pd.read_csv(paths.test / "test.csv", header=None, dtype="float32").to_numpy()
    actual = test[:, 0].astype("float64")
    predicted = booster.predict(xgb.DMatrix(test[:, 1:])).astype("float64")
    carrier_hour = test[:, 1 + facts["features"].index("carrier_hour_mean")].astype("float64")
    baselines = {"train_mean": np.full(len(actual), facts["train_mean"]), "carrier_hour_mean": carrier_hour}
    evaluation = report(actual, predicted, baselines)
    evaluation["months"] = facts["months"]

    paths.output.mkdir(parents=True, exist_ok=True)
    (paths.output / "evaluation.json").write_text(json.dumps(evaluation, indent=1))
    pd.DataFrame({"arr_delay": actual, "predicted": predicted}).to_csv(paths.output / "predictions.csv", index=False)
    for name, metrics in {"model": evaluation["regression_metrics"], **evaluation["baselines"]}.items():
        print(f"{name:18s}" + "  ".join(f"{metric} {entry['value']:.4f}" for metric, entry in metrics.items()))


if __name__ == "__main__":
    main()
