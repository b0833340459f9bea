"""What a job's first process says of its start and its end, in whatever order two threads read it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from mlparity.engine.sandbox.running import SandboxedProcess
from mlparity.engine.warm import wire
from mlparity.testing import TestClock

EXIT = {"exit": 3 << 8, "usage": {"user": 0.1, "system": 0.2, "peak": 4096}}


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, SandboxedProcess, list[str]]]:
    ours, theirs = socket.socketpair()
    cleaned: list[str] = []
    process = SandboxedProcess(ours, lambda: None, TestClock(), lambda: cleaned.append("cleaned"))
    yield theirs, process, cleaned
    theirs.close()
    ours.close()


def say(to: socket.socket, *messages: dict[str, Any]) -> None:
    for message in messages:
        wire.send_json(to, message)
    to.shutdown(socket.SHUT_WR)


def test_a_job_that_ended_before_its_starter_looked_has_been_started(pair: Any) -> None:
    theirs, process, cleaned = pair
    say(theirs, {"started": True}, EXIT)
    process.end()  # the thread that reaps came first, and has read everything
    assert process.await_start() is None
    ended = process.wait(0)
    assert ended is not None
    assert (ended.code, ended.lost, cleaned) == (3, False, ["cleaned"])


def test_a_start_that_failed_says_why_to_whoever_asks(pair: Any) -> None:
    theirs, process, _ = pair
    say(theirs, {"error": "no room"})
    process.end()
    assert process.await_start() == "no room"


def test_a_job_that_said_nothing_was_killed(pair: Any) -> None:
    theirs, process, _ = pair
    say(theirs)
    assert process.await_start() == "the job's first process was killed"
    process.end(lost=True)
    ended = process.wait(0)
    assert ended is not None
    assert (ended.signal, ended.lost) == (9, True)
