"""Faults to inject into a running stack, for tests of what must survive them.

``kill`` ends one part with SIGKILL, ``bring_up`` is the ``mlparity up`` after that; ``interrupt`` takes a spot job's
machine away; ``database_locked`` and ``disk_filled`` are the two ways in which a disk lets one down.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from mlparity.errors import ConflictError
from mlparity.stack.health import post
from mlparity.stack.spec import CONTROL_PLANE, StackSpec
from mlparity.stack.start import Started, start
from mlparity.testing.stack import RunningStack

if TYPE_CHECKING:
    import psutil

_ZYGOTE = "mlparity.engine.warm.zygote"
_BLOCK = 1024 * 1024  # bytes


class Part(StrEnum):
    """What can be killed. Workers and jobs are there once a job has run."""

    CONTROL_PLANE = "control-plane"
    MLFLOW = "mlflow"
    SUPERVISOR = "supervisor"  # and with it everything else
    STEWARD = "steward"  # forks the jobs; all of them end with it
    WORKER = "worker"  # holds the imported libraries; the interpreters of jobs are its children
    JOB = "job"  # the first process of the newest job


def kill(stack: RunningStack, part: Part) -> int | None:
    """SIGKILL to the part; its process id, or None where it does not run now."""
    process = find(stack, part)
    if process is None:
        return None
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
        return int(process.pid)
    return None


def find(stack: RunningStack, part: Part) -> psutil.Process | None:
    """The part's process, where it runs now."""
    import psutil

    try:
        record = stack.record()
        if part is Part.SUPERVISOR:
            return psutil.Process(record.pid)
        name = part.value if part is Part.MLFLOW else Part.CONTROL_PLANE.value
        process = next(
            (psutil.Process(child.pid) for child in record.children if child.name == name and child.pid), None
        )
        if process is None or part in {Part.CONTROL_PLANE, Part.MLFLOW}:
            return process
        return _below(process, part)
    except psutil.Error:
        return None


def bring_up(stack: RunningStack, timeout: float = 120.0) -> Started:
    """Start the stack again on the same ports, where its supervisor is gone. Idempotent. Raises ``StackError``.

    A supervisor that this call started is this process's child: ``Started.process`` is to be waited for after ``down``.
    """
    return start(StackSpec(stack.config, CONTROL_PLANE), timeout=timeout)


def interrupt(stack: RunningStack, job: str) -> None:
    """Take the machine of a running spot job away. Raises ``ConflictError`` where the job is not one."""
    answer = post(f"{stack.aws_url}/_mlparity/interrupt/{quote(job, safe='')}")
    if answer.status != HTTPStatus.OK:
        raise ConflictError(f"{job} was not interrupted", str(json.loads(answer.body).get("error", answer.status)))


@contextmanager
def database_locked(path: Path) -> Iterator[None]:
    """Hold the write lock of a SQLite database as another program would, until the block ends."""
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


@contextmanager
def disk_filled(folder: Path, keep_free: int = 0) -> Iterator[Path]:
    """Fill the file system of ``folder`` but for ``keep_free`` bytes, until the block ends.

    For a small file system of the test's own: it takes all there is. The file that fills it is yielded.
    """
    filler = folder / ".filler"
    try:
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                room = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize - keep_free
                if room <= 0 or not file.write(bytes(min(room, _BLOCK))):
                    break
        yield filler
    finally:
        filler.unlink(missing_ok=True)


def _below(control_plane: psutil.Process, part: Part) -> psutil.Process | None:
    """Of the tree guard > steward > (worker, jobs' first processes)."""
    guard = next((child for child in control_plane.children() if _ZYGOTE in " ".join(child.cmdline())), None)
    steward = next(iter(guard.children()), None) if guard is not None else None
    if steward is None or part is Part.STEWARD:
        return steward
    forked = sorted(steward.children(), key=lambda process: (process.create_time(), process.pid))
    if part is Part.WORKER:
        return forked[0] if forked else None
    return forked[-1] if len(forked) > 1 else None
