"""Jobs from submission to their end: real processes, a real bucket store, a real database."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlparity.clock import SystemClock
from mlparity.engine.job_repository import JobRepository
from mlparity.engine.job_service import JobHost, JobService, Means
from mlparity.engine.jobs import (
    FailureKind,
    Instance,
    Job,
    JobInput,
    JobOutput,
    JobSpec,
    LogStream,
    MetricDefinition,
    NewJob,
    Phase,
    Retries,
)
from mlparity.engine.logs import JobLogStore
from mlparity.engine.process import Runtime
from mlparity.engine.sandbox import SandboxExecutor
from mlparity.engine.tracking import Tracking
from mlparity.errors import ConflictError, RuntimeUnavailableError
from mlparity.ids import SystemIds
from mlparity.state import Database
from mlparity.storage.filestore import FileObjectStore


class OneRuntime:
    """Every image but "unknown" is this interpreter, with nothing imported beforehand."""

    def resolve(self, image: str) -> Runtime:
        if image == "unknown":
            raise RuntimeUnavailableError("no local runtime stands for the image unknown")
        return Runtime("host", "host")


class NoBuilding:
    """Every runtime is ready as it is."""

    def ready(self, runtime: Runtime) -> Runtime:
        return runtime

    def with_packages(self, runtime: Runtime, packages: Sequence[str]) -> Runtime:
        assert not packages
        return runtime


class World:
    """A job service over a data folder; ``restart`` is what a new control plane would see."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock, self.ids = SystemClock(), SystemIds()
        self.database = Database.open(folder / "state.db")
        self.store = FileObjectStore(self.database, folder / "objects", self.clock, self.ids, "us-east-1")
        self.store.ensure_bucket("bkt")
        self.logs = JobLogStore(folder / "logs", self.clock)
        self.repository = JobRepository(self.database, self.clock, self.ids)
        self.changed = threading.Condition()
        self.begin()

    def begin(self) -> None:
        self.executor = SandboxExecutor(self.folder / "scratch", self.clock, self.ids)
        tracking = Tracking("", self.repository, self.clock)
        host = JobHost(self.folder / "jobs", {"GIVEN": "to all"}, 2)
        means = Means(self.store, self.executor, OneRuntime(), NoBuilding(), self.logs, tracking, host)
        self.service = JobService(self.repository, means, self.clock)
        self.service.listen(self._on_change)

    def end(self) -> None:
        self.service.close()
        self.executor.close()

    def _on_change(self, _job: Job) -> None:
        with self.changed:
            self.changed.notify_all()

    def wait(self, job: Job, reached: Callable[[Job], bool] = lambda job: job.phase.is_final) -> Job:
        with self.changed:
            assert self.changed.wait_for(lambda: reached(self.repository.get(job.id)), timeout=60)
        return self.repository.get(job.id)

    def log(self, job: Job) -> str:
        return self.logs.create(job.spec.log).read_text()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.end()
    made.database.close()


def job(script: str, name: str = "j", **changes: Any) -> NewJob:
    spec = JobSpec(
        image="python",
        command=["/bin/sh", "-c", script],
        environment={"MINE": "too"},
        instances=[Instance("algo-1", LogStream("/group", f"{name}/algo-1"))],
        roots=["/opt/ml"],
        working_directory="/opt/ml",
        stop_grace_seconds=5,
    )
    return NewJob("test", "job", name, {"asked": "for"}, replace(spec, **changes))


