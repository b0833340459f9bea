"""Custom jobs, training jobs and hyperparameter tuning through the unmodified google-cloud-aiplatform."""

from __future__ import annotations

import io
import json
import time
import urllib.request
import uuid
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import pytest

from mlparity.testing.stack import RunningStack

IMAGE = "us-docker.pkg.dev/vertex-ai/training/sklearn-cpu.1-6.py310:latest"
SERVING = "us-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-5:latest"
TRAINS = """
import argparse, json, os
import joblib
import pandas
from sklearn.linear_model import LogisticRegression

parser = argparse.ArgumentParser()
parser.add_argument("--data")
parser.add_argument("--C", type=float, default=1.0)
parser.add_argument("--report", action="store_true")
asked = parser.parse_args()
data = pandas.read_csv(asked.data.replace("gs://", "/gcs/"))
model = LogisticRegression(C=asked.C).fit(data[["x"]].to_numpy(), data["y"])
accuracy = model.score(data[["x"]].to_numpy(), data["y"])
print(f"accuracy={accuracy}")
folder = os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/")
os.makedirs(folder, exist_ok=True)
joblib.dump(model, os.path.join(folder, "model.joblib"))
with open(os.path.join(folder, "metrics.json"), "w") as file:
    json.dump({"accuracy": accuracy, "C": asked.C, "owner": os.environ.get("OWNER")}, file)
if asked.report:
    report = {"fit": str(-abs(asked.C - 0.5)), "global_step": "1"}  # as cloudml-hypertune writes it
    with open(os.environ["CLOUD_ML_HP_METRIC_FILE"], "w") as file:
        file.write(json.dumps(report) + "\\n")
"""


@pytest.fixture(autouse=True)
def _pointed_at_the_stack() -> None:
    """In place of that for SageMaker's SDK, which costs seconds."""


@dataclass(frozen=True)
class Cloud:
    """The SDK, a bucket with data, and the training program."""

    sdk: Any
    bucket: Any
    script: Path
    logs: str  # what `mlparity logs` asks

    @property
    def data(self) -> str:
        return f"gs://{self.bucket.name}/jobs/data.csv"

    def output(self) -> str:
        return f"gs://{self.bucket.name}/jobs/{uuid.uuid4().hex}"

    def job(self, program: str) -> Any:
        pool = {
            "machine_spec": {"machine_type": "n1-standard-4"},
            "replica_count": 1,
            "container_spec": {"image_uri": "python:3.11", "command": ["python3", "-c", program]},
        }
        return self.sdk.CustomJob(display_name="job", worker_pool_specs=[pool])

    def read(self, uri: str) -> bytes:
        key = uri.removeprefix(f"gs://{self.bucket.name}/")
        return bytes(self.bucket.blob(key).download_as_bytes())

    def metrics(self, output: str) -> Any:
        return json.loads(self.read(f"{output}/model/metrics.json"))


