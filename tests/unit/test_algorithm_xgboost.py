"""The built-in XGBoost: contract files in, model, metrics lines and failures out."""

from __future__ import annotations

import json
import os
import re
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xgboost

from mlparity.engine.algorithms.errors import UserError
from mlparity.engine.algorithms.xgboost import METRIC_DEFINITIONS, run
from mlparity.engine.algorithms.xgboost_data import content_type
from mlparity.engine.algorithms.xgboost_hyperparameters import parse


def _data(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, 3))
    label = features @ np.array([2.0, -1.0, 0.5]) + rng.normal(scale=0.1, size=rows)
    return pd.DataFrame(np.column_stack([label, features]))


def _job(root: Path, hyperparameters: dict[str, str], kind: str = "text/csv", **extra: object) -> Path:
    config = root / "input" / "config"
    config.mkdir(parents=True)
    (config / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    channel = {"ContentType": kind, "TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"}
    (config / "inputdataconfig.json").write_text(json.dumps({"train": channel, "validation": channel, **extra}))
    for name, rows, seed in (("train", 200, 1), ("validation", 80, 2)):
        folder = root / "input" / "data" / name
        folder.mkdir(parents=True)
        frame = _data(rows, seed)
        if kind.startswith("text/csv"):
            frame.to_csv(folder / "part-0.csv", header=False, index=False)
        elif kind == "text/libsvm":
            lines = [f"{row[0]} " + " ".join(f"{i}:{v}" for i, v in enumerate(row[1:])) for row in frame.to_numpy()]
            (folder / "part-0").write_text("\n".join(lines) + "\n")
        else:
            frame.columns = ["y", "a", "b", "c"]
            frame.to_parquet(folder / "part-0.parquet")
    return root


def _rmse(root: Path) -> float:
    booster = xgboost.Booster()
    booster.load_model(bytearray((root / "model" / "xgboost-model").read_bytes()))
    data = _data(80, 2).to_numpy(dtype=np.float32)
    predicted = booster.predict(xgboost.DMatrix(data[:, 1:]))
    return float(np.sqrt(np.mean((predicted - data[:, 0]) ** 2)))


@pytest.mark.parametrize("kind", ["text/csv; label_size=1", "text/libsvm", "application/x-parquet"])
def test_trains_on_every_format(tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = _job(tmp_path, {"num_round": "30", "objective": "reg:squarederror", "eta": "0.3"}, kind)
    assert run(root) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[") and "#011" in line]
    assert len(lines) == 30
    found = re.search(METRIC_DEFINITIONS["validation:rmse"], lines[-1])
    assert found is not None
    assert float(found[1]) == pytest.approx(_rmse(root), abs=1e-4)
    assert float(found[1]) < 1.0
    assert re.search(METRIC_DEFINITIONS["train:rmse"], lines[0])


def test_metrics_of_the_container_and_early_stopping_keep_the_best_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = {"num_round": "300", "eta": "0.9", "eval_metric": "rmse,r2,mae", "early_stopping_rounds": "5"}
    root = _job(tmp_path, wanted)
    assert run(root) == 0
    out = capsys.readouterr().out
    scores = [float(value) for value in re.findall(r"#011validation-mae:([\d.]+)", out)]
    assert 5 < len(scores) < 300
    assert "#011validation-r2:0." in out
    booster = xgboost.Booster()
    booster.load_model(bytearray((root / "model" / "xgboost-model").read_bytes()))
    assert booster.num_boosted_rounds() == scores.index(min(scores)) + 1


def test_weights_come_from_the_second_column(tmp_path: Path) -> None:
    root = _job(tmp_path, {"num_round": "3", "csv_weights": "1"})
    frame = _data(200, 1)
    frame.insert(1, "weight", np.where(np.arange(200) < 100, 1.0, 0.0))
    frame.to_csv(root / "input" / "data" / "train" / "part-0.csv", header=False, index=False)
    assert run(root) == 0
    assert (root / "model" / "xgboost-model").exists()


def test_resumes_from_the_newest_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = _job(tmp_path, {"num_round": "8"})
    (root / "checkpoints").mkdir()
    assert run(root) == 0
    names = sorted(path.name for path in (root / "checkpoints").iterdir())
    assert names == [f"xgboost-checkpoint.{number}" for number in range(3, 8)]
    capsys.readouterr()
    (root / "input" / "config" / "hyperparameters.json").write_text(json.dumps({"num_round": "10"}))
    assert run(root) == 0
    shown = re.findall(r"^\[(\d+)\]#011", capsys.readouterr().out, re.MULTILINE)
    assert shown == ["8", "9"]
    booster = xgboost.Booster()
    booster.load_model(bytearray((root / "model" / "xgboost-model").read_bytes()))
    assert booster.num_boosted_rounds() == 10


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "Missing required hyperparameter: num_round"),
        ({"num_round": "5", "depth": "3"}, "Extraneous hyperparameter found: depth"),
        ({"num_round": "five"}, "Hyperparameter num_round: could not parse value (caused by ValueError)"),
        ({"num_round": "0"}, "Hyperparameter num_round: 0 is not in [1, +inf)"),
        ({"num_round": "5", "subsample": "0"}, "Hyperparameter subsample: 0.0 is not in (0, 1]"),
        ({"num_round": "5", "objective": "multi:softmax"}, "Require input for parameter 'num_class'"),
        ({"num_round": "5", "eval_metric": "rmse,nope"}, "Hyperparameter eval_metric: value ['rmse', 'nope'] not in"),
        ({"num_round": "5", "eval_metric": "rmse@1"}, "Metric 'rmse@1' is not supported."),
        ({"num_round": "5", "eval_metric": "auc"}, "Metric 'auc' can only be applied for"),
        ({"num_round": "5", "monotone_constraints": "(1,0)"}, "monotone_constraints can be used only when"),
    ],
)
def test_hyperparameters_are_refused_as_the_container_does(given: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        parse(given)


def test_hyperparameters_are_typed_and_aliases_known() -> None:
    values = parse(
        {
            "num_round": "5",
            "learning_rate": "0.1",
            "eval_metric": "error@0.7,logloss",
            "objective": "binary:logistic",
            "tree_method": "hist",
            "interaction_constraints": "[[1, 2], [3]]",
        }
    )
    assert values["eta"] == 0.1
    assert values["eval_metric"] == ["error@0.7", "logloss"]
    assert values["interaction_constraints"] == [[1, 2], [3]]


def test_failure_is_written_for_the_control_plane(tmp_path: Path) -> None:
    root = _job(tmp_path, {"num_round": "5", "nope": "1"})
    assert run(root) == 1
    assert "UserError: Extraneous hyperparameter found: nope" in (root / "output" / "failure").read_text()
    assert not (root / "model").exists()


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda root: (root / "input/data/train/part-0.csv").write_text("label,a,b\n1,2,3\n"), "Failed to load csv"),
        (lambda root: (root / "input/data/train/.hidden").write_text("1,2"), "Hidden file found in the data path!"),
        (lambda root: (root / "input/data/train/part-0.csv").unlink(), "No data in training channel path"),
        (lambda root: (root / "input/data/validation/part-0.csv").unlink(), "No data in validation channel path"),
    ],
)
def test_bad_data_is_the_callers_mistake(tmp_path: Path, prepare: object, message: str) -> None:
    root = _job(tmp_path, {"num_round": "5"})
    prepare(root)  # type: ignore[operator]
    assert run(root) == 1
    assert message in (root / "output" / "failure").read_text()


