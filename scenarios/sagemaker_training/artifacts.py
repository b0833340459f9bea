"""What an execution left in S3, on this machine, and the same numbers worked out again without the platform."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import xgboost as xgb

from scenarios.sagemaker_training.jobs.evaluate import load_model


def download(s3: Any, uri: str, folder: Path) -> Path:
    """Fetch one object into `folder`, under the last part of its key."""
    parts = urlsplit(uri)
    path = folder / Path(parts.path).name
    folder.mkdir(parents=True, exist_ok=True)
    s3.download_file(parts.netloc, parts.path.lstrip("/"), str(path))
    return path


@dataclass(frozen=True)
class Artifacts:
    """The files of one execution."""

    model: Path
    validation: Path
    test: Path
    features: Path
    evaluation: Path
    predictions: Path

    @classmethod
    def fetch(cls, s3: Any, prefix: str, model_uri: str, folder: Path) -> Artifacts:
        """`prefix` is the execution's own: s3://bucket/.../<execution id>."""
        return cls(
            model=download(s3, model_uri, folder),
            validation=download(s3, f"{prefix}/validation/validation.csv", folder),
            test=download(s3, f"{prefix}/test/test.csv", folder),
            features=download(s3, f"{prefix}/features/features.json", folder),
            evaluation=download(s3, f"{prefix}/evaluation/evaluation.json", folder),
            predictions=download(s3, f"{prefix}/evaluation/predictions.csv", folder),
        )

    def report(self) -> dict[str, Any]:
        """evaluation.json."""
        report: dict[str, Any] = json.loads(self.evaluation.read_text())
        return report

    def facts(self) -> dict[str, Any]:
        """features.json."""
        facts: dict[str, Any] = json.loads(self.features.read_text())
        return facts


@dataclass(frozen=True)
class Recomputed:
    """Predictions made here with the downloaded model, and their errors (min2)."""

    rows: int
    predictions: np.ndarray
    test_mse: float
    validation_mse: float


def recompute(artifacts: Artifacts) -> Recomputed:
    """Load the downloaded model and predict the downloaded rows in this process."""
    booster, _ = load_model(artifacts.model)
    predicted, test_mse = _predict(booster, artifacts.test)
    _, validation_mse = _predict(booster, artifacts.validation)
    return Recomputed(len(predicted), predicted, test_mse, validation_mse)


def model_mse(archive: Path, csv: Path) -> float:
    """The error (min2) of the model in an archive, on rows with the label first."""
    booster, _ = load_model(archive)
    return _predict(booster, csv)[1]


def _predict(booster: xgb.Booster, csv: Path) -> tuple[np.ndarray, float]:
    table = pd.read_csv(csv, header=None, dtype="float32").to_numpy()
    predicted = booster.predict(xgb.DMatrix(table[:, 1:])).astype("float64")
    return predicted, float(np.mean((table[:, 0].astype("float64") - predicted) ** 2))


@dataclass(frozen=True)
class RawFacts:
    """What the raw flights say by themselves: rows per split, and the MSE (min2) of always saying the training mean."""

    rows: dict[str, int]
    train_mean_mse: float

    @classmethod
    def of(cls, flights: Path, months: dict[str, list[int]]) -> RawFacts:
        """Count and average the package's own file, sharing no code with the preparation."""
        table = pd.read_csv(flights, usecols=["month", "arr_delay"]).dropna()
        parts = {name: table.loc[table["month"].isin(wanted), "arr_delay"] for name, wanted in months.items()}
        mse = float(((parts["test"] - parts["train"].mean()) ** 2).mean())
        return cls({name: len(part) for name, part in parts.items()}, mse)