def unpacked(data: bytes) -> Mapping[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as tar:
        return {item.name: (tar.extractfile(item) or io.BytesIO()).read() for item in tar if item.isfile()}


def test_inputs_go_in_outputs_come_out_and_the_log_is_kept(world: World) -> None:
    world.store.put_bytes("bkt", "data/train/a.csv", b"1")
    world.store.put_bytes("bkt", "data/train/deep/b.csv", b"2")
    world.store.put_bytes("bkt", "data/train/", b"")
    world.store.put_bytes("bkt", "single/file.txt", b"3")
    world.store.put_bytes("bkt", "manifest.json", json.dumps([{"prefix": "s3://bkt/data/"}, "train/a.csv"]).encode())
    done = world.wait(
        world.service.submit(
            job(
                "cat train/a.csv train/deep/b.csv one/file.txt m/train/a.csv; echo; echo loss=0.5; echo loss=0.25;"
                " cat config/c.json; echo $MINE $GIVEN; mkdir model/sub; echo weights > model/sub/w; cp one/* out/",
                files={"/opt/ml/config/c.json": '{"k": 1}'},
                inputs=[
                    JobInput("train", "s3://bkt/data/train", "/opt/ml/train"),
                    JobInput("one", "s3://bkt/single/file.txt", "/opt/ml/one"),
                    JobInput("m", "s3://bkt/manifest.json", "/opt/ml/m", kind="manifest"),
                ],
                outputs=[
                    JobOutput("model", "/opt/ml/model", "s3://bkt/out/model.tar.gz", archive=True),
                    JobOutput("files", "/opt/ml/out", "s3://bkt/out/files"),
                    JobOutput("none", "/opt/ml/none", "s3://bkt/out/none.tar.gz", archive=True),
                ],
                metrics=[MetricDefinition("loss", r"loss=([0-9.]+)"), MetricDefinition("no", "no=(.*)")],
            )
        )
    )
    assert done.phase is Phase.COMPLETED, (done.failure_reason, world.log(done))
    assert done.exit_code == 0
    assert world.log(done) == '1231\nloss=0.5\nloss=0.25\n{"k": 1}too to all\n'
    assert unpacked(world.store.get_bytes("bkt", "out/model.tar.gz")) == {"sub/w": b"weights\n"}
    assert world.store.get_bytes("bkt", "out/files/file.txt") == b"3"
    assert done.results["outputs"] == {"model": "s3://bkt/out/model.tar.gz", "files": "s3://bkt/out/files"}
    assert done.results["metrics"] == {"loss": 0.25}
    phases = [entry.phase.value for entry in done.history]
    assert phases == ["pending", "starting", "downloading", "running", "uploading", "completed"]
    poll(lambda: not (world.folder / "jobs" / done.id).exists())


def test_a_failing_program_fails_its_job_with_its_own_reason_and_stores_no_model(world: World) -> None:
    done = world.wait(
        world.service.submit(
            job(
                "mkdir -p output data; echo why > output/failure; echo x > model/m; echo d > data/d; exit 3",
                failure_file="/opt/ml/output/failure",
                outputs=[
                    JobOutput("model", "/opt/ml/model", "s3://bkt/model.tar.gz", archive=True),
                    JobOutput("data", "/opt/ml/data", "s3://bkt/data", on_failure=True),
                ],
            )
        )
    )
    assert (done.phase, done.exit_code, done.failure_reason) == (Phase.FAILED, 3, "why")
    assert done.failure_kind is FailureKind.PROGRAM
    assert [info.key for info in world.store.iterate("bkt")] == ["data/d"]


def test_a_missing_input_fails_before_the_program_starts(world: World) -> None:
    wanted = [JobInput("x", "s3://bkt/nothing", "/opt/ml/x")]
    done = world.wait(world.service.submit(job("echo ran", inputs=wanted)))
    assert (done.phase, done.failure_kind) == (Phase.FAILED, FailureKind.INPUT)
    assert "s3://bkt/nothing" in done.failure_reason
    assert "ran" not in world.log(done).splitlines()
    assert "s3://bkt/nothing" in world.log(done)


@pytest.mark.parametrize("key", ["p/../../../escape", "p/a/../../../../escape", "p//../../../escape"])
def test_no_object_name_leaves_the_jobs_folder(world: World, key: str) -> None:
    world.store.put_bytes("bkt", key, b"evil")
    done = world.wait(world.service.submit(job("true", inputs=[JobInput("x", "s3://bkt/p", "/opt/ml/x")])))
    assert (done.phase, done.failure_kind) == (Phase.FAILED, FailureKind.INPUT)
    poll(lambda: not (world.folder / "jobs" / done.id).exists())
    assert not list(world.folder.rglob("escape"))


def test_a_symlink_in_an_output_is_not_followed(world: World) -> None:
    out = [JobOutput("o", "/opt/ml/o", "s3://bkt/o")]
    done = world.wait(world.service.submit(job("ln -s /etc/hostname o/link; echo real > o/real", outputs=out)))
    assert done.phase is Phase.COMPLETED
    assert [info.key for info in world.store.iterate("bkt")] == ["o/real"]


def test_stopping_lets_the_program_clean_up_and_keeps_what_it_made(world: World) -> None:
    out = [JobOutput("model", "/opt/ml/model", "s3://bkt/model.tar.gz", archive=True)]
    script = "trap 'echo saved > model/m; exit 0' TERM; echo up; while true; do sleep 0.05; done"
    running = world.wait(world.service.submit(job(script, outputs=out)), lambda job: job.phase is Phase.RUNNING)
    poll(lambda: "up" in world.log(running))
    world.service.stop(running.id)
    done = world.wait(running)
    assert done.phase is Phase.STOPPED
    assert unpacked(world.store.get_bytes("bkt", "model.tar.gz")) == {"m": b"saved\n"}


def test_a_program_that_ignores_the_stop_is_killed_after_its_grace(world: World) -> None:
    script = "trap '' TERM; echo up; while true; do sleep 0.05; done"
    running = world.wait(
        world.service.submit(job(script, stop_grace_seconds=0)), lambda job: job.phase is Phase.RUNNING
    )
    poll(lambda: "up" in world.log(running))
    world.service.stop(running.id)
    assert world.wait(running).phase is Phase.STOPPED


def test_out_of_time_means_stopped(world: World) -> None:
    done = world.wait(world.service.submit(job("while true; do sleep 0.05; done", max_runtime_seconds=1)))
    assert done.phase is Phase.STOPPED
    assert done.results["timed_out"] is True
    assert done.stop_requested_at is None


def test_a_job_that_waits_for_a_place_stops_at_once(world: World) -> None:
    hold = "while true; do sleep 0.05; done"
    first = [world.service.submit(job(hold, name)) for name in ("a", "b")]
    for each in first:
        world.wait(each, lambda job: job.phase is Phase.RUNNING)
    waiting = world.service.submit(job("echo never", "c"))
    world.service.stop(waiting.id)
    assert world.wait(waiting).phase is Phase.STOPPED
    for each in first:
        world.service.stop(each.id)
        world.wait(each)


def test_names_are_unique_and_unknown_images_are_refused_at_once(world: World) -> None:
    world.wait(world.service.submit(job("true")))
    with pytest.raises(ConflictError):
        world.service.submit(job("true"))
    with pytest.raises(RuntimeUnavailableError):
        world.service.submit(job("true", "other", image="unknown"))


def test_after_a_restart_every_job_ends_truthfully(world: World) -> None:
    """One ran (cut off), one waited (runs now), one had ended and only its model was left to store."""
    out = [JobOutput("model", "/opt/ml/model", "s3://bkt/model.tar.gz", archive=True)]
    running = world.service.submit(job("while true; do sleep 0.05; done", "running"))
    world.wait(running, lambda job: job.phase is Phase.RUNNING)
    world.end()  # the database says RUNNING, as after kill -9
    assert world.repository.get(running.id).phase is Phase.RUNNING
    waiting = world.repository.create(job("echo here", "waiting"))
    storing = world.repository.create(job("exit 9", "storing", outputs=out))
    world.repository.enter(storing.id, Phase.UPLOADING, exit_code=0)
    model = world.folder / "jobs" / storing.id / "algo-1" / "opt_ml" / "model"
    model.mkdir(parents=True)
    (model / "m").write_text("made before")

    world.begin()
    world.service.recover()
    cut = world.wait(running)
    assert (cut.phase, cut.failure_kind) == (Phase.FAILED, FailureKind.INTERRUPTED)
    assert world.wait(waiting).phase is Phase.COMPLETED
    assert world.wait(storing).phase is Phase.COMPLETED
    assert unpacked(world.store.get_bytes("bkt", "model.tar.gz")) == {"m": b"made before"}


PEERS = """
import os, socket
me = os.environ["HOST"]
other = "algo-2" if me == "algo-1" else "algo-1"
server = socket.create_server((me, 21987))
while True:
    try:
        client = socket.create_connection((other, 21987))
        break
    except ConnectionRefusedError:
        pass
peer = server.accept()[0]
client.sendall(me.encode())
client.shutdown(socket.SHUT_WR)
with open("/opt/ml/model/heard-by-" + me, "wb") as heard:
    heard.write(peer.recv(100))
"""


def two(name: str = "j") -> list[Instance]:
    return [
        Instance(host, LogStream("/group", f"{name}/{host}"), environment={"HOST": host})
        for host in ("algo-1", "algo-2")
    ]


def test_instances_are_processes_with_their_own_folders_that_reach_each_other_by_name(world: World) -> None:
    for number in range(5):
        world.store.put_bytes("bkt", f"parts/{number}", str(number).encode())
    done = world.wait(
        world.service.submit(
            job(
                "python3 code/peers.py && ls parts > model/parts-of-$HOST && echo same > model/same",
                files={"/opt/ml/code/peers.py": PEERS},
                instances=two(),
                inputs=[JobInput("parts", "s3://bkt/parts/", "/opt/ml/parts", sharded=True)],
                outputs=[JobOutput("model", "/opt/ml/model", "s3://bkt/model.tar.gz", archive=True)],
            )
        )
    )
    assert done.phase is Phase.COMPLETED, world.log(done)
    assert unpacked(world.store.get_bytes("bkt", "model.tar.gz")) == {
        "heard-by-algo-1": b"algo-2",
        "heard-by-algo-2": b"algo-1",
        "parts-of-algo-1": b"0\n2\n4\n",
        "parts-of-algo-2": b"1\n3\n",
        "same": b"same\n",
    }


def test_one_failed_instance_fails_the_job_and_ends_the_others(world: World) -> None:
    script = "if [ $HOST = algo-2 ]; then exit 7; fi; while true; do sleep 0.05; done"
    done = world.wait(world.service.submit(job(script, instances=two())))
    assert (done.phase, done.exit_code) == (Phase.FAILED, 7)


def test_an_interrupted_job_starts_again_from_its_checkpoints(world: World) -> None:
    script = (
        "if [ -f cp/step ]; then cat cp/step; echo resumed > model/m; exit 0; fi;"
        " echo early > cp/early; trap 'echo 41 > cp/step; exit 1' TERM; echo up; while true; do sleep 0.05; done"
    )
    running = world.wait(
        world.service.submit(
            job(
                script,
                inputs=[JobInput("cp", "s3://bkt/cp", "/opt/ml/cp", required=False)],
                outputs=[
                    JobOutput("cp", "/opt/ml/cp", "s3://bkt/cp", on_failure=True, continuous=True),
                    JobOutput("model", "/opt/ml/model", "s3://bkt/model.tar.gz", archive=True),
                ],
                retries=Retries(interruptible=True),
            )
        ),
        lambda job: job.phase is Phase.RUNNING,
    )
    poll(lambda: "up" in world.log(running))
    poll(lambda: [info.key for info in world.store.iterate("bkt")] == ["cp/early"])  # stored while it runs
    world.service.interrupt(running.id)
    done = world.wait(running)
    assert done.phase is Phase.COMPLETED, world.log(done)
    assert world.log(done).splitlines()[-1] == "41"
    assert unpacked(world.store.get_bytes("bkt", "model.tar.gz")) == {"m": b"resumed\n"}
    assert "interrupted" in [entry.phase.value for entry in done.history]


def test_only_a_running_interruptible_job_can_be_interrupted(world: World) -> None:
    done = world.wait(world.service.submit(job("true", retries=Retries(interruptible=True))))
    with pytest.raises(ConflictError):
        world.service.interrupt(done.id)


def test_a_job_with_retries_left_starts_again_after_a_restart(world: World) -> None:
    script = "if [ -f /opt/ml/in/x ]; then echo again; else echo first; while true; do sleep 0.05; done; fi"
    wanted = [JobInput("x", "s3://bkt/in/", "/opt/ml/in", required=False)]
    running = world.service.submit(job(script, retries=Retries(attempts=1), inputs=wanted))
    world.wait(running, lambda job: job.phase is Phase.RUNNING)
    poll(lambda: "first" in world.log(running))
    world.end()
    world.store.put_bytes("bkt", "in/x", b"")
    world.begin()
    world.service.recover()
    done = world.wait(running)
    assert done.phase is Phase.COMPLETED
    assert world.log(done).splitlines()[-1] == "again"
    assert done.results["attempts"] == 1


def test_gzip_objects_arrive_unpacked(world: World) -> None:
    world.store.put_bytes("bkt", "gz/a.csv.gz", gzip.compress(b"1,2"))
    wanted = [JobInput("x", "s3://bkt/gz", "/opt/ml/x", unpack=True)]
    done = world.wait(world.service.submit(job("cat x/a.csv", inputs=wanted)))
    assert world.log(done) == "1,2"


def poll(condition: Callable[[], bool]) -> None:
    """Wait for what a process outside does; bounded."""
    waiting = threading.Event()
    for _ in range(600):
        if condition():
            return
        waiting.wait(0.05)
    raise AssertionError("it did not happen within 30 s")
