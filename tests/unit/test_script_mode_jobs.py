"""Script mode from a request to its end: the archive is unpacked, the requirements are built in, the script runs."""

from __future__ import annotations

import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlparity.apis.sagemaker.arns import Arns
from mlparity.apis.sagemaker.job_status import failure_reason
from mlparity.apis.sagemaker.training_contract import training_spec
from mlparity.clock import SystemClock
from mlparity.engine.environments import Environments
from mlparity.engine.job_repository import JobRepository
from mlparity.engine.job_service import JobHost, JobService, Means
from mlparity.engine.jobs import Job, NewJob, Phase
from mlparity.engine.logs import JobLogStore
from mlparity.engine.process import Runtime
from mlparity.engine.sandbox import SandboxExecutor
from mlparity.engine.tracking import Tracking
from mlparity.ids import SystemIds
from mlparity.state import Database
from mlparity.storage.filestore import FileObjectStore

SCRIPT = "import sys, own_thing, tiny_thing\nprint(own_thing.VERSION, tiny_thing.VERSION, sys.argv)\n"


def wheel(folder: Path, name: str, version: str) -> Path:
    """A package that no index has."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"VERSION = '{version}'\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def packed(script: str, requirements: str = "", name: str = "train.py") -> bytes:
    """A .tar.gz of a script and its requirements."""
    files = {name: script} | ({"requirements.txt": requirements} if requirements else {})
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


class World:
    """A job service whose every image is an environment of its own that has ``own-thing``."""

    def __init__(self, folder: Path, own: Path) -> None:
        clock, ids = SystemClock(), SystemIds()
        self.runtime = Runtime("mine", "venv", module="mlparity.engine.script_mode", requirements=(str(own),))
        self.database = Database.open(folder / "state.db")
        self.store = FileObjectStore(self.database, folder / "objects", clock, ids, "us-east-1")
        self.store.ensure_bucket("bkt")
        self.logs = JobLogStore(folder / "logs", clock)
        self.repository = JobRepository(self.database, clock, ids)
        self.executor = SandboxExecutor(folder / "scratch", clock, ids)
        self.environments = folder / "environments"
        host = JobHost(folder / "jobs", {}, 2)
        tracking = Tracking("", self.repository, clock)
        means = Means(self.store, self.executor, self, Environments(self.environments), self.logs, tracking, host)
        self.service = JobService(self.repository, means, clock)
        self.changed = threading.Condition()
        self.service.listen(self._on_change)

    def resolve(self, image: str) -> Runtime:
        return self.runtime

    def _on_change(self, _job: Job) -> None:
        with self.changed:
            self.changed.notify_all()

    def train(self, name: str, **hyperparameters: str) -> tuple[Job, str]:
        """Run a training job to its end; the job, and its log."""
        request: dict[str, Any] = {
            "TrainingJobName": name,
            "RoleArn": "arn:aws:iam::123456789012:role/r",
            "AlgorithmSpecification": {"TrainingImage": "mine", "TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": "s3://bkt/out"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
            "HyperParameters": {key: json.dumps(value) for key, value in hyperparameters.items()},
        }
        spec = training_spec(request, Arns("us-east-1", "123456789012"), "1", lambda _image: {})
        job = self.service.submit(NewJob("sagemaker", "TrainingJob", name, request, spec))
        with self.changed:
            assert self.changed.wait_for(lambda: self.repository.get(job.id).phase.is_final, timeout=60)
        return self.repository.get(job.id), self.logs.create(job.spec.log).read_text()

    def close(self) -> None:
        self.service.close()
        self.executor.close()
        self.database.close()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    own = wheel(tmp_path, "own_thing", "1.0")
    wheel(wheels, "tiny_thing", "1.2.3")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    made = World(tmp_path / "data", own)
    yield made
    made.close()


def test_a_script_runs_with_what_its_requirements_name(world: World) -> None:
    code = packed(SCRIPT, "# mine\ntiny-thing==1.2.3\n")
    world.store.put_bytes("bkt", "code/sourcedir.tar.gz", code)
    script = {"sagemaker_program": "train.py", "sagemaker_submit_directory": "s3://bkt/code/sourcedir.tar.gz"}
    for name in ("first", "second"):
        done, log = world.train(name, **script, epochs="3")
        assert done.phase is Phase.COMPLETED, (done.failure_reason, log)
        assert "1.0 1.2.3 ['train.py', '--epochs', '3']" in log
        assert "requirements.txt is installed in the job's own environment" in log
    # One environment for the image, one for the script's content; the second job builds none.
    assert len([path for path in world.environments.iterdir() if path.is_dir()]) == 2


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (packed(SCRIPT, "-r more.txt\n"), "its line `-r more.txt` is no plain requirement"),
        (packed(SCRIPT, "no-such-thing==9\n"), "no-such-thing"),
        (packed(SCRIPT), "ModuleNotFoundError: No module named 'tiny_thing'"),
        (packed(SCRIPT, name="../../escaped.py"), "cannot be unpacked"),
        (b"no archive", "cannot be unpacked"),
        (b"", "cannot be unpacked"),
        (None, "bkt/code.tar.gz does not exist"),
    ],
    ids=["option", "missing-package", "no-requirements", "outside", "no-archive", "empty", "absent"],
)
def test_what_cannot_run_says_why(world: World, code: bytes | None, reason: str) -> None:
    if code is not None:
        world.store.put_bytes("bkt", "code.tar.gz", code)
    done, _ = world.train("broken", sagemaker_program="train.py", sagemaker_submit_directory="s3://bkt/code.tar.gz")
    assert done.phase is Phase.FAILED
    assert reason in failure_reason(done)
