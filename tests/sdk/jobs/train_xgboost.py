"""A user's own script on the XGBoost image."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import xgboost


def main() -> None:
    given = json.loads(os.environ["SM_HPS"])
    table = np.loadtxt(Path(os.environ["SM_CHANNEL_TRAIN"]) / "train.csv", delimiter=",", dtype=np.float32)
    data = xgboost.DMatrix(table[:, 1:], label=table[:, 0])
    model = xgboost.train(given["settings"], data, given["rounds"])
    model.save_model(Path(os.environ["SM_MODEL_DIR"]) / "model.ubj")


if __name__ == "__main__":
    main()
