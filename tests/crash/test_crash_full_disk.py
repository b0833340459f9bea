"""A full disk: the vendors' errors, true ends of jobs, nothing half-written, and work again once there is room."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from mlparity.testing.faults import disk_filled
from mlparity.testing.stack import RunningStack, running_stack
from tests.crash import scripts

SIZE = "64m"
BIG = 3 * 1024 * 1024
# Says that it runs, waits until the disk is full, and ends well: only its model is left to store.
WAITS = "head -c 3000000 /dev/urandom > /opt/ml/model/m; echo written; sleep 4"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount, umount = shutil.which("mount"), shutil.which("umount")
    folder = tmp_path / "disk"
    folder.mkdir()
    if mount is None or umount is None:
        pytest.skip("there is no `mount` here to make a small file system with")
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={SIZE}", "mlparity-test", str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"a small file system needs the right to mount one: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run([umount, "-l", str(folder)], check=True)


def client(stack: RunningStack, service: str) -> Any:
    """Without retries: what is answered first counts."""
    session: Any = boto3.Session(
        stack.config.access_key_id, stack.config.secret_access_key, region_name=stack.config.region
    )
    once = Config(retries={"total_max_attempts": 1})
    return session.client(service, endpoint_url=stack.aws_url, config=once)


def until(holds: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return value


def status_of(error: ClientError) -> int:
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


@dataclass(frozen=True)
class Client:
    """The calls of one stack."""

    stack: RunningStack
    s3: Any
    sagemaker: Any

    @property
    def bucket(self) -> str:
        return self.stack.config.default_bucket

    def train(self, name: str, script: str = scripts.TRAIN) -> None:
        raw, out = f"s3://{self.bucket}/raw", f"s3://{self.bucket}/out"
        request = scripts.training(self.stack.config.role_arn, raw, out, script)
        self.sagemaker.create_training_job(TrainingJobName=name, **request)

    def ended(self, name: str) -> dict[str, Any]:
        described: dict[str, Any] = until(lambda: self._final(name))
        return described

    def _final(self, name: str) -> dict[str, Any] | None:
        described: dict[str, Any] = self.sagemaker.describe_training_job(TrainingJobName=name)
        return described if described["TrainingJobStatus"] != "InProgress" else None

    def runs(self, name: str) -> None:
        """Until the job's program has written its model."""
        group, stream = "/aws/sagemaker/TrainingJobs", f"{name}/"
        logs = client(self.stack, "logs")

        def said() -> bool:
            try:
                lines = logs.filter_log_events(logGroupName=group, logStreamNamePrefix=stream)["events"]
            except ClientError:
                return False
            return any("written" in line["message"] for line in lines)

        until(said)

    def is_refused_big(self) -> None:
        with pytest.raises(ClientError) as refused:
            self.s3.put_object(Bucket=self.bucket, Key="big", Body=bytes(BIG))
        assert status_of(refused.value) >= 500

    def fill_with_groups(self) -> set[str]:
        """Until the database has no room left, either; the names that were acknowledged."""
        accepted: set[str] = set()
        for number in range(200):
            try:
                self.sagemaker.create_model_package_group(
                    ModelPackageGroupName=f"group-{number}", ModelPackageGroupDescription="x" * 1000
                )
                accepted.add(f"group-{number}")
            except ClientError as error:
                refusal = error
                break
        assert status_of(refusal) == 503
        return accepted


@pytest.mark.slow
def test_a_full_disk_is_told_and_survived(small_disk: Path) -> None:
    with running_stack(small_disk / "data", mlflow=False) as stack:
        use = Client(stack, client(stack, "s3"), client(stack, "sagemaker"))
        use.s3.put_object(Bucket=use.bucket, Key="raw/rows.csv", Body=scripts.ROWS.encode())
        use.train("before")
        assert use.ended("before")["TrainingJobStatus"] == "Completed"

        use.train("nearly", WAITS)
        use.runs("nearly")
        with disk_filled(small_disk, keep_free=BIG // 2):  # the database has room, a model has not
            ended = use.ended("nearly")
            assert ended["TrainingJobStatus"] == "Failed"
            assert "No space left" in ended["FailureReason"], ended["FailureReason"]

        use.train("during", WAITS)
        use.runs("during")
        with disk_filled(small_disk):
            use.is_refused_big()
            accepted = use.fill_with_groups()
            got = use.s3.get_object(Bucket=use.bucket, Key="raw/rows.csv")
            assert got["Body"].read() == scripts.ROWS.encode()
            until(lambda: "cannot be written down yet" in stack.folder.log_path("control-plane").read_text())
            assert use.sagemaker.describe_training_job(TrainingJobName="during")["TrainingJobStatus"] == "InProgress"
        ended = use.ended("during")  # the model was made; once there is room, it is stored
        assert ended["TrainingJobStatus"] == "Completed", ended.get("FailureReason")
        assert list((stack.config.blobs_dir / "incoming").iterdir()) == []
        groups = use.sagemaker.get_paginator("list_model_package_groups").paginate().build_full_result()
        assert {item["ModelPackageGroupName"] for item in groups["ModelPackageGroupSummaryList"]} == accepted
        use.s3.put_object(Bucket=use.bucket, Key="big", Body=bytes(BIG))
        use.train("after")
        assert use.ended("after")["TrainingJobStatus"] == "Completed"
        assert [child.restarts for child in stack.record().children if child.name == "control-plane"] == [0]
