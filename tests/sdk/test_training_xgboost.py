"""XGBoost as a built-in algorithm: the formats of its channels, its metrics, its model and its refusals."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.datasets import load_diabetes

from tests.sdk.cloud import JOBS, TRAINING_LOGS, Cloud, csv_text, metrics, unique, xgboost_image

HYPERPARAMETERS = {
    "objective": "reg:squarederror",
    "eval_metric": "rmse,mae",
    "num_round": "15",
    "max_depth": "3",
    "eta": "0.3",
    "subsample": "0.8",
    "seed": "11",
}
TYPES = {"csv": "text/csv", "libsvm": "text/libsvm", "parquet": "application/x-parquet"}


def tables() -> tuple[Any, Any]:
    """The diabetes data in single precision, target first: 342 rows to train on, 100 to validate."""
    features, target = load_diabetes(return_X_y=True)
    table = np.column_stack([target, features]).astype(np.float32)
    return table[:342], table[342:]


def encoded(table: Any, kind: str) -> bytes:
    if kind == "csv":
        return csv_text(table).encode()
    if kind == "parquet":
        buffer = io.BytesIO()
        pd.DataFrame(table, columns=[f"c{index}" for index in range(table.shape[1])]).to_parquet(buffer)
        return buffer.getvalue()
    lines = (
        " ".join([repr(float(row[0])), *(f"{index}:{float(value)!r}" for index, value in enumerate(row[1:]))])
        for row in table
    )
    return ("\n".join(lines) + "\n").encode()


def here() -> tuple[xgboost.Booster, dict[str, float]]:
    """The same training with the library itself."""
    train, validation = (xgboost.DMatrix(table[:, 1:], label=table[:, 0]) for table in tables())
    settings = {"objective": "reg:squarederror", "eval_metric": ["rmse", "mae"], "max_depth": 3, "eta": 0.3}
    history: dict[str, Any] = {}
    booster = xgboost.train(
        settings | {"subsample": 0.8, "seed": 11},
        train,
        15,
        evals=[(train, "train"), (validation, "validation")],
        evals_result=history,
        verbose_eval=False,
    )
    final = {f"{part}:{metric}": values[-1] for part, found in history.items() for metric, values in found.items()}
    return booster, final


def channels(cloud: Cloud, base: str, kind: str) -> list[dict[str, Any]]:
    found = []
    for name, table in zip(("train", "validation"), tables(), strict=True):
        half = len(table) // 2
        for part, rows in enumerate((table[:half], table[half:])):
            cloud.put(f"{base}/{kind}/{name}/part-{part}.{kind}", encoded(rows, kind))
        found.append(cloud.channel(name, cloud.uri(base, kind, name), TYPES[kind]))
    return found


@pytest.fixture(scope="module")
def jobs(cloud: Cloud, stack: Any) -> dict[str, str]:
    """One training for each format, started together."""
    with stack.environment_applied():
        base = unique("xgb")
        for kind in TYPES:
            request = cloud.training_request(
                f"{base}-{kind}", HyperParameters=HYPERPARAMETERS, InputDataConfig=channels(cloud, base, kind)
            )
            cloud.sagemaker.create_training_job(**request)
        return {kind: f"{base}-{kind}" for kind in TYPES}


def predictions(cloud: Cloud, described: dict[str, Any]) -> Any:
    booster = xgboost.Booster()
    booster.load_model(bytearray(cloud.archive(described["ModelArtifacts"]["S3ModelArtifacts"])["xgboost-model"]))
    return booster.predict(xgboost.DMatrix(tables()[1][:, 1:]))


@pytest.mark.parametrize("kind", TYPES)
def test_each_format_trains_the_model_that_the_library_trains_here(
    cloud: Cloud, jobs: dict[str, str], kind: str
) -> None:
    described = cloud.trained(jobs[kind])
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    booster, final = here()
    expected = booster.predict(xgboost.DMatrix(tables()[1][:, 1:]))
    np.testing.assert_allclose(predictions(cloud, described), expected, rtol=1e-6)
    assert metrics(described) == pytest.approx(final, abs=1e-4)
    assert set(metrics(described)) == {"train:rmse", "train:mae", "validation:rmse", "validation:mae"}


def test_the_log_shows_every_round(cloud: Cloud, jobs: dict[str, str]) -> None:
    cloud.trained(jobs["csv"])
    lines = cloud.log(TRAINING_LOGS, jobs["csv"])
    rounds = [line for line in lines if "#011train-rmse:" in line]
    assert len(rounds) == 15
    assert rounds[0].partition("#011")[0].endswith("[0]")


def test_model_trainer_runs_the_algorithm_without_a_script(cloud: Cloud, jobs: dict[str, str]) -> None:
    from sagemaker.train import ModelTrainer
    from sagemaker.train.configs import Compute, InputData, OutputDataConfig

    base = unique("xgb-trainer")
    inputs = {item["ChannelName"]: item["DataSource"]["S3DataSource"]["S3Uri"] for item in channels(cloud, base, "csv")}
    trainer = ModelTrainer(
        training_image=xgboost_image(),
        hyperparameters={**HYPERPARAMETERS, "num_round": 15, "eta": 0.3},
        compute=Compute(instance_type="ml.m5.large", instance_count=1),
        output_data_config=OutputDataConfig(s3_output_path=cloud.uri(base)),
        role=cloud.role,
        base_job_name=base,
        sagemaker_session=cloud.session,
    )
    data = [InputData(channel_name=name, data_source=uri, content_type="text/csv") for name, uri in inputs.items()]
    described = cloud.trained(cloud.train(trainer, data))
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    by_boto3 = cloud.trained(jobs["csv"])
    np.testing.assert_array_equal(predictions(cloud, described), predictions(cloud, by_boto3))
    assert metrics(described) == metrics(by_boto3)


def test_a_users_script_on_the_same_image(cloud: Cloud, tmp_path: Path) -> None:
    from sagemaker.train import ModelTrainer
    from sagemaker.train.configs import Compute, InputData, OutputDataConfig, SourceCode

    base = unique("xgb-script")
    train, validation = tables()
    (tmp_path / "train.csv").write_text(csv_text(train))
    trainer = ModelTrainer(
        training_image=xgboost_image(),
        source_code=SourceCode(source_dir=str(JOBS), entry_script="train_xgboost.py"),
        hyperparameters={"rounds": 6, "settings": {"max_depth": 2, "eta": 0.5}},
        compute=Compute(instance_type="ml.m5.large", instance_count=1),
        output_data_config=OutputDataConfig(s3_output_path=cloud.uri(base)),
        role=cloud.role,
        base_job_name=base,
        sagemaker_session=cloud.session,
    )
    described = cloud.trained(cloud.train(trainer, [InputData(channel_name="train", data_source=str(tmp_path))]))
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    there = xgboost.Booster()
    there.load_model(bytearray(cloud.archive(described["ModelArtifacts"]["S3ModelArtifacts"])["model.ubj"]))
    data = xgboost.DMatrix(train[:, 1:], label=train[:, 0])
    here = xgboost.train({"max_depth": 2, "eta": 0.5}, data, 6)
    unseen = xgboost.DMatrix(validation[:, 1:])
    np.testing.assert_allclose(there.predict(unseen), here.predict(unseen), rtol=1e-6)


def test_the_images_own_metric_definitions_are_described(cloud: Cloud, jobs: dict[str, str]) -> None:
    described = cloud.trained(jobs["csv"])
    definitions = described["AlgorithmSpecification"]["MetricDefinitions"]
    assert {"train:accuracy", "train:mae"} <= {item["Name"] for item in definitions}
    assert len(definitions) == 40  # the model's limit


REFUSED = {
    "hyperparameter out of range": (
        {"HyperParameters": {**HYPERPARAMETERS, "eta": "1.5"}},
        "UserError: Hyperparameter eta: 1.5 is not in [0, 1]",
    ),
    "unknown hyperparameter": (
        {"HyperParameters": {**HYPERPARAMETERS, "depth": "3"}},
        "UserError: Extraneous hyperparameter found: depth",
    ),
    "missing hyperparameter": (
        {"HyperParameters": {"objective": "reg:squarederror"}},
        "UserError: Missing required hyperparameter: num_round",
    ),
    "objective that there is not": (
        {"HyperParameters": {**HYPERPARAMETERS, "objective": "reg:magic"}},
        "UserError: Hyperparameter objective: reg:magic is not in ",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_the_container_refuses_hyperparameters_in_its_own_words(cloud: Cloud, jobs: dict[str, str], case: str) -> None:
    changes, expected = REFUSED[case]
    source = cloud.sagemaker.describe_training_job(TrainingJobName=jobs["csv"])["InputDataConfig"]
    described = run(cloud, InputDataConfig=source, **changes)
    assert described["TrainingJobStatus"] == "Failed"
    assert described["FailureReason"].startswith("AlgorithmError: framework error:")
    assert expected in described["FailureReason"]
    assert described["FailureReason"].endswith("exit code: 1")


def test_the_container_refuses_channels_in_its_own_words(cloud: Cloud) -> None:
    base = unique("xgb-bad")
    text = cloud.put(f"{base}/csv/data.csv", csv_text(tables()[0][:20]))
    empty = cloud.put(f"{base}/empty/data.csv", "")
    words = cloud.put(f"{base}/words/data.csv", "a,b,c\nd,e,f\n")
    given = {"HyperParameters": HYPERPARAMETERS}
    names = {
        "type": start(cloud, InputDataConfig=[cloud.channel("train", text, "text/xml")], **given),
        "empty": start(cloud, InputDataConfig=[cloud.channel("train", empty, "text/csv")], **given),
        "words": start(cloud, InputDataConfig=[cloud.channel("train", words, "text/csv")], **given),
        "libsvm": start(cloud, InputDataConfig=[cloud.channel("train", text)], **given),
        "channel": start(cloud, InputDataConfig=[cloud.channel("tests", text, "text/csv")], **given),
    }
    reasons = {case: cloud.trained(name).get("FailureReason", "") for case, name in names.items()}
    assert "UserError: text/xml is not an accepted ContentType" in reasons["type"]
    assert "UserError: No data in training channel path /opt/ml/input/data/train" in reasons["empty"]
    assert "UserError: Failed to load csv data with exception:" in reasons["words"]
    assert "is not 'LIBSVM' format" in reasons["libsvm"]
    assert "UserError: Missing required channel: train" in reasons["channel"]
    assert all(reason.startswith("AlgorithmError: ") for reason in reasons.values())


def test_a_channel_without_objects_is_the_clients_error(cloud: Cloud) -> None:
    uri = cloud.uri(unique("nothing"), "here")
    described = run(cloud, InputDataConfig=[cloud.channel("train", uri, "text/csv")], HyperParameters=HYPERPARAMETERS)
    assert described["TrainingJobStatus"] == "Failed"
    assert described["FailureReason"].startswith("ClientError: Data download failed:")
    assert uri in described["FailureReason"]
    assert "Training" not in {item["Status"] for item in described["SecondaryStatusTransitions"]}


def start(cloud: Cloud, **changes: Any) -> str:
    name = unique("xgb-refused")
    cloud.sagemaker.create_training_job(**cloud.training_request(name, **changes))
    return name


def run(cloud: Cloud, **changes: Any) -> dict[str, Any]:
    return cloud.trained(start(cloud, **changes))
