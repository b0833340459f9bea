"""The parts' checks notice what they are there to notice."""

from __future__ import annotations

import importlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlparity.errors import ScenarioError
from mlparity.scenarios import Platform
from scenarios.sagemaker_common.execution import Ended

FIRST, AGAIN = "arn:x/execution/first", "arn:x/execution/again"
JOBS = ("Preprocess", "Train", "Evaluate")


@pytest.fixture(scope="module")
def parts() -> Iterator[SimpleNamespace]:
    """The modules, which import the SDK: it wants a region, warns, and turns the root logger to INFO."""
    level = logging.root.level
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        warnings.simplefilter("ignore")
        names = ("cached", "transform", "tuning")
        yield SimpleNamespace(
            **{name: importlib.import_module(f"scenarios.sagemaker_training.parts.{name}") for name in names}
        )
    logging.root.setLevel(level)


@pytest.fixture
def work(tmp_path: Path) -> Any:
    platform = Platform(
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
    return SimpleNamespace(platform=platform)


def ended(arn: str, seconds: float, source: str = "") -> Ended:
    steps: dict[str, dict[str, Any]] = {
        name: {"StepStatus": "Succeeded", "Metadata": {"Job": f"{name} of {source or arn}"}}
        for name in (*JOBS, "CheckMse", "RegisterModel")
    }
    steps["CheckMse"]["Metadata"] = {"Condition": {"Outcome": "True"}}
    if source:
        for name in JOBS:
            steps[name]["CacheHitResult"] = {"SourcePipelineExecutionArn": source}
    return Ended(None, {"PipelineExecutionArn": arn, "PipelineExecutionStatus": "Succeeded"}, steps, seconds)


@pytest.fixture
def cached(parts: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The check of the part `cached`, with what it would ask SageMaker."""
    monkeypatch.setattr(parts.cached, "jobs_of", lambda _, run: [] if "CacheHitResult" in run.steps["Train"] else JOBS)
    monkeypatch.setattr(parts.cached, "model_of", lambda *_: ("model", "evaluation"))
    return parts.cached


def test_a_cached_run_is_accepted(cached: Any, work: Any) -> None:
    cached.check(work, ended(FIRST, 9.0), ended(AGAIN, 0.3, FIRST))


def test_a_run_that_was_not_cached_is_noticed(cached: Any, work: Any) -> None:
    with pytest.raises(ScenarioError, match="Preprocess was not taken from arn:x/execution/first but from None"):
        cached.check(work, ended(FIRST, 9.0), ended(AGAIN, 0.3))
    with pytest.raises(ScenarioError, match="but from arn:x/execution/older"):
        cached.check(work, ended(FIRST, 9.0), ended(AGAIN, 0.3, "arn:x/execution/older"))
    with pytest.raises(ScenarioError, match="of the first execution is a cache hit"):
        cached.check(work, ended(FIRST, 9.0, "arn:x/execution/older"), ended(AGAIN, 0.3, FIRST))
    with pytest.raises(ScenarioError, match=r"it took 9\.1 s"):
        cached.check(work, ended(FIRST, 9.0), ended(AGAIN, 9.1, FIRST))


def test_a_cached_run_with_another_model_or_with_jobs_is_noticed(
    cached: Any, work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached, "model_of", lambda _, run: (run.arn, "evaluation"))
    with pytest.raises(ScenarioError, match="not the cached"):
        cached.check(work, ended(FIRST, 9.0), ended(AGAIN, 0.3, FIRST))
    monkeypatch.setattr(cached, "jobs_of", lambda *_: ["a-job"])
    with pytest.raises(ScenarioError, match="the cached execution ran a-job"):
        cached.check(work, ended(FIRST, 9.0), ended(AGAIN, 0.3, FIRST))


def test_predictions_that_are_not_the_models_are_noticed(parts: SimpleNamespace, work: Any, tmp_path: Path) -> None:
    labels, predictions = np.array([1.0, 2.0, 3.0]), np.array([1.5, 2.5, 2.0])
    pd.DataFrame({"label": labels, "feature": 0.0}).to_csv(tmp_path / "test.csv", header=False, index=False)
    accepted = SimpleNamespace(
        again=SimpleNamespace(rows=3, predictions=predictions), artifacts=SimpleNamespace(test=tmp_path / "test.csv")
    )
    table = np.column_stack([labels, predictions])
    parts.transform.check(work, accepted, table)
    for wrong, complaint in (
        (table[:2], r"wrote \(2, 2\) values"),
        (table[:, ::-1], "are not the test flights'"),
        (np.add(table, [0, 0.01]), "differs by"),
    ):
        with pytest.raises(ScenarioError, match=complaint):
            parts.transform.check(work, accepted, wrong)


def test_a_search_that_is_worse_than_by_hand_or_misreports_is_noticed(
    parts: SimpleNamespace, work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def job(name: str, rmse: float, *values: str) -> dict[str, Any]:
        return {
            "TrainingJobName": name,
            "FinalHyperParameterTuningJobObjectiveMetric": {"Value": rmse},
            "TunedHyperParameters": dict(zip(parts.tuning.TUNED, values, strict=True)),
        }

    hand, other = job("hand", 900.0, *parts.tuning.by_hand()), job("other", 841.0, "9", "9")
    errors = {"hand": 900.0, "other": 841.0}
    monkeypatch.setattr(parts.tuning, "model", lambda _, name: name)
    monkeypatch.setattr(parts.tuning, "model_mse", lambda name, _: errors[name])
    again = SimpleNamespace(validation_mse=900.0)
    artifacts = SimpleNamespace(validation="v", test="t")
    accepted = SimpleNamespace(again=again, artifacts=artifacts, mse=1400.0)
    tuner = SimpleNamespace(best_training_job=lambda: "other")

    def compare(best: dict[str, Any]) -> Any:
        return parts.tuning.compare(work, accepted, tuner, {"BestTrainingJob": best}, [hand, other])

    assert compare(other) == (other, hand)
    with pytest.raises(ScenarioError, match="the best job is not hand"):
        compare(hand)
    errors["other"] = 850.0
    with pytest.raises(ScenarioError, match="the best model has MSE"):
        compare(other)
    errors["other"], again.validation_mse = 841.0, 950.0
    with pytest.raises(ScenarioError, match="the settings chosen by hand give MSE"):
        compare(other)
