"""A booster, as a user of the XGBoost estimator's script mode writes it."""

import argparse
import os
from pathlib import Path

import xgboost
from shared import read

parser = argparse.ArgumentParser()
parser.add_argument("--num_round", type=int)
parser.add_argument("--max_depth", type=int)
arguments = parser.parse_args()
content = read(os.environ["SM_CHANNEL_TRAIN"])
data = xgboost.DMatrix(content[:, 1:], label=content[:, 0])
booster = xgboost.train({"max_depth": arguments.max_depth, "seed": 1}, data, arguments.num_round)
booster.save_model(Path(os.environ["SM_MODEL_DIR"]) / "model.json")
