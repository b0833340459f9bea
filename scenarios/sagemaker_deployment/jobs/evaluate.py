"""Processing: the new model's error, and the champion's on the very same flights."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import xgboost

_ROOT = Path("/opt/ml/processing")


def main() -> None:
    """Write evaluation/evaluation.json."""
    test = pd.read_csv(_ROOT / "test" / "test.csv", header=None)
    truth, features = test[0].to_numpy(), test.drop(columns=0)
    report = {
        "regression_metrics": {"mse": {"value": error_of("model", truth, features)}},
        "baseline_metrics": {"mse": {"value": float(np.mean((truth - truth.mean()) ** 2))}},
        "flights": len(truth),
    }
    if any((_ROOT / "champion").glob("*.tar.gz")):
        report["champion_metrics"] = {"mse": {"value": error_of("champion", truth, features)}}
    folder = _ROOT / "evaluation"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluation.json").write_text(json.dumps(report), "utf-8")
    print(json.dumps(report))


def error_of(name: str, truth: np.ndarray, features: pd.DataFrame) -> float:
    """The mean squared error of the model in ``name``/*.tar.gz."""
    (archive,) = (_ROOT / name).glob("*.tar.gz")
    folder = Path("/tmp") / name
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    booster = xgboost.Booster()
    booster.load_model(folder / "xgboost-model")
    return float(np.mean((booster.predict(xgboost.DMatrix(features.to_numpy())) - truth) ** 2))


if __name__ == "__main__":
    main()
