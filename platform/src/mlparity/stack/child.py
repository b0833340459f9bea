"""One child of the supervisor: started with a ready pipe, restarted with backoff, and dead when its parent is."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mlparity.stack.record import ChildRecord

READY_FD = "MLPARITY_READY_FD"  # where a child writes one byte when it answers
_PR_SET_PDEATHSIG = 1
_BACKOFF = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # seconds before each restart in a row
_STABLE_SECONDS = 60.0  # alive for this long: the next death starts the backoff anew
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class ChildSpec:
    """What to start."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    inherited_fds: tuple[int, ...]  # the listening sockets
    log_path: Path
    url: str
    health_url: str


class Child:
    """A process that is kept alive.

    Not thread-safe: the supervisor has one thread, because a parent's death signal follows the thread that forked.
    """

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.state = "waiting"
        self.restarts = 0
        self.started = 0.0  # monotonic
        self.next_start = 0.0
        self.ready_pipe: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._was_ready = False
        self._deaths_in_a_row = 0

    @property
    def pid(self) -> int:
        """The process id; 0 while there is no process."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Start the process."""
        reading, writing = os.pipe()
        os.set_inheritable(writing, True)
        parent = os.getpid()
        try:
            with self.spec.log_path.open("ab") as log:
                self._process = self._spawn(log, writing, parent)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        os.set_blocking(reading, False)
        self.ready_pipe = reading
        self.started = time.monotonic()
        self.state = "starting"

    def _spawn(self, log: BinaryIO, ready: int, parent: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - the stack's own modules
            self.spec.command,
            env={**self.spec.environment, READY_FD: str(ready)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(ready, *self.spec.inherited_fds),
            start_new_session=True,
            preexec_fn=lambda: _die_with(parent),  # noqa: PLW1509 - the supervisor has one thread
        )

    def read_ready_pipe(self) -> bool:
        """Take what the pipe has; whether the child has just become ready."""
        if self.ready_pipe is None:
            return False
        try:
            data = os.read(self.ready_pipe, 1)
        except BlockingIOError:
            return False
        os.close(self.ready_pipe)
        self.ready_pipe = None
        if data:
            self.state, self._was_ready = "ready", True
        return bool(data)

    def reap(self) -> int | None:
        """The exit status where the process has just ended (negative: a signal); plans the restart or gives up."""
        if self._process is None:
            return None
        status = self._process.poll()
        if status is None:
            return None
        kill_group(self._process.pid, signal.SIGKILL)
        self._process = None
        if self.ready_pipe is not None:
            os.close(self.ready_pipe)
            self.ready_pipe = None
        alive = time.monotonic() - self.started
        self._deaths_in_a_row = 1 if alive > _STABLE_SECONDS else self._deaths_in_a_row + 1
        if not self._was_ready:
            self.state = "failed"  # it never worked: trying again would hide the reason
        else:
            self.state = "waiting"
            self.restarts += 1
            self.next_start = time.monotonic() + _BACKOFF[min(self._deaths_in_a_row, len(_BACKOFF)) - 1]
        return status

    def signal(self, number: signal.Signals) -> None:
        """Send ``number`` to the process alone."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL to its whole process group."""
        if self._process is not None:
            kill_group(self._process.pid, signal.SIGKILL)

    def record(self, started: float) -> ChildRecord:
        """What ``stack.json`` says; ``started`` is the process's start time (seconds since the epoch)."""
        return ChildRecord(
            self.spec.name, self.state, self.pid, started, self.restarts, self.spec.url, self.spec.health_url
        )


def kill_group(pid: int, number: signal.Signals) -> None:
    """Signal the process group that ``pid`` leads; nothing where it is gone."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def die_with_parent(number: signal.Signals) -> None:
    """Have the kernel send ``number`` to this process when its parent's thread ends (Linux)."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def _die_with(parent: int) -> None:
    die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call
        os._exit(1)
