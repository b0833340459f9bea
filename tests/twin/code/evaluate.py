"""Evaluates the model of an archive on held-out rows, as a user of a processor writes it."""

import json
import tarfile
from pathlib import Path

import joblib
import numpy as np

base = Path("/opt/ml/processing")
with tarfile.open(base / "model/model.tar.gz") as archive:
    archive.extractall(base / "model")
content = np.loadtxt(base / "test/part.csv", delimiter=",")
model = joblib.load(base / "model/model.joblib")
error = float(np.mean((model.predict(content[:, 1:]) - content[:, 0]) ** 2))
(base / "evaluation/evaluation.json").write_text(json.dumps({"regression": {"mse": {"value": error}}}))
