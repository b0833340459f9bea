"""``down`` while jobs run, and ``up`` after it: every job says truly what became of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlparity.testing.stack import RunningStack, running_stack
from tests.crash import scripts
from tests.crash.invariants import processes_of


def until(holds: Callable[[], Any], seconds: float = 90.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return value


def train(stack: RunningStack, name: str, script: str, **changes: Any) -> None:
    bucket = stack.config.default_bucket
    request = scripts.training(stack.config.role_arn, f"s3://{bucket}/raw", f"s3://{bucket}/out", script)
    stack.client("sagemaker").create_training_job(TrainingJobName=name, **{**request, **changes})


def described(stack: RunningStack, name: str) -> dict[str, Any]:
    answer: dict[str, Any] = stack.client("sagemaker").describe_training_job(TrainingJobName=name)
    return answer


def trains(stack: RunningStack, name: str) -> None:
    until(lambda: described(stack, name)["SecondaryStatus"] == "Training")


def ended(stack: RunningStack, name: str) -> dict[str, Any]:
    until(lambda: described(stack, name)["TrainingJobStatus"] != "InProgress")
    return described(stack, name)


@pytest.mark.slow
def test_down_while_jobs_run(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_stack(data, mlflow=False) as stack:
        body = scripts.ROWS.encode()
        stack.client("s3").put_object(Bucket=stack.config.default_bucket, Key="raw/rows.csv", Body=body)
        train(stack, "cut", "sleep 600")
        trains(stack, "cut")
        train(stack, "again", "sleep 4; echo m > /opt/ml/model/m", RetryStrategy={"MaximumRetryAttempts": 1})
        trains(stack, "again")
        for number in range(stack.config.max_parallel_jobs):  # those that wait for a place
            train(stack, f"queued-{number}", scripts.TRAIN)
    assert processes_of(data) == {}
    with running_stack(data, mlflow=False) as stack:
        cut = ended(stack, "cut")
        assert cut["TrainingJobStatus"] == "Failed"
        assert cut["FailureReason"].startswith("InternalServerError: the local stack was stopped")
        stored = stack.client("s3").list_objects_v2(Bucket=stack.config.default_bucket, Prefix="out/cut/")
        assert stored["KeyCount"] == 0  # nothing half made
        again = ended(stack, "again")
        assert again["TrainingJobStatus"] == "Completed"
        assert "Interrupted" in [entry["Status"] for entry in again["SecondaryStatusTransitions"]]
        for number in range(stack.config.max_parallel_jobs):
            assert ended(stack, f"queued-{number}")["TrainingJobStatus"] == "Completed"
    assert processes_of(data) == {}
