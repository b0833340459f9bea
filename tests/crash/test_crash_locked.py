"""Another program holds the database's write lock: the vendors' errors, in time, and nothing half done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from mlparity.clock import SystemClock
from mlparity.ids import SystemIds
from mlparity.stack.config import ControlPlaneConfig
from mlparity.stack.control_plane import ControlPlane
from mlparity.state import Database
from mlparity.testing.faults import database_locked
from tests.conformance.aws_fixtures import served

BUSY_SECONDS = 0.2


@dataclass
class Served:
    config: ControlPlaneConfig
    url: str

    def client(self, service: str) -> Any:
        session: Any = boto3.Session(self.config.access_key_id, self.config.secret_access_key, region_name="us-east-1")
        return session.client(service, endpoint_url=self.url, config=Config(retries={"total_max_attempts": 1}))


@pytest.fixture
def plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """The real control plane in this process, which waits for the lock a moment only."""
    opened = Database.open
    monkeypatch.setattr(Database, "open", lambda path: opened(path, BUSY_SECONDS))
    config = ControlPlaneConfig(tmp_path / "data", mlflow_port=0)
    made = ControlPlane(config, SystemClock(), SystemIds())
    try:
        made.start()
        with served(made.app) as url:
            yield Served(config, url)
    finally:
        made.close()


def refused(action: Any, **request: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        action(**request)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_writes_are_refused_in_the_vendors_words_and_reads_go_on(plane: Served) -> None:
    s3, sagemaker, iam = plane.client("s3"), plane.client("sagemaker"), plane.client("iam")
    bucket = plane.config.default_bucket
    s3.put_object(Bucket=bucket, Key="before", Body=b"before")
    iam.list_roles()  # its history is replayed
    group = {"ModelPackageGroupName": "locked"}
    with database_locked(plane.config.database_path):
        assert refused(s3.put_object, Bucket=bucket, Key="during", Body=b"x") == ("ServiceUnavailable", 503)
        assert refused(sagemaker.create_model_package_group, **group) == ("ServiceUnavailable", 503)
        code, status = refused(iam.create_user, UserName="locked")
        assert status >= 500, code
        assert s3.get_object(Bucket=bucket, Key="before")["Body"].read() == b"before"
        assert sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"] == []
    incoming = plane.config.blobs_dir / "incoming"
    assert list(incoming.iterdir()) == []
    sagemaker.create_model_package_group(**group)
    s3.put_object(Bucket=bucket, Key="during", Body=b"x")
    assert [user["UserName"] for user in iam.list_users()["Users"]] == []
    iam.create_user(UserName="locked")
