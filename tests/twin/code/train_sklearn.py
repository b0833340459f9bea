"""A linear model on the first column of the channel's CSV files, as a user of the SKLearn estimator writes it."""

import argparse
import json
import os
from pathlib import Path

import joblib
import numpy as np
from shared import read
from sklearn.linear_model import Ridge

parser = argparse.ArgumentParser()
parser.add_argument("--alpha", type=float, default=1.0)
parser.add_argument("--note", default="")
parser.add_argument("--train", default=os.environ["SM_CHANNEL_TRAIN"])
parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
arguments, _ = parser.parse_known_args()

content = read(arguments.train)
if arguments.alpha < 0:
    raise ValueError(f"alpha must not be negative: {arguments.alpha}")
model = Ridge(alpha=arguments.alpha).fit(content[:, 1:], content[:, 0])
error = float(np.mean((model.predict(content[:, 1:]) - content[:, 0]) ** 2))
print(f"train_mse={error:.6f};")
joblib.dump(model, Path(arguments.model_dir) / "model.joblib")
told = {name: value for name, value in os.environ.items() if name.startswith("SM_")}
seen = {"note": arguments.note, "told": told, "mse": error}
Path(os.environ["SM_OUTPUT_DATA_DIR"], "seen.json").write_text(json.dumps(seen))
