"""The SDK's tuner with a trainer that brings a script: the image's own program runs it, for each job anew."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import Ridge

from tests.sdk.cloud import TRAINING_LOGS, Cloud, csv_text, metrics, sklearn_image, unique
from tests.sdk.test_tuning import training_jobs, wait

SCRIPT = """
import argparse
import os

import joblib
import numpy as np
from sklearn.linear_model import Ridge

parser = argparse.ArgumentParser()
parser.add_argument("--alpha", type=float)
parser.add_argument("--label", default="")
given = parser.parse_args()
rows = np.loadtxt(os.path.join(os.environ["SM_CHANNEL_TRAIN"], "train.csv"), delimiter=",")
model = Ridge(alpha=given.alpha).fit(rows[:, 1:], rows[:, 0])
print(f"{given.label}: train_mse={np.mean((model.predict(rows[:, 1:]) - rows[:, 0]) ** 2):.9f};")
joblib.dump(model, os.path.join(os.environ["SM_MODEL_DIR"], "model.joblib"))
"""


def table() -> Any:
    random = np.random.default_rng(1)
    features = random.normal(size=(60, 2))
    return np.column_stack([features @ [2.0, -1.0], features])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "train.py").write_text(SCRIPT)
    (folder / "requirements.txt").write_text("scikit-learn\n")
    return folder


# The SDK makes its temporary folder twice, and leaves the first to Python.
@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")
def test_each_job_of_a_tuning_runs_the_trainers_script(cloud: Cloud, source: Path) -> None:
    from sagemaker.core.parameter import ContinuousParameter
    from sagemaker.train import ModelTrainer
    from sagemaker.train.configs import Compute, InputData, MetricDefinition, OutputDataConfig, SourceCode
    from sagemaker.train.tuner import HyperparameterTuner

    base = unique("st")
    regex = r"train_mse=([0-9.]+);"
    trainer = ModelTrainer(
        sagemaker_session=cloud.session,
        role=cloud.role,
        training_image=sklearn_image(),
        source_code=SourceCode(source_dir=str(source), entry_script="train.py", requirements="requirements.txt"),
        compute=Compute(instance_type="ml.m5.large", instance_count=1),
        output_data_config=OutputDataConfig(s3_output_path=cloud.uri(base, "output")),
        hyperparameters={"label": "two words"},
        base_job_name=base,
    ).with_metric_definitions([MetricDefinition(name="train:mse", regex=regex)])
    tuner = HyperparameterTuner(
        model_trainer=trainer,
        objective_metric_name="train:mse",
        metric_definitions=[{"Name": "train:mse", "Regex": regex}],
        objective_type="Minimize",
        hyperparameter_ranges={"alpha": ContinuousParameter(0.1, 100.0, scaling_type="Logarithmic")},
        strategy="Random",
        max_jobs=3,
        max_parallel_jobs=3,
        random_seed=5,
    )
    rows = table()
    uri = cloud.put(f"{base}/train.csv", csv_text(rows))
    tuner.tune(inputs=[InputData(channel_name="train", data_source=uri)], job_name=base, wait=False)
    trainer._tuner_temp_dir.cleanup()
    assert wait(cloud, base)["HyperParameterTuningJobStatus"] == "Completed"
    listed = {job["TrainingJobName"]: float(job["TunedHyperParameters"]["alpha"]) for job in training_jobs(cloud, base)}
    assert len(listed) == 3
    tuned = {}
    for name, alpha in listed.items():
        described = cloud.trained(name)
        assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
        here = Ridge(alpha=alpha).fit(rows[:, 1:], rows[:, 0])
        there = joblib.load(io.BytesIO(cloud.archive(described["ModelArtifacts"]["S3ModelArtifacts"])["model.joblib"]))
        np.testing.assert_allclose(there.coef_, here.coef_, rtol=1e-9)
        error = float(np.mean((here.predict(rows[:, 1:]) - rows[:, 0]) ** 2))
        assert metrics(described) == {"train:mse": pytest.approx(error, abs=1e-8)}
        assert any(line.startswith("two words: train_mse=") for line in cloud.log(TRAINING_LOGS, name))
        tuned[name] = error
    assert tuner.best_training_job() == min(tuned, key=lambda name: tuned[name])
