"""The log store: times that stay, lines that never change, names that never become paths."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlparity.engine.jobs import LogStream
from mlparity.engine.logs import ByteRange, JobLogStore, milliseconds
from mlparity.errors import InvalidRequestError, NotFoundError
from mlparity.testing import TestClock

LOG = LogStream("/aws/sagemaker/TrainingJobs", "job/algo-1-1")


def texts(store: JobLogStore, log: LogStream = LOG, span: ByteRange | None = None) -> list[str]:
    found = span or store.span(log.group, log.stream)
    forward = [line.text for line in store.forward(log.group, log.stream, found)]
    backward = [line.text for line in store.backward(log.group, log.stream, found)]
    assert backward == forward[::-1]
    return forward


def write(path: Path, data: bytes, clock: TestClock) -> None:
    with path.open("ab") as file:
        file.write(data)
    os.utime(path, (clock.now().timestamp(),) * 2)


def test_times_follow_the_indexing_and_survive_reopening(tmp_path: Path) -> None:
    clock = TestClock()
    store = JobLogStore(tmp_path, clock)
    path = store.create(LOG)
    write(path, b"a\nb\n", clock)
    store.index()
    first = milliseconds(clock.now())
    clock.advance(10)
    write(path, b"c\n", clock)
    store.index()
    clock.advance(1000)
    reopened = JobLogStore(tmp_path, clock)
    lines = list(reopened.forward(LOG.group, LOG.stream, reopened.span(LOG.group, LOG.stream)))
    assert [(line.text, line.at) for line in lines] == [("a", first), ("b", first), ("c", first + 10_000)]
    assert texts(reopened, span=reopened.span(LOG.group, LOG.stream, first + 1)) == ["c"]
    assert texts(reopened, span=reopened.span(LOG.group, LOG.stream, None, first + 10_000)) == ["a", "b"]
    info = reopened.stream(LOG.group, LOG.stream)
    assert (info.created, info.first, info.last, info.size) == (first, first, first + 10_000, 6)


def test_an_unread_log_gets_the_time_of_its_last_write(tmp_path: Path) -> None:
    clock = TestClock()
    store = JobLogStore(tmp_path, clock)
    write(store.create(LOG), b"late\n", clock)
    written = milliseconds(clock.now())
    clock.advance(3600)
    assert [line.at for line in store.forward(LOG.group, LOG.stream, store.span(LOG.group, LOG.stream))] == [written]


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    clock = TestClock()
    store = JobLogStore(tmp_path, clock)
    path = store.create(LOG)
    write(path, b"whole\nhal", clock)
    assert texts(store) == ["whole"]
    write(path, b"f\n", clock)
    assert texts(store) == ["whole", "half"]
    write(path, b"no newline", clock)
    assert texts(store) == ["whole", "half"]
    store.finish(LOG)
    assert texts(store) == ["whole", "half", "no newline"]


def test_a_stalled_line_is_shown_and_never_grows(tmp_path: Path) -> None:
    clock = TestClock()
    store = JobLogStore(tmp_path, clock)
    path = store.create(LOG)
    write(path, b"progress: 10%", clock)
    clock.advance(6)
    assert texts(store) == ["progress: 10%"]
    write(path, b" 20%\nnext\n", clock)
    assert texts(store) == ["progress: 10%", " 20%", "next"]


def test_own_lines_begin_on_a_line_of_their_own(tmp_path: Path) -> None:
    clock = TestClock()
    store = JobLogStore(tmp_path, clock)
    write(store.create(LOG), b"broken off", clock)
    store.append(LOG, "the job was stopped")
    assert texts(store) == ["broken off", "the job was stopped"]


def test_long_lines_come_in_the_same_pieces_both_ways(tmp_path: Path) -> None:
    store = JobLogStore(tmp_path, TestClock())
    store.append(LOG, "a\n" + "x" * 600_000 + "\nb")
    assert [len(text) for text in texts(store)] == [1, 262_144, 262_144, 75_712, 1]


def test_a_torn_index_is_mended(tmp_path: Path) -> None:
    store = JobLogStore(tmp_path, TestClock())
    store.append(LOG, "a")
    index = store.create(LOG).with_suffix(".idx")
    index.write_bytes(index.read_bytes()[:-5])
    assert texts(store) == ["a"]
    store.append(LOG, "b")
    assert texts(store) == ["a", "b"]
    assert len(index.read_bytes()) % 16 == 0


def test_streams_by_prefix(tmp_path: Path) -> None:
    store = JobLogStore(tmp_path, TestClock())
    for name in ("job/algo-1-1", "job/algo-2-1", "job-2/algo-1-1", "plain", "job"):
        store.append(LogStream("g", name), "x")
    assert [info.stream for info in store.streams("g", "job/")] == ["job/algo-1-1", "job/algo-2-1"]
    assert [info.stream for info in store.streams("g")] == [
        "job",
        "job-2/algo-1-1",
        "job/algo-1-1",
        "job/algo-2-1",
        "plain",
    ]
    assert store.streams("none") == []
    assert [name for name, _ in store.groups()] == ["g"]


@pytest.mark.parametrize("name", ["../../x", "a/../../x", "/etc/passwd", "..", ".", "a/.", "a/%", "a/", "", "x\x00y"])
def test_names_never_become_paths(tmp_path: Path, name: str) -> None:
    store = JobLogStore(tmp_path / "logs", TestClock())
    log = LogStream(f"/g/{name}", name)
    path = store.create(log)
    assert path.resolve().is_relative_to(tmp_path / "logs")
    assert len(path.relative_to(tmp_path / "logs").parts) == 3
    assert [info.stream for info in store.streams(log.group)] == [name]


def test_too_long_and_unknown_names(tmp_path: Path) -> None:
    store = JobLogStore(tmp_path, TestClock())
    with pytest.raises(InvalidRequestError):
        store.create(LogStream("g", "x" * 300))
    for stream in ("x" * 300, "nobody"):
        with pytest.raises(NotFoundError):
            store.span("g", stream)
    store.append(LOG, "x")
    store.delete(LOG.group, LOG.stream)
    with pytest.raises(NotFoundError):
        store.stream(LOG.group, LOG.stream)
    store.delete(LOG.group)
    assert store.groups() == []
