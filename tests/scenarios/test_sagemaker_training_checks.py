"""The scenario's checks notice what they are there to notice."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb

from mlparity.errors import ScenarioError
from mlparity.scenarios import Platform
from scenarios.sagemaker_common.execution import Ended, tell
from scenarios.sagemaker_training import checks
from scenarios.sagemaker_training.artifacts import Artifacts, recompute
from scenarios.sagemaker_training.jobs import evaluate
from scenarios.sagemaker_training.settings import STRICT_THRESHOLD

FACTS = {
    "features": ["signal", "carrier_hour_mean"],
    "train_mean": 5.0,
    "rows": {"train": 2, "validation": 1, "test": 300},
    "months": {"train": [1], "validation": [2], "test": [3]},
}


@pytest.fixture
def platform(tmp_path) -> Platform:
    return Platform(
        profile="embedded",
        local=True,
        region="us-east-1",
        role_arn="arn:aws:iam::123456789012:role/test",
        bucket="bucket",
        tracking_uri="",
        data_dir=tmp_path,
        folder=tmp_path,
        workdir=tmp_path,
        output=io.StringIO(),
    )


@pytest.fixture
def artifacts(tmp_path) -> Artifacts:
    """A model and its evaluation, as the jobs leave them."""
    random = np.random.default_rng(5)
    signal = random.uniform(-1, 1, 300)
    rows = pd.DataFrame({"label": 40 * signal, "signal": signal, "mean": 5.0})
    for name in ("validation", "test"):
        rows.to_csv(tmp_path / f"{name}.csv", header=False, index=False)
    table = rows.to_numpy(dtype="float32")
    booster = xgb.train({"max_depth": 4}, xgb.DMatrix(table[:, 1:], label=table[:, 0]), num_boost_round=20)
    booster.set_attr(features=json.dumps(FACTS))
    (tmp_path / "xgboost-model").write_bytes(booster.save_raw(raw_format="ubj"))
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "xgboost-model", "xgboost-model")
    (tmp_path / "features.json").write_text(json.dumps(FACTS))
    evaluate.main([f"--model={tmp_path}", f"--test={tmp_path}", f"--output={tmp_path}"])
    names = ("validation.csv", "test.csv", "features.json", "evaluation.json", "predictions.csv")
    return Artifacts(tmp_path / "model.tar.gz", *(tmp_path / name for name in names))


def ended(status: str, steps: dict[str, dict[str, Any]]) -> Ended:
    description = {"PipelineExecutionArn": "arn:x/execution/abc", "PipelineExecutionStatus": status}
    return Ended(None, description, steps, 1.0)


def accepted_steps() -> dict[str, dict[str, Any]]:
    steps: dict[str, dict[str, Any]] = {
        name: {"StepStatus": "Succeeded"} for name in (*checks.JOB_STEPS, "CheckMse", "RegisterModel")
    }
    steps["CheckMse"]["Metadata"] = {"Condition": {"Outcome": "True"}}
    return steps


def rejected_steps(message: str) -> dict[str, dict[str, Any]]:
    steps: dict[str, dict[str, Any]] = {name: {"StepStatus": "Succeeded"} for name in (*checks.JOB_STEPS, "CheckMse")}
    steps["CheckMse"]["Metadata"] = {"Condition": {"Outcome": "False"}}
    steps["RejectModel"] = {"StepStatus": "Failed", "Metadata": {"Fail": {"ErrorMessage": message}}}
    return steps


def test_an_accepted_run_is_accepted(platform) -> None:
    checks.steps_of_accepted(platform, ended("Succeeded", accepted_steps()))


def test_a_run_that_skipped_a_step_is_noticed(platform) -> None:
    steps = accepted_steps()
    del steps["Evaluate"]
    with pytest.raises(ScenarioError, match="the steps ended as"):
        checks.steps_of_accepted(platform, ended("Succeeded", steps))


def test_a_failed_run_says_why(platform) -> None:
    steps = accepted_steps()
    steps["Train"] = {"StepStatus": "Failed", "FailureReason": "AlgorithmError: no rows"}
    with pytest.raises(ScenarioError, match="Train: AlgorithmError: no rows"):
        checks.steps_of_accepted(platform, ended("Failed", steps))


def test_predictions_and_report_match_the_model(platform, artifacts) -> None:
    checks.predictions_are_the_models(platform, artifacts, recompute(artifacts))


def test_invented_predictions_are_noticed(platform, artifacts) -> None:
    table = pd.read_csv(artifacts.predictions)
    table["predicted"] += 1.0
    table.to_csv(artifacts.predictions, index=False)
    with pytest.raises(ScenarioError, match=r"predictions\.csv is not what the downloaded model predicts"):
        checks.predictions_are_the_models(platform, artifacts, recompute(artifacts))


def test_an_invented_report_is_noticed(platform, artifacts) -> None:
    report = artifacts.report()
    report["regression_metrics"]["mse"]["value"] *= 0.99
    artifacts.evaluation.write_text(json.dumps(report))
    with pytest.raises(ScenarioError, match="recomputed"):
        checks.predictions_are_the_models(platform, artifacts, recompute(artifacts))


def test_a_model_that_says_one_thing_is_noticed(platform, artifacts) -> None:
    again = recompute(artifacts)
    flat = replace(again, predictions=np.full(again.rows, 5.0))
    pd.DataFrame({"arr_delay": 0.0, "predicted": flat.predictions}).to_csv(artifacts.predictions, index=False)
    with pytest.raises(ScenarioError, match="the same for every flight"):
        checks.predictions_are_the_models(platform, artifacts, flat)


def raw_flights(folder: Path, december: int) -> Path:
    path = folder / "flights.csv"
    months = [1, 1, 2, *([3] * december)]
    pd.DataFrame({"month": months, "arr_delay": [4.0, 6.0, 0.0, *([1.0] * december)]}).to_csv(path, index=False)
    return path


def test_other_data_than_the_raw_file_is_noticed(platform, artifacts, tmp_path) -> None:
    with pytest.raises(ScenarioError, match="the raw file has"):
        checks.data_is_the_raw_data(platform, artifacts, raw_flights(tmp_path, december=299))
    with pytest.raises(ScenarioError, match="baseline"):
        checks.data_is_the_raw_data(platform, artifacts, raw_flights(tmp_path, december=300))


def test_a_rejection_names_the_error_and_the_threshold(platform) -> None:
    message = "The model was not registered: its MSE of 1417.25 is above 1300.0"
    steps = rejected_steps(message)
    assert checks.rejected(platform, ended("Failed", steps), STRICT_THRESHOLD, 1417.25) == message


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ("MSE too high", "the FailStep says"),
        ("The model was not registered: its MSE of 1.5 is above 1300.0", "names MSE 1.5"),
        ("The model was not registered: its MSE of 1417.25 is above 1480.0", "names the threshold 1480.0"),
    ],
)
def test_a_rejection_with_the_wrong_reason_is_noticed(platform, message: str, complaint: str) -> None:
    with pytest.raises(ScenarioError, match=complaint):
        checks.rejected(platform, ended("Failed", rejected_steps(message)), STRICT_THRESHOLD, 1417.25)


def test_a_run_that_broke_is_not_taken_for_a_rejection(platform) -> None:
    steps = {"Preprocess": {"StepStatus": "Failed"}}
    with pytest.raises(ScenarioError, match="the steps ended as"):
        checks.rejected(platform, ended("Failed", steps), STRICT_THRESHOLD, 1417.25)


def report_with(mse: float, baseline: float) -> dict[str, Any]:
    return {
        "regression_metrics": {"mse": {"value": mse}},
        "baselines": {"b": {"mse": {"value": baseline}}},
        "best_baseline": "b",
    }


def test_a_threshold_that_the_baseline_nearly_passes_is_noticed(platform) -> None:
    checks.model_is_worth_it(platform, report_with(1417.0, 1560.3))
    with pytest.raises(ScenarioError, match="too easy"):
        checks.model_is_worth_it(platform, report_with(1417.0, 1500.0))
    with pytest.raises(ScenarioError, match="above the threshold"):
        checks.model_is_worth_it(platform, report_with(1481.0, 1560.3))


def test_each_step_is_told_once_in_the_order_of_its_end(platform) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    steps = {
        name: {
            "StepName": name,
            "StepStatus": "Succeeded",
            "StartTime": start,
            "EndTime": start + timedelta(seconds=seconds),
        }
        for name, seconds in (("Late", 9), ("Early", 2))
    }
    steps["Running"] = {"StepName": "Running", "StepStatus": "Executing", "StartTime": start}
    told: set[str] = set()
    tell(platform, steps, told)
    tell(platform, steps, told)
    lines = platform.output.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["Early", "Late"]