def test_labels_out_of_range_are_the_callers_mistake(tmp_path: Path) -> None:
    root = _job(tmp_path, {"num_round": "5", "objective": "binary:logistic"})
    assert run(root) == 1
    assert "UserError: label must be in [0,1] for logistic regression" in (root / "output" / "failure").read_text()


def _piped(root: Path) -> Path:
    """The same job with its channels in Pipe mode; its files lie aside."""
    config = root / "input" / "config" / "inputdataconfig.json"
    channels = json.loads(config.read_text())
    config.write_text(json.dumps({name: {**each, "TrainingInputMode": "Pipe"} for name, each in channels.items()}))
    return (root / "input" / "data").rename(root / "aside")


def test_csv_through_pipes_gives_the_same_model(tmp_path: Path) -> None:
    given = {"num_round": "5", "objective": "reg:squarederror"}
    from_files, from_pipes = _job(tmp_path / "files", given), _job(tmp_path / "pipes", given)
    assert run(from_files) == 0
    aside = _piped(from_pipes)
    data = from_pipes / "input" / "data"
    data.mkdir()

    def feed(name: str) -> None:
        (data / f"{name}_0").write_bytes((aside / name / "part-0.csv").read_bytes())  # waits for the reader

    for name in ("train", "validation"):
        os.mkfifo(data / f"{name}_0")
    feeders = [threading.Thread(target=feed, args=(name,), daemon=True) for name in ("train", "validation")]
    for feeder in feeders:
        feeder.start()
    assert run(from_pipes) == 0
    for feeder in feeders:
        feeder.join()
    models = [(root / "model" / "xgboost-model").read_bytes() for root in (from_files, from_pipes)]
    assert models[0] == models[1]


def test_other_formats_are_refused_in_pipe_mode(tmp_path: Path) -> None:
    root = _job(tmp_path, {"num_round": "5"}, "text/libsvm")
    _piped(root)
    assert run(root) == 1
    assert "UserError: Pipe mode not supported for LibSVM." in (root / "output" / "failure").read_text()


def test_extra_channel_is_refused(tmp_path: Path) -> None:
    root = _job(tmp_path, {"num_round": "5"}, test={"ContentType": "text/csv"})
    assert run(root) == 1
    assert "Extraneous channel found: test" in (root / "output" / "failure").read_text()


def test_content_types() -> None:
    assert content_type(None) == "libsvm"
    assert content_type("text/csv;label_size=1") == "csv"
    with pytest.raises(UserError, match="label_size must be equal to 1"):
        content_type("text/csv; label_size=2")
    with pytest.raises(UserError, match=r"application/json is not an accepted ContentType: csv"):
        content_type("application/json")
