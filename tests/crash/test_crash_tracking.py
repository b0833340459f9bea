"""MLflow dies, or the control plane does: every job keeps its run, and the run ends as the job did."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from mlparity.testing.faults import Part, kill
from mlparity.testing.stack import RunningStack, running_stack
from tests.crash import scripts

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with running_stack(tmp_path_factory.mktemp("tracking") / "data") as running:
        body = scripts.ROWS.encode()
        running.client("s3").put_object(Bucket=running.config.default_bucket, Key="raw/rows.csv", Body=body)
        yield running


def until(holds: Callable[[], Any], seconds: float = 90.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return value


def train(stack: RunningStack, name: str, script: str) -> None:
    bucket = stack.config.default_bucket
    request = scripts.training(stack.config.role_arn, f"s3://{bucket}/raw", f"s3://{bucket}/out", script)
    stack.client("sagemaker").create_training_job(TrainingJobName=name, **request)


def described(stack: RunningStack, name: str) -> dict[str, Any]:
    answer: dict[str, Any] = stack.client("sagemaker").describe_training_job(TrainingJobName=name)
    return answer


def trains(stack: RunningStack, name: str) -> None:
    until(lambda: described(stack, name)["SecondaryStatus"] == "Training")


def ended(stack: RunningStack, name: str) -> dict[str, Any]:
    until(lambda: described(stack, name)["TrainingJobStatus"] != "InProgress")
    return described(stack, name)


def run_status(stack: RunningStack, job: dict[str, Any]) -> str:
    run = job["MlflowDetails"]["MlflowRunId"]
    address = f"{stack.mlflow_url}/api/2.0/mlflow/runs/get"
    answer = httpx.get(address, params={"run_id": run}, timeout=60, trust_env=False)
    return str(answer.raise_for_status().json()["run"]["info"]["status"])


def test_a_job_that_ends_while_mlflow_is_down_is_told_later(stack: RunningStack) -> None:
    train(stack, "down", "sleep 1; echo m > /opt/ml/model/m")
    trains(stack, "down")
    assert kill(stack, Part.MLFLOW)
    job = ended(stack, "down")
    assert job["TrainingJobStatus"] == "Completed"
    until(lambda: run_status(stack, job) == "FINISHED")


def test_a_job_that_starts_while_mlflow_starts_gets_its_run(stack: RunningStack) -> None:
    assert kill(stack, Part.MLFLOW)
    train(stack, "waits", 'test -n "$MLFLOW_RUN_ID"; echo m > /opt/ml/model/m')
    job = ended(stack, "waits")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    until(lambda: run_status(stack, job) == "FINISHED")


def test_the_run_of_a_job_cut_off_has_failed(stack: RunningStack) -> None:
    train(stack, "cut", "sleep 600")
    trains(stack, "cut")
    assert kill(stack, Part.CONTROL_PLANE)
    job = ended(stack, "cut")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("InternalServerError")
    until(lambda: run_status(stack, job) == "FAILED")


def test_a_job_whose_worker_was_killed_is_not_to_blame(stack: RunningStack) -> None:
    train(stack, "lost", "sleep 600")
    trains(stack, "lost")
    until(lambda: kill(stack, Part.STEWARD))
    job = ended(stack, "lost")
    assert job["FailureReason"].startswith("InternalServerError"), job["FailureReason"]
    train(stack, "next", scripts.TRAIN)
    assert ended(stack, "next")["TrainingJobStatus"] == "Completed"
