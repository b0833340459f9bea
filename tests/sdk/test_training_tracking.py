"""Training jobs and MLflow: a run for each job, ended as the job ended; and what failing scripts leave."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from sklearn.linear_model import Ridge

from tests.sdk.cloud import JOBS, TRAINING_LOGS, Cloud, loads, sklearn_image, unique


def trainer(cloud: Cloud, base: str, script: str, **changes: Any) -> Any:
    from sagemaker.train import ModelTrainer
    from sagemaker.train.configs import Compute, OutputDataConfig, SourceCode

    source = changes.pop("source_code", None) or SourceCode(source_dir=str(JOBS), entry_script=script)
    return ModelTrainer(
        training_image=sklearn_image(),
        source_code=source,
        compute=Compute(instance_type="ml.m5.large", instance_count=1),
        output_data_config=OutputDataConfig(s3_output_path=cloud.uri(base)),
        role=cloud.role,
        base_job_name=base,
        sagemaker_session=cloud.session,
        **changes,
    )


@pytest.fixture(scope="module")
def jobs(cloud: Cloud, stack: Any) -> dict[str, str]:
    """All jobs of this module, started together: they run beside each other."""
    from sagemaker.train.configs import SourceCode

    requirements = SourceCode(
        source_dir=str(JOBS / "with_requirements"), entry_script="train.sh", requirements="requirements.txt"
    )
    with stack.environment_applied():
        base = unique("tracked")
        return {
            "tracked": cloud.train(trainer(cloud, f"{base}-ok", "train_tracked.py")),
            "raises": cloud.train(
                trainer(cloud, f"{base}-raises", "train_raises.py", environment={"MISSING": "dep_delay"})
            ),
            "requirements": cloud.train(
                trainer(cloud, f"{base}-req", "", source_code=requirements, hyperparameters={"depth": 3})
            ),
        }


@pytest.fixture
def tracking(cloud: Cloud) -> MlflowClient:
    mlflow.set_tracking_uri(cloud.tracking_uri)
    return MlflowClient(cloud.tracking_uri)


def test_what_the_script_logs_is_in_the_jobs_run(cloud: Cloud, jobs: dict[str, str], tracking: MlflowClient) -> None:
    described = cloud.trained(jobs["tracked"])
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    run = tracking.get_run(described["MlflowDetails"]["MlflowRunId"])
    seen = loads(cloud.archive(described["ModelArtifacts"]["S3ModelArtifacts"])["seen.json"])
    assert seen == {"run": run.info.run_id, "given": run.info.run_id, "uri": cloud.tracking_uri}
    assert run.info.status == "FINISHED"
    assert run.info.experiment_id == described["MlflowDetails"]["MlflowExperimentId"]
    assert run.data.params == {"alpha": "0.5"}
    assert [point.value for point in tracking.get_metric_history(run.info.run_id, "loss")] == [3.0, 2.0, 1.5]
    assert run.data.tags["owner"] == "sdk-tests"
    assert run.data.tags["sagemaker.training_job_arn"] == described["TrainingJobArn"]


def test_its_artifacts_are_objects_and_its_model_predicts(
    cloud: Cloud, jobs: dict[str, str], tracking: MlflowClient, tmp_path: Path
) -> None:
    described = cloud.trained(jobs["tracked"])
    run = tracking.get_run(described["MlflowDetails"]["MlflowRunId"])
    assert run.info.artifact_uri.startswith("s3://")
    assert cloud.get(f"{run.info.artifact_uri}/notes/note.txt") == b"written in the job\n"
    (output,) = run.outputs.model_outputs
    logged = tracking.get_logged_model(output.model_id)
    assert logged.artifact_location.startswith("s3://")
    assert "MLmodel" in cloud.keys(logged.artifact_location + "/")
    model = mlflow.pyfunc.load_model(f"models:/{logged.model_id}", dst_path=str(tmp_path))
    features = np.array([[10.0, 20.0], [-3.0, 4.0]])
    here = Ridge(alpha=0.5).fit(np.array([[0.0, 1.0], [2.0, 0.0], [1.0, 5.0], [4.0, 3.0]]), [1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(model.predict(features), here.predict(features))


def test_a_script_that_raises_fails_the_job_and_the_drivers_reason_is_shown(cloud: Cloud, jobs: dict[str, str]) -> None:
    described = cloud.trained(jobs["raises"])
    assert described["TrainingJobStatus"] == "Failed"
    assert described["SecondaryStatus"] == "Failed"
    reason = described["FailureReason"]
    assert reason.startswith("AlgorithmError: ")
    assert "'train_raises.py']' returned non-zero exit status 1." in reason  # the SDK's driver writes this
    assert reason.endswith(", exit code: 1")
    assert described["SecondaryStatusTransitions"][-1]["StatusMessage"] == reason
    lines = cloud.log(TRAINING_LOGS, jobs["raises"])
    assert "about to fail" in lines
    assert "ValueError: the column dep_delay is not in the data" in lines
    assert any("train_raises.py" in line and "line" in line for line in lines), "the traceback is missing"


def test_its_run_has_failed_and_keeps_what_was_logged(
    cloud: Cloud, jobs: dict[str, str], tracking: MlflowClient
) -> None:
    described = cloud.trained(jobs["raises"])
    run = tracking.get_run(described["MlflowDetails"]["MlflowRunId"])
    assert run.info.status == "FAILED"
    assert run.data.metrics == {"reached": 1.0}
    assert run.info.end_time >= run.info.start_time


def test_the_sdk_raises_the_failure_while_it_waits(cloud: Cloud, jobs: dict[str, str]) -> None:
    from sagemaker.core.resources import TrainingJob
    from sagemaker.core.utils.exceptions import FailedStatusError

    job = TrainingJob.get(jobs["raises"])
    with pytest.raises(FailedStatusError, match="Failure Reason: AlgorithmError: "):
        job.wait(poll=1, logs=True)
    assert job.failure_reason.endswith(", exit code: 1")


def test_requirements_that_the_image_has_need_no_network(cloud: Cloud, jobs: dict[str, str]) -> None:
    import sklearn

    described = cloud.trained(jobs["requirements"])
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    assert cloud.archive(described["ModelArtifacts"]["S3ModelArtifacts"]) == {"version": sklearn.__version__.encode()}
    lines = cloud.log(TRAINING_LOGS, jobs["requirements"])
    assert any(line.startswith("Requirement already satisfied: scikit-learn") for line in lines)
    assert "arguments: --depth 3" in lines


def test_the_description_is_the_same_through_both_clients(cloud: Cloud, jobs: dict[str, str]) -> None:
    from sagemaker.core.resources import TrainingJob

    cloud.trained(jobs["requirements"])
    described = cloud.sagemaker.describe_training_job(TrainingJobName=jobs["requirements"])
    job = TrainingJob.get(jobs["requirements"])
    assert job.training_job_arn == described["TrainingJobArn"]
    assert job.model_artifacts.s3_model_artifacts == described["ModelArtifacts"]["S3ModelArtifacts"]
    assert job.hyper_parameters == described["HyperParameters"]
    archive = io.BytesIO(cloud.get(job.model_artifacts.s3_model_artifacts))
    assert archive.read(2) == b"\x1f\x8b"
