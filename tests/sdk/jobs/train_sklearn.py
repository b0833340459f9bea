"""A user's training script: reads its channels and hyperparameters, writes a model and what it saw."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import joblib
import pandas as pd
from sklearn.ensemble import RandomForestRegressor


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trees", type=int)
    parser.add_argument("--max-depth", type=int)
    parser.add_argument("--seed", type=int)
    given, unknown = parser.parse_known_args()

    train = pd.read_csv(Path(os.environ["SM_CHANNEL_TRAIN"]) / "train.csv", header=None).to_numpy()
    held_out = pd.read_csv(Path(os.environ["SM_CHANNEL_HELDOUT"]) / "heldout.csv", header=None).to_numpy()
    model = RandomForestRegressor(given.trees, max_depth=given.max_depth, random_state=given.seed, n_jobs=1)
    model.fit(train[:, 1:], train[:, 0])
    error = float(((model.predict(held_out[:, 1:]) - held_out[:, 0]) ** 2).mean())
    print(f"heldout_mse={error!r};", flush=True)

    model_dir = Path(os.environ["SM_MODEL_DIR"])
    joblib.dump(model, model_dir / "model.joblib")
    seen = {
        "environment": dict(os.environ),
        "unknown": unknown,
        "cwd": str(Path.cwd()),
        "code": sorted(path.name for path in Path.cwd().iterdir()),
        "channels": {
            path.name: sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())
            for path in Path("/opt/ml/input/data").iterdir()
            if path.name != "sm_drivers"
        },
        "config": {path.name: json.loads(path.read_text()) for path in Path("/opt/ml/input/config").glob("*.json")},
    }
    (model_dir / "seen.json").write_text(json.dumps(seen))
    (Path(os.environ["SM_OUTPUT_DATA_DIR"]) / "report.json").write_text(json.dumps({"mse": error}))


if __name__ == "__main__":
    main()
