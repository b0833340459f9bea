"""Inputs as named pipes: real FIFOs, read by threads as a job reads them."""

from __future__ import annotations

import gzip
import json
import os
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from mlparity.clock import SystemClock
from mlparity.engine.jobs import Instance, JobInput, JobSpec, LogStream
from mlparity.engine.pipes import PipeFeeds, check
from mlparity.engine.workspace import Workspace
from mlparity.errors import NotFoundError
from mlparity.ids import SystemIds
from mlparity.state import Database
from mlparity.storage.filestore import FileObjectStore

TRAIN = JobInput("train", "s3://bkt/data/", "/opt/ml/input/data/train", stream=True)
LARGE = 3_000_001  # bytes: far more than a pipe holds
SECONDS = 20


class Bench:
    """A bucket, the folders of a job of two instances, and readers."""

    def __init__(self, folder: Path) -> None:
        self.database = Database.open(folder / "state.db")
        self.store = FileObjectStore(self.database, folder / "objects", SystemClock(), SystemIds(), "us-east-1")
        self.store.ensure_bucket("bkt")
        spec = JobSpec(
            image="python",
            command=["true"],
            environment={},
            instances=[Instance(name, LogStream("/group", name)) for name in ("algo-1", "algo-2")],
            roots=["/opt/ml"],
            folders=["/opt/ml/input/data"],
        )
        self.workspaces = [Workspace(folder / "job", spec, index) for index in range(2)]
        for workspace in self.workspaces:
            workspace.prepare()
        self.wake = threading.Event()
        self.readers = ThreadPoolExecutor(4)

    def put(self, **named: bytes) -> None:
        for name, data in named.items():
            self.store.put_bytes("bkt", f"data/{name}", data)

    def feeds(self, wanted: JobInput = TRAIN, instances: int = 1) -> PipeFeeds:
        return PipeFeeds(self.store, [wanted], self.workspaces[:instances], self.wake)

    def data(self, instance: int = 0) -> Path:
        return self.workspaces[instance].outside("/opt/ml/input/data")

    def names(self, instance: int = 0) -> list[str]:
        return sorted(path.name for path in self.data(instance).iterdir())

    def read(self, name: str = "train_0", instance: int = 0) -> bytes:
        return self.readers.submit((self.data(instance) / name).read_bytes).result(SECONDS)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    descriptors = open_descriptors()
    made = Bench(tmp_path)
    yield made
    made.readers.shutdown()
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("pipe-")] == []
    assert made.names() == made.names(1) == []  # whatever a test did: no file, no thread, no descriptor stays
    made.database.close()
    assert open_descriptors() <= descriptors


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def records(streamed: bytes) -> list[bytes]:
    """What RecordIO frames hold."""
    found = []
    while streamed:
        magic, size = struct.unpack("<II", streamed[:8])
        end = 8 + size + -size % 4
        assert magic == 0xCED7230A
        assert not any(streamed[8 + size : end])
        found.append(streamed[8 : 8 + size])
        streamed = streamed[end:]
    return found


