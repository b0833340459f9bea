"""Training and evaluation as plain scripts: the model learns what is there, the report says what was predicted."""

from __future__ import annotations

import json
import tarfile

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb

from scenarios.sagemaker_training.jobs import evaluate, train

FACTS = {
    "features": ["signal", "carrier_hour_mean"],
    "train_mean": 5.0,
    "months": {"train": [1], "validation": [2], "test": [3]},
}


@pytest.fixture
def channels(tmp_path):
    """Rows whose label is a step in `signal` plus a little noise; `carrier_hour_mean` says nothing."""
    random = np.random.default_rng(11)
    for name, count in {"train": 2000, "validation": 400, "test": 500}.items():
        signal = random.uniform(-1, 1, count)
        label = np.where(signal > 0, 20.0, -10.0) + random.normal(0, 1, count)
        (tmp_path / name).mkdir()
        table = pd.DataFrame({"label": label, "signal": signal, "mean": 5.0 + random.normal(0, 0.1, count)})
        table.to_csv(tmp_path / name / f"{name}.csv", header=False, index=False)
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "features.json").write_text(json.dumps(FACTS))
    return tmp_path


@pytest.fixture
def without_tracking(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def train_in(folder, **options: object) -> None:
    arguments = [f"--{name}={folder / name}" for name in ("train", "validation", "features")]
    arguments += [f"--model-dir={folder / 'model'}", "--num_round=80", "--eta=0.3", "--min_child_weight=5"]
    train.main(arguments + [f"--{name}={value}" for name, value in options.items()])


def saved_model(folder) -> xgb.Booster:
    return xgb.Booster(model_file=bytearray((folder / "model" / "xgboost-model").read_bytes()))


def archive(folder) -> None:
    with tarfile.open(folder / "model" / "model.tar.gz", "w:gz") as tar:
        tar.add(folder / "model" / "xgboost-model", "xgboost-model")


def test_training_saves_one_self_describing_model(channels, without_tracking, capsys) -> None:
    train_in(channels)
    assert [path.name for path in (channels / "model").iterdir()] == ["xgboost-model"]
    booster = saved_model(channels)
    assert json.loads(booster.attr("features")) == FACTS
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("final: best_round=")
    assert f"best_round={booster.num_boosted_rounds() - 1:.6f};" in last


def test_only_the_trees_up_to_the_best_round_are_kept(channels, without_tracking, capsys) -> None:
    train_in(channels, num_round=300, early_stopping_rounds=3)
    booster = saved_model(channels)
    table = pd.read_csv(channels / "validation" / "validation.csv", header=None, dtype="float32").to_numpy()
    mse = float(np.mean((table[:, 0] - booster.predict(xgb.DMatrix(table[:, 1:]))) ** 2))
    assert booster.num_boosted_rounds() < 300
    assert f"best_validation_mse={mse:.3f}" in capsys.readouterr().out


def test_the_same_seed_gives_the_same_model(channels, without_tracking) -> None:
    train_in(channels)
    first = (channels / "model" / "xgboost-model").read_bytes()
    train_in(channels)
    assert (channels / "model" / "xgboost-model").read_bytes() == first


def test_a_channel_that_does_not_fit_the_feature_list_is_refused(channels, without_tracking) -> None:
    (channels / "features" / "features.json").write_text(json.dumps({**FACTS, "features": ["signal"]}))
    with pytest.raises(SystemExit, match=r"has 2 features, features\.json names 1"):
        train_in(channels)


def test_an_empty_channel_is_refused(channels, without_tracking) -> None:
    (channels / "train" / "train.csv").unlink()
    with pytest.raises(SystemExit, match="holds no CSV file"):
        train_in(channels)


def test_evaluation_reports_what_the_model_predicts(channels, without_tracking) -> None:
    train_in(channels)
    archive(channels)
    evaluate.main([f"--model={channels / 'model'}", f"--test={channels / 'test'}", f"--output={channels / 'out'}"])
    report = json.loads((channels / "out" / "evaluation.json").read_text())
    stored = pd.read_csv(channels / "out" / "predictions.csv")

    booster = saved_model(channels)
    table = pd.read_csv(channels / "test" / "test.csv", header=None, dtype="float32").to_numpy()
    predicted = booster.predict(xgb.DMatrix(table[:, 1:]))
    assert np.allclose(stored["predicted"], predicted)
    assert report["test_rows"] == 500
    mse = report["regression_metrics"]["mse"]["value"]
    assert mse == pytest.approx(float(np.mean((table[:, 0] - predicted) ** 2)), rel=1e-5)
    assert mse < 4.0
    assert report["baselines"]["train_mean"]["mse"]["value"] == pytest.approx(
        np.mean((table[:, 0] - 5.0) ** 2), rel=1e-5
    )
    assert report["mse_reduction_over_best_baseline"] > 0.9


def test_metrics_are_the_textbooks() -> None:
    metrics = evaluate.regression_metrics(np.array([0.0, 2.0, 4.0]), np.array([1.0, 2.0, 2.0]))
    assert metrics["mse"]["value"] == pytest.approx(5 / 3)
    assert metrics["rmse"]["value"] == pytest.approx((5 / 3) ** 0.5)
    assert metrics["mae"]["value"] == pytest.approx(1.0)
    assert metrics["r2"]["value"] == pytest.approx(1 - 5 / 8)


def test_the_report_compares_with_the_best_baseline() -> None:
    actual = np.array([0.0, 2.0, 4.0])
    baselines = {"poor": np.full(3, 9.0), "fair": np.full(3, 2.0)}
    report = evaluate.report(actual, actual + 1.0, baselines)
    assert report["best_baseline"] == "fair"
    assert report["mse_reduction_over_best_baseline"] == pytest.approx(1 - 1.0 / (8 / 3))


def test_an_archive_without_the_model_is_refused(tmp_path) -> None:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz"):
        pass
    with pytest.raises(KeyError, match="xgboost-model"):
        evaluate.load_model(tmp_path / "model.tar.gz")