@pytest.fixture(scope="module")
def cloud(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with stack.environment_applied(), warnings.catch_warnings(), pytest.MonkeyPatch.context() as patched:
        warnings.simplefilter("ignore")
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import aiplatform, storage
        from google.cloud.aiplatform import jobs, training_jobs

        for module in (jobs, training_jobs):  # it asks every five seconds; a local job takes one
            patched.setattr(module, "_JOB_WAIT_TIME", 0.1)
        config = stack.config
        nobody = AnonymousCredentials()
        aiplatform.init(
            project=config.gcp_project,
            location=config.gcp_location,
            api_endpoint=stack.gcp_url,
            api_transport="rest",
            staging_bucket=f"gs://{config.gcp_bucket}",
            credentials=nobody,
        )
        bucket = storage.Client(project=config.gcp_project, credentials=nobody).bucket(config.gcp_bucket)
        rows = "".join(f"{x},{int(x > 4)}\n" for x in range(10))
        bucket.blob("jobs/data.csv").upload_from_string(f"x,y\n{rows}")
        script = tmp_path_factory.mktemp("program") / "train.py"
        script.write_text(TRAINS)
        yield Cloud(aiplatform, bucket, script, f"{config.aws_url}/_mlparity/logs")
        aiplatform.initializer.global_config.__init__()


def test_a_local_script_runs_as_a_custom_job(cloud: Cloud) -> None:
    output = cloud.output()
    job = cloud.sdk.CustomJob.from_local_script(
        display_name="script",
        script_path=str(cloud.script),
        container_uri=IMAGE,
        args=["--data", cloud.data, "--C=2"],
        requirements=["pandas"],
        environment_variables={"OWNER": "flights"},
        machine_type="n1-standard-4",
        base_output_dir=output,
        labels={"team": "flights"},
    )
    job.run()
    assert job.state.name == "JOB_STATE_SUCCEEDED"
    assert cloud.metrics(output) == {"accuracy": 1.0, "C": 2.0, "owner": "flights"}
    with urllib.request.urlopen(f"{cloud.logs}/{job.name}") as log:
        assert b"accuracy=1.0" in log.read()
    model = joblib.load(io.BytesIO(cloud.read(f"{output}/model/model.joblib")))
    assert model.predict([[1], [9]]).tolist() == [0, 1]
    again = cloud.sdk.CustomJob.get(job.resource_name)
    assert (again.labels, again.start_time <= again.end_time) == ({"team": "flights"}, True)
    found = cloud.sdk.CustomJob.list(filter='state="JOB_STATE_SUCCEEDED" AND labels.team=flights')
    assert job.resource_name in {one.resource_name for one in found}
    job.delete()
    assert job.resource_name not in {one.resource_name for one in cloud.sdk.CustomJob.list()}


def test_a_training_job_gives_a_model_and_its_next_version(cloud: Cloud) -> None:
    output = cloud.output()
    training = cloud.sdk.CustomTrainingJob(
        display_name="training",
        script_path=str(cloud.script),
        container_uri=IMAGE,
        model_serving_container_image_uri=SERVING,
    )
    model = training.run(
        args=["--data", cloud.data], model_display_name="delays", base_output_dir=output, machine_type="n1-standard-4"
    )
    assert training.state.name == "PIPELINE_STATE_SUCCEEDED"
    assert (model.display_name, model.version_id, model.uri) == ("delays", "1", f"{output}/model")
    assert cloud.metrics(output)["accuracy"] == 1.0
    packaged = cloud.sdk.CustomContainerTrainingJob(
        display_name="container",
        container_uri="python:3.11",
        command=["python3", "-c", TRAINS, "--data", cloud.data],
        model_serving_container_image_uri=SERVING,
    )
    newer = packaged.run(
        parent_model=model.resource_name, model_version_aliases=["blue"], base_output_dir=cloud.output()
    )
    assert (newer.name, newer.version_id) == (model.name, "2")
    assert set(newer.version_aliases) == {"default", "blue"}
    model.delete()


LOGS = """
from google.cloud import aiplatform

aiplatform.log_params({"depth": 3})
aiplatform.log_metrics({"accuracy": 0.75})
"""


def test_a_jobs_program_logs_to_the_experiment_run_that_the_job_names(cloud: Cloud) -> None:
    name = f"flights-{uuid.uuid4().hex[:8]}"
    cloud.sdk.init(experiment=name, experiment_tensorboard=False)
    with cloud.sdk.start_run("first"):
        pass
    job = cloud.job(LOGS)
    job.run(experiment=name, experiment_run="first", service_account="trainer@flights.iam.gserviceaccount.com")
    (row,) = cloud.sdk.get_experiment_df(name).to_dict("records")
    assert (row["run_name"], row["param.depth"], row["metric.accuracy"]) == ("first", 3, 0.75)


def test_tuning_tries_values_and_tells_what_they_gave(cloud: Cloud) -> None:
    tuning_api = cloud.sdk.hyperparameter_tuning
    output = cloud.output()
    job = cloud.sdk.CustomJob.from_local_script(
        display_name="trial",
        script_path=str(cloud.script),
        container_uri=IMAGE,
        args=["--data", cloud.data, "--report"],
        base_output_dir=output,
    )
    search = cloud.sdk.HyperparameterTuningJob(
        display_name="search",
        custom_job=job,
        metric_spec={"fit": "maximize"},
        parameter_spec={"C": tuning_api.DoubleParameterSpec(min=0.01, max=10, scale="log")},
        max_trial_count=5,
        parallel_trial_count=2,
    )
    search.run()
    assert search.state.name == "JOB_STATE_SUCCEEDED"
    assert len(search.trials) == 5
    best = max(search.trials, key=lambda trial: trial.final_measurement.metrics[0].value)
    value = best.parameters[0].value
    assert best.final_measurement.metrics[0].value == pytest.approx(-abs(value - 0.5))
    assert best.state.name == "SUCCEEDED"
    assert cloud.metrics(f"{output}/{best.id}")["C"] == pytest.approx(value)


def test_a_failure_is_raised_with_the_programs_own_words_and_a_job_is_cancelled(cloud: Cloud) -> None:
    failing = cloud.job("raise ValueError('no such delay')")
    with pytest.raises(RuntimeError, match="The replica workerpool0-0 exited with a non-zero status of 1") as raised:
        failing.run()
    assert "ValueError: no such delay" in str(raised.value)
    assert failing.state.name == "JOB_STATE_FAILED"
    running = cloud.job("import time; time.sleep(600)")
    running.submit()
    deadline = time.monotonic() + 30
    while running.state.name != "JOB_STATE_RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.cancel()
    while running.state.name != "JOB_STATE_CANCELLED":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    refused = cloud.job("pass")
    refused.job_spec.worker_pool_specs[0].machine_spec.accelerator_type = "NVIDIA_TESLA_T4"
    refused.job_spec.worker_pool_specs[0].machine_spec.accelerator_count = 1
    with pytest.raises(Exception, match="mlparity has no accelerators"):
        refused.submit()


def test_a_container_of_ones_own_installs_the_script_from_its_bucket(cloud: Cloud) -> None:
    output = cloud.output()
    cloud.sdk.CustomJob.from_local_script(
        display_name="own",
        script_path=str(cloud.script),
        container_uri="python:3.11",
        args=["--data", cloud.data],
        base_output_dir=output,
    ).run()
    assert cloud.metrics(output)["accuracy"] == 1.0
