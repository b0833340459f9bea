"""The work of the five-step pipeline: the same functions for mlparity (as a script), kfp and a warm process.

As a script: ``bench_steps.py prepare|train|evaluate`` in SageMaker's containers' folders. ``bench_steps.py serve``
imports everything and then answers each line (a JSON object) on its standard input with the seconds it took.
"""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
import time
from pathlib import Path

TREES = 20
DEPTH = 12


def prepare(source: Path, train: Path, test: Path) -> None:
    """Read a table of numbers whose last column is the target; split it by row."""
    import pandas as pd

    table = pd.read_csv(source).dropna()
    chosen = table.index % 5 == 0
    table[~chosen].to_csv(train, index=False)
    table[chosen].to_csv(test, index=False)


def fit(train: Path, model: Path) -> None:
    """Fit a forest behind a scaler."""
    import joblib  # type: ignore[import-untyped]
    import pandas as pd
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    table = pd.read_csv(train)
    forest = RandomForestRegressor(n_estimators=TREES, max_depth=DEPTH, max_features=0.5, random_state=0)
    joblib.dump(make_pipeline(StandardScaler(), forest).fit(table.iloc[:, :-1], table.iloc[:, -1]), model)


def score(model: Path, test: Path) -> float:
    """The mean squared error."""
    import joblib
    import pandas as pd
    from sklearn.metrics import mean_squared_error

    table = pd.read_csv(test)
    return float(mean_squared_error(table.iloc[:, -1], joblib.load(model).predict(table.iloc[:, :-1])))


def register(model: Path, mse: float, registry: Path) -> None:
    """A new version in a folder of versions."""
    version = registry / str(len(list(registry.iterdir())) + 1)
    version.mkdir()
    shutil.copy(model, version / "model.joblib")
    (version / "version.json").write_text(json.dumps({"mse": mse, "status": "PendingManualApproval"}))


def report(mse: float) -> str:
    """As SageMaker's model metrics have it."""
    return json.dumps({"regression_metrics": {"mse": {"value": mse}}})


def all_five(source: Path, folder: Path, threshold: float) -> None:
    """The five steps, called one after another."""
    registry = folder / "registry"
    registry.mkdir(exist_ok=True)
    train, test, model = folder / "train.csv", folder / "test.csv", folder / "model.joblib"
    prepare(source, train, test)
    fit(train, model)
    mse = score(model, test)
    (folder / "evaluation.json").write_text(report(mse))
    if mse <= threshold:
        register(model, mse, registry)


def main(step: str) -> None:
    """One step in its SageMaker container's folders."""
    root = Path("/opt/ml/processing")
    if step == "prepare":
        source = next((root / "input/source").glob("*.csv"))
        prepare(source, root / "output/train/train.csv", root / "output/test/test.csv")
    elif step == "train":
        fit(Path("/opt/ml/input/data/train/train.csv"), Path("/opt/ml/model/model.joblib"))
    elif step == "evaluate":
        with tarfile.open(root / "input/model/model.tar.gz") as archive:
            archive.extractall(root / "input/model", filter="data")
        mse = score(root / "input/model/model.joblib", root / "input/test/test.csv")
        (root / "output/report/evaluation.json").write_text(report(mse))
    else:
        raise SystemExit(f"no step {step}")


def serve() -> None:
    """Import everything, then do the five steps whenever a line asks for it."""
    import joblib  # noqa: F401 - imported now, so that no line pays for it
    import pandas as pd  # noqa: F401
    import sklearn.ensemble
    import sklearn.metrics
    import sklearn.pipeline
    import sklearn.preprocessing  # noqa: F401

    for line in sys.stdin:
        wanted = json.loads(line)
        begun = time.perf_counter()
        all_five(Path(wanted["source"]), Path(wanted["folder"]), wanted["threshold"])
        print(time.perf_counter() - begun, flush=True)


if __name__ == "__main__":
    serve() if sys.argv[1] == "serve" else main(sys.argv[1])
