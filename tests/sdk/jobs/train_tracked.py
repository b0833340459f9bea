"""A user's script with MLflow: the stack gives it the server and the run; it logs as anywhere."""

from __future__ import annotations

import json
import os
from pathlib import Path

import mlflow
import numpy as np
from sklearn.linear_model import Ridge


def main() -> None:
    features = np.array([[0.0, 1.0], [2.0, 0.0], [1.0, 5.0], [4.0, 3.0]])
    model = Ridge(alpha=0.5).fit(features, [1.0, 2.0, 3.0, 4.0])
    given = os.environ["MLFLOW_RUN_ID"]  # start_run takes it out
    with mlflow.start_run() as run:
        mlflow.log_param("alpha", 0.5)
        for step, value in enumerate([3.0, 2.0, 1.5]):
            mlflow.log_metric("loss", value, step=step)
        mlflow.set_tag("owner", "sdk-tests")
        mlflow.log_text("written in the job\n", "notes/note.txt")
        mlflow.sklearn.log_model(model, name="model", pip_requirements=["scikit-learn"])
    seen = {"run": run.info.run_id, "given": given, "uri": os.environ["MLFLOW_TRACKING_URI"]}
    Path(os.environ["SM_MODEL_DIR"], "seen.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
