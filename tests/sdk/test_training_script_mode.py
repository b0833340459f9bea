"""Script mode: a user's own script, sent and started by ModelTrainer, trains the same model as here."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor

from tests.sdk.cloud import JOBS, TRAINING_LOGS, Cloud, csv_text, loads, metrics, sklearn_image, unique

HYPERPARAMETERS = {"trees": 20, "max-depth": 6, "seed": 7, "note": 'a "b" c', "share": 0.25, "on": True}


@dataclass(frozen=True)
class Trained:
    """The one job that this module looks at from all sides."""

    name: str
    base: str
    described: dict[str, Any]
    model: dict[str, bytes]
    seen: dict[str, Any]
    shown: str  # what the SDK logged while it waited


def rows() -> tuple[Any, Any]:
    """The diabetes data with the target first: 342 rows to train on, 100 held out."""
    features, target = load_diabetes(return_X_y=True)
    table = np.column_stack([target, features])
    return table[:342], table[342:]


@pytest.fixture(scope="module")
def job(cloud: Cloud, stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    with stack.environment_applied(), _sdk_log() as log:
        yield _train(cloud, tmp_path_factory.mktemp("script-mode"), log)


def _train(cloud: Cloud, folder: Path, log: io.StringIO) -> Trained:
    from sagemaker.core.shapes import Tag
    from sagemaker.train import ModelTrainer
    from sagemaker.train.configs import (
        Compute,
        InputData,
        MetricDefinition,
        OutputDataConfig,
        SourceCode,
        StoppingCondition,
    )

    train, held_out = rows()
    base = unique("script")
    uri = cloud.put(f"{base}/data/train.csv", csv_text(train)).removesuffix("/train.csv")
    (folder / "heldout").mkdir()
    (folder / "heldout" / "heldout.csv").write_text(csv_text(held_out))
    trainer = ModelTrainer(
        training_image=sklearn_image(),
        source_code=SourceCode(source_dir=str(JOBS), entry_script="train_sklearn.py"),
        hyperparameters=HYPERPARAMETERS,
        environment={"MY_SETTING": "with space=and 'quotes'", "EMPTY": ""},
        compute=Compute(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=30),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=600),
        output_data_config=OutputDataConfig(s3_output_path=cloud.uri(base, "output")),
        tags=[Tag(key="team", value="sdk-tests")],
        role=cloud.role,
        base_job_name=base,
        sagemaker_session=cloud.session,
    ).with_metric_definitions([MetricDefinition(name="heldout:mse", regex="heldout_mse=([0-9.]+);")])
    channels = [
        InputData(channel_name="train", data_source=uri),
        InputData(channel_name="heldout", data_source=str(folder / "heldout")),
    ]
    name = cloud.train(trainer, channels, wait=True)
    described = cloud.sagemaker.describe_training_job(TrainingJobName=name)
    model = cloud.archive(described["ModelArtifacts"]["S3ModelArtifacts"])
    return Trained(name, base, described, model, loads(model["seen.json"]), log.getvalue())


class _sdk_log:  # noqa: N801 - reads as a with statement
    """What the SDK's own logger says while the block runs."""

    def __enter__(self) -> io.StringIO:
        self._text = io.StringIO()
        self._handler = logging.StreamHandler(self._text)
        self._logger = logging.getLogger("sagemaker.core.resources")
        self._level = self._logger.level
        self._logger.setLevel(logging.INFO)
        self._logger.addHandler(self._handler)
        return self._text

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self._handler)
        self._logger.setLevel(self._level)


def test_the_model_is_the_one_that_the_same_script_makes_here(job: Trained) -> None:
    train, held_out = rows()
    here = RandomForestRegressor(20, max_depth=6, random_state=7).fit(train[:, 1:], train[:, 0])
    there = joblib.load(io.BytesIO(job.model["model.joblib"]))
    np.testing.assert_array_equal(there.predict(held_out[:, 1:]), here.predict(held_out[:, 1:]))
    error = float(((here.predict(held_out[:, 1:]) - held_out[:, 0]) ** 2).mean())
    assert metrics(job.described) == {"heldout:mse": pytest.approx(error, rel=1e-6)}


