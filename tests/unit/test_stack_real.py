"""The whole stack with its real control plane and MLflow: what the tests with a fake one cannot show."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from mlparity.stack.health import answers, get, part_statuses, running_jobs
from mlparity.stack.running import running_stack_record
from mlparity.testing.stack import RunningStack, running_stack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="process supervision is tested on Linux"),
]


def wait_gone(processes: list[psutil.Process]) -> list[psutil.Process]:
    return psutil.wait_procs(processes, timeout=20)[1]


def tree(stack: RunningStack) -> list[psutil.Process]:
    supervisor = psutil.Process(stack.record().pid)
    return [supervisor, *supervisor.children(recursive=True)]


def test_every_part_answers_and_objects_outlive_the_stack(tmp_path: Path) -> None:
    with running_stack(tmp_path / "data") as stack:
        assert all(part.healthy for part in part_statuses(stack.record()))
        assert running_jobs(stack.record()) == 0
        assert answers(f"{stack.mlflow_url}/health")
        experiment = get(f"{stack.mlflow_url}/api/2.0/mlflow/experiments/get?experiment_id=0")
        assert b"s3://mlflow/artifacts" in experiment.body
        buckets = [bucket["Name"] for bucket in stack.client("s3").list_buckets()["Buckets"]]
        assert {"mlflow", stack.config.default_bucket} <= set(buckets)
        stack.client("s3").put_object(Bucket=stack.config.default_bucket, Key="kept", Body=b"over a restart")
        processes = tree(stack)
    assert wait_gone(processes) == []
    with running_stack(tmp_path / "data", mlflow=False) as stack:
        body = stack.client("s3").get_object(Bucket=stack.config.default_bucket, Key="kept")["Body"].read()
        assert body == b"over a restart"


def test_kill_9_of_the_supervisor_takes_the_workers_with_it(tmp_path: Path) -> None:
    with running_stack(tmp_path / "data", mlflow=False) as stack:
        deadline, tick = time.monotonic() + 30, threading.Event()
        while len(processes := tree(stack)) < 3:  # the warm workers come up in the background
            assert time.monotonic() < deadline
            tick.wait(0.05)
        os.kill(processes[0].pid, signal.SIGKILL)
        assert wait_gone(processes) == []
        assert running_stack_record(stack.folder) is None