def bounded(call: Callable[[], object]) -> None:
    """Leaving the pipes must not hang."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert not thread.is_alive()


def test_every_epoch_streams_all_objects_in_key_order_through_a_pipe_of_its_own(bench: Bench) -> None:
    large = os.urandom(LARGE)
    bench.put(b=large, a=b"first\n", c=b"last")
    check(bench.store, TRAIN, bench.workspaces[0])
    with bench.feeds():
        assert bench.names() == ["train_0"]
        assert (bench.data() / "train_0").is_fifo()
        assert bench.read("train_0") == b"first\n" + large + b"last"
        assert bench.names() == ["train_1"]  # no need to look for it twice
        assert bench.read("train_1") == b"first\n" + large + b"last"
    assert not bench.wake.is_set()


def test_a_reader_that_leaves_early_gets_the_whole_next_epoch(bench: Bench) -> None:
    bench.put(a=b"x" * LARGE)
    with bench.feeds():
        with (bench.data() / "train_0").open("rb", buffering=0) as stream:
            assert stream.read(10) == b"x" * 10
        assert len(bench.read("train_1")) == LARGE


def test_recordio_frames_each_object(bench: Bench) -> None:
    bodies = [b"12345", b"", b"12345678", gzip.compress(b"z" * 100_001)]
    bench.put(**{f"o{index}": body for index, body in enumerate(bodies)})
    with bench.feeds(replace(TRAIN, record_io=True)):
        streamed = bench.read()
    assert streamed.startswith(struct.pack("<II", 0xCED7230A, 5) + b"12345\0\0\0" + struct.pack("<II", 0xCED7230A, 0))
    assert records(streamed) == bodies


def test_gzip_is_unpacked_and_framed_by_its_unpacked_length(bench: Bench) -> None:
    bench.put(a=gzip.compress(b"one\n"), b=gzip.compress(b"2" * LARGE))
    with bench.feeds(replace(TRAIN, unpack=True)):
        assert bench.read() == b"one\n" + b"2" * LARGE
    with bench.feeds(replace(TRAIN, unpack=True, record_io=True)):
        assert records(bench.read()) == [b"one\n", b"2" * LARGE]


def test_shards_and_the_order_of_each_epoch_come_from_the_seed(bench: Bench) -> None:
    bench.put(**{f"k{number:02}": f"{number:02} ".encode() for number in range(20)})
    wanted = replace(TRAIN, sharded=True, shuffle_seed=7)

    def epochs() -> list[list[str]]:
        with bench.feeds(wanted, instances=2):
            shares = [[bench.read(f"train_{epoch}", instance) for instance in (0, 1)] for epoch in (0, 1)]
        return [b"".join(both).decode().split() for both in shares]

    first, second = epochs()
    assert sorted(first) == sorted(second) == [f"{number:02}" for number in range(20)]  # every object once
    assert first != second != sorted(second)
    assert set(first[:10]) != set(second[:10])  # an instance gets others in the second epoch
    assert epochs() == [first, second]
    with bench.feeds(replace(TRAIN, sharded=True), instances=2):
        assert bench.read(instance=1).decode().split() == [f"{number:02}" for number in range(1, 20, 2)]


def test_a_manifest_names_what_is_streamed(bench: Bench) -> None:
    bench.put(a=b"A", b=b"B", c=b"C")
    bench.store.put_bytes("bkt", "list.json", json.dumps([{"prefix": "s3://bkt/data/"}, "c", "a"]).encode())
    with bench.feeds(replace(TRAIN, uri="s3://bkt/list.json", kind="manifest")):
        assert bench.read() == b"CA"


def test_a_pipe_that_nobody_opens_and_one_in_the_middle_of_reading_end_with_the_job(bench: Bench) -> None:
    bench.put(a=b"x" * LARGE)
    with bench.feeds():
        pass
    feeds = bench.feeds(instances=2)
    feeds.__enter__()
    with (bench.data() / "train_0").open("rb", buffering=0) as stream:
        assert stream.read(1) == b"x"
        (bench.data() / "train_1").chmod(0)  # what a job may do to its own files
        bounded(lambda: feeds.__exit__(None, None, None))


def test_what_a_job_puts_in_a_pipes_place_is_never_written_to(bench: Bench, tmp_path: Path) -> None:
    bench.put(a=b"secret")
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    with bench.feeds() as feeds:
        (bench.data() / "train_0").rename(bench.data() / "moved")
        for name in ("train_0", "train_1"):
            (bench.data() / name).symlink_to(outside)
        descriptor = os.open(bench.data() / "moved", os.O_RDONLY)
        assert bench.wake.wait(SECONDS)
        assert "train_1 is there already" in feeds.failure
    os.close(descriptor)
    assert outside.read_bytes() == b"mine"
    for name in ("moved", "train_1"):  # the job's own
        (bench.data() / name).unlink()


def test_an_object_that_cannot_be_read_to_its_end_is_told_and_never_looks_whole(bench: Bench) -> None:
    bench.put(a=gzip.compress(b"good\n"), b=b"no gzip")
    with bench.feeds(replace(TRAIN, unpack=True)) as feeds:
        descriptor = os.open(bench.data() / "train_0", os.O_RDONLY)
        assert bench.wake.wait(SECONDS)
        assert "data/b is not gzip-compressed" in feeds.failure
        assert os.read(descriptor, 100) == b"good\n"
        os.set_blocking(descriptor, False)
        with pytest.raises(BlockingIOError):  # an end would be b""
            os.read(descriptor, 100)
        os.close(descriptor)


def test_an_input_without_objects_is_refused_before_the_start(bench: Bench) -> None:
    with pytest.raises(NotFoundError, match='No S3 objects found under S3 URL "s3://bkt/data/"'):
        check(bench.store, TRAIN, bench.workspaces[0])
