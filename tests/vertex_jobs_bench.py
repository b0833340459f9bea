"""A ``VertexBench`` whose jobs are real processes: the job service, a sandbox, the host's runtimes, listeners wired."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from mlparity.apis.vertex import job_listeners
from mlparity.apis.vertex.context import API
from mlparity.apis.vertex.tuning_jobs import KIND as TUNING_JOB
from mlparity.apis.vertex.tuning_jobs import TuningTrials
from mlparity.clock import SystemClock
from mlparity.engine.job_repository import JobRepository
from mlparity.engine.job_service import JobHost, JobService, Means
from mlparity.engine.jobs import Job, JobSpec
from mlparity.engine.logs import JobLogStore
from mlparity.engine.process import Runtime
from mlparity.engine.sandbox import SandboxExecutor
from mlparity.engine.tracking import Tracking
from mlparity.engine.tuning.repository import TuningRepository
from mlparity.engine.tuning.service import TuningService
from mlparity.errors import RuntimeUnavailableError
from mlparity.ids import SystemIds
from tests.vertex_bench import Answer, VertexBench

IMAGE = "us-docker.pkg.dev/vertex-ai/training/sklearn-cpu.1-6.py310:latest"


class OneRuntime:
    """Every image but "unknown" is this interpreter."""

    def resolve(self, image: str) -> Runtime:
        if image == "unknown":
            raise RuntimeUnavailableError("no local runtime stands for the image unknown")
        return Runtime("host", "host")


class Recorded:
    """Every runtime is ready as it is; what packages were asked for is kept."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ready(self, runtime: Runtime) -> Runtime:
        return runtime

    def with_packages(self, runtime: Runtime, packages: Sequence[str]) -> Runtime:
        self.asked += packages
        return runtime


class JobsBench:
    """``bench`` and what runs its jobs; ``restart`` is what a new control plane would see."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.bench = VertexBench(folder)
        self.bench.store.ensure_bucket("staging")
        self.packages = Recorded()
        self.logs = JobLogStore(folder / "logs", SystemClock())
        self.changed = threading.Condition()
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.bench.__exit__()

    def start(self) -> None:
        """A job service and a tuning service, recovered."""
        clock, ids, database = SystemClock(), SystemIds(), self.bench.database
        repository = JobRepository(database, clock, ids)
        self.executor = SandboxExecutor(self._folder / "scratch", clock, ids)
        host = JobHost(self._folder / "jobs", {}, 3)
        tracking = Tracking("", repository, clock)
        means = Means(self.bench.store, self.executor, OneRuntime(), self.packages, self.logs, tracking, host)
        self.jobs = JobService(repository, means, clock)
        trial_jobs = {(API, TUNING_JOB): TuningTrials(lambda: self.bench.vertex)}
        self.tunings = TuningService(TuningRepository(database, clock, ids), self.jobs, trial_jobs, clock, ids)
        for part in ("jobs", "tunings", "logs"):
            object.__setattr__(self.bench.vertex, part, getattr(self, part))
        job_listeners.listen(self.bench.vertex)
        self.jobs.listen(self.tunings.on_job)
        self.jobs.listen(lambda _job: self._notify())
        self.tunings.listen(lambda _tuning: database.after_commit(self._notify))
        self.jobs.recover()
        self.tunings.start()

    def stop(self) -> None:
        """As a control plane that ends: what runs is killed, the database keeps where it was."""
        self.tunings.close()
        self.jobs.close()
        self.executor.close()

    def wait(self, ask: Callable[[], dict[str, Any]], *states: str) -> dict[str, Any]:
        """What ``ask`` answers once its state is one of ``states``."""
        with self.changed:
            found: list[dict[str, Any]] = []

            def reached() -> bool:
                found[:] = [ask()]
                return found[0].get("state") in states

            self.changed.wait_for(lambda: reached() or found[0].get("endTime"), timeout=30)
            assert found[0]["state"] in states, (found, self.all_logs())
        return found[0]

    def call(self, name: str, /, **request: Any) -> dict[str, Any]:
        return self.bench.call(name, **request)

    def refused(self, name: str, /, **request: Any) -> Answer:
        return self.bench.refused(name, **request)

    def objects(self, bucket: str = "staging", prefix: str = "") -> Mapping[str, bytes]:
        store = self.bench.store
        return {info.key: store.get_bytes(bucket, info.key) for info in store.iterate(bucket, prefix)}

    def await_object(self, bucket: str, key: str) -> None:
        """Until a running job has stored it; the store tells nobody."""
        deadline = time.monotonic() + 30
        while key not in self.objects(bucket, key):
            assert time.monotonic() < deadline, self.all_logs()
            time.sleep(0.05)

    def log(self, job_id: str, replica: str = "workerpool0-0") -> str:
        job = self.jobs.repository.find(API, "CustomJob", job_id)
        instance = next(one for one in job.spec.instances if one.name == replica)
        return self.logs.create(instance.log).read_text()

    def all_logs(self) -> str:
        return "\n".join(path.read_text() for path in sorted((self._folder / "logs").rglob("*.log")))

    def spec(self, job_id: str) -> JobSpec:
        job: Job = self.jobs.repository.find(API, "CustomJob", job_id)
        return job.spec

    def _notify(self) -> None:
        with self.changed:
            self.changed.notify_all()


def container(*command: str, **more: Any) -> dict[str, Any]:
    """A worker pool of one replica."""
    return {
        "machineSpec": {"machineType": "n1-standard-4"},
        "replicaCount": "1",
        "containerSpec": {"imageUri": IMAGE, "command": list(command), **more},
    }


def script(text: str, *arguments: str, **more: Any) -> dict[str, Any]:
    """A worker pool that runs a Python program."""
    return container("python3", "-c", text, args=list(arguments), **more)