def test_output_data_is_an_archive_of_its_own(cloud: Cloud, job: Trained) -> None:
    folder = f"{cloud.uri(job.base, 'output')}/{job.name}/output"
    assert job.described["ModelArtifacts"]["S3ModelArtifacts"] == f"{folder}/model.tar.gz"
    report = loads(cloud.archive(f"{folder}/output.tar.gz")["report.json"])
    assert report["mse"] == pytest.approx(metrics(job.described)["heldout:mse"], rel=1e-6)


def test_the_script_saw_the_contract(job: Trained) -> None:
    environment = job.seen["environment"]
    assert environment["MY_SETTING"] == "with space=and 'quotes'"
    assert environment["EMPTY"] == ""
    assert environment["TRAINING_JOB_NAME"] == job.name
    assert environment["TRAINING_JOB_ARN"] == job.described["TrainingJobArn"]
    expected = {
        "SM_MODEL_DIR": "/opt/ml/model",
        "SM_OUTPUT_DATA_DIR": "/opt/ml/output/data",
        "SM_INPUT_CONFIG_DIR": "/opt/ml/input/config",
        "SM_CHANNEL_TRAIN": "/opt/ml/input/data/train",
        "SM_CHANNEL_HELDOUT": "/opt/ml/input/data/heldout",
        "SM_CURRENT_HOST": "algo-1",
        "SM_HOST_COUNT": "1",
        "SM_CURRENT_HOST_RANK": "0",
        "SM_CURRENT_INSTANCE_TYPE": "ml.m5.large",
        "SM_NUM_GPUS": "0",
        "SM_ENTRY_SCRIPT": "train_sklearn.py",
        "SM_HP_TREES": "20",
        "SM_HP_MAX_DEPTH": "6",
        "SM_HP_SHARE": "0.25",
        "SM_HP_ON": "true",
    }
    assert {name: environment.get(name) for name in expected} == expected
    assert loads(environment["SM_HOSTS"]) == ["algo-1"]
    assert set(loads(environment["SM_CHANNELS"])) == {"train", "heldout", "code", "sm_drivers"}
    assert job.seen["cwd"] == "/opt/ml/input/data/code"
    assert "train_sklearn.py" in job.seen["code"]
    assert job.seen["channels"]["train"] == ["train.csv"]
    assert job.seen["channels"]["heldout"] == ["heldout.csv"]


def test_hyperparameters_arrive_typed(job: Trained) -> None:
    stored = {
        name: json.dumps(value) if not isinstance(value, str) else value for name, value in HYPERPARAMETERS.items()
    }
    assert job.described["HyperParameters"] == stored
    assert job.seen["config"]["hyperparameters.json"] == stored
    assert job.seen["unknown"] == ["--note", 'a "b" c', "--share", "0.25", "--on", "true"]


def test_the_container_gets_its_configuration_files(job: Trained) -> None:
    resources = job.seen["config"]["resourceconfig.json"]
    assert resources["current_host"] == "algo-1"
    assert resources["hosts"] == ["algo-1"]
    assert resources["current_instance_type"] == "ml.m5.large"
    channels = job.seen["config"]["inputdataconfig.json"]
    assert channels["train"]["TrainingInputMode"] == "File"
    assert channels["train"]["S3DistributionType"] == "FullyReplicated"


def test_the_log_is_in_cloudwatch_and_in_the_sdks_output(cloud: Cloud, job: Trained) -> None:
    lines = cloud.log(TRAINING_LOGS, job.name)
    line = next(line for line in lines if "heldout_mse=" in line)
    assert float(line.partition("=")[2].rstrip(";")) == pytest.approx(metrics(job.described)["heldout:mse"], rel=1e-6)
    assert line in job.shown
    assert "Final Resource Status: [bold]Completed" in job.shown


def test_describe_tells_the_whole_story(cloud: Cloud, job: Trained) -> None:
    described = job.described
    assert [item["Status"] for item in described["SecondaryStatusTransitions"]] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    ends = [item["EndTime"] for item in described["SecondaryStatusTransitions"]]
    assert ends == sorted(ends)
    assert described["CreationTime"] <= described["TrainingStartTime"] <= described["TrainingEndTime"]
    assert described["BillableTimeInSeconds"] >= 1
    assert described["RoleArn"] == cloud.role
    assert {channel["ChannelName"] for channel in described["InputDataConfig"]} >= {"train", "heldout", "code"}
    tags = cloud.sagemaker.list_tags(ResourceArn=described["TrainingJobArn"])["Tags"]
    assert {"Key": "team", "Value": "sdk-tests"} in tags
