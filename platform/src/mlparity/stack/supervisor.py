"""The supervisor: ``python -m mlparity.stack.supervisor --data-dir DIR``, with a ``StackSpec`` on standard input.

Holds the data folder's lock and the listening sockets, starts the control plane and MLflow, restarts what dies, and
stops all of it on SIGTERM. One thread, no polling: it sleeps until a child writes to its pipe or dies, or a signal
comes. Because the sockets are its own, a client that connects while a part restarts waits instead of being refused.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import mlparity
from mlparity.errors import MlparityError
from mlparity.stack.child import Child, die_with_parent
from mlparity.stack.children import child_specs
from mlparity.stack.folder import DataFolder
from mlparity.stack.record import StackRecord, public_settings, write_record
from mlparity.stack.spec import LOCKED, StackSpec

_LOCK_SECONDS = 2.0
_GRACE_SECONDS = 10.0  # for the children to end after SIGTERM


class Supervisor:
    """Runs ``spec`` until told to stop."""

    def __init__(self, spec: StackSpec, folder: DataFolder, say: Callable[[str], None]) -> None:
        self._spec = spec
        self._folder = folder
        self._say = say
        self._stopping = False
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._children: list[Child] = []

    def run(self) -> int:
        """Start everything and watch it. The exit code: 0 when told to stop, 1 where a part never became ready."""
        self._catch_signals()
        self._children = [Child(spec) for spec in child_specs(self._spec, self._folder)]
        code = 0
        try:
            for child in self._children:
                child.start()
            self._write()
            while not self._stopping:
                self._wait()
                if self._look() and any(child.state == "failed" for child in self._children):
                    code = 1
                    break
        finally:
            self._stop()
        return code

    def _catch_signals(self) -> None:
        def stop(number: int, _frame: FrameType | None) -> None:
            self._say(f"stopping on signal {number}")
            self._stopping = True

        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # only to wake ``select``

    def _wait(self) -> None:
        due = [child.next_start for child in self._children if child.state == "waiting"]
        timeout = max(0.0, min(due) - time.monotonic()) if due else None
        pipes = [child.ready_pipe for child in self._children if child.ready_pipe is not None]
        select.select([self._wake_read, *pipes], [], [], timeout)
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            return

    def _look(self) -> bool:
        """Take note of what happened to the children, and restart those that are due; whether anything changed."""
        changed = False
        for child in self._children:
            if child.read_ready_pipe():
                self._say(f"{child.spec.name} is ready after {time.monotonic() - child.started:.1f} s")
                changed = True
            status = child.reap()
            if status is not None:
                self._say(f"{child.spec.name} ended with status {status}")
                changed = True
            if child.state == "waiting" and time.monotonic() >= child.next_start and not self._stopping:
                child.start()
                self._say(f"{child.spec.name} is started again as process {child.pid}")
                changed = True
        if changed:
            self._write()
        return changed

    def _stop(self) -> None:
        self._stopping = True
        self._write()
        for child in self._children:
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_SECONDS
        while any(child.pid for child in self._children) and time.monotonic() < deadline:
            select.select([self._wake_read], [], [], max(0.0, min(0.5, deadline - time.monotonic())))
            self._drain()
            for child in self._children:
                child.reap()
        for child in self._children:
            child.kill()
        self._write()
        self._say("stopped")

    def _drain(self) -> None:
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            return

    def _write(self) -> None:
        children = tuple(child.record(_start_time(child.pid)) for child in self._children)
        settings = public_settings(self._spec.config.as_json())
        record = StackRecord(
            mlparity.__version__, self._spec.config.profile, os.getpid(), _start_time(os.getpid()), settings, children,
            self._stopping,
        )  # fmt: skip
        write_record(self._folder.record_path, record)


def _start_time(pid: int) -> float:
    """When the process started, as every other process reads it; 0 where it is gone."""
    import psutil

    try:
        return psutil.Process(pid).create_time() if pid else 0.0
    except psutil.Error:
        return 0.0


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
    sys.stderr.flush()


def _log_to(path: Path) -> None:
    """A log of its own: what came before (a supervisor that did not get the lock) stays in the older one."""
    with path.open("ab") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())


def main() -> int:
    """The process that ``mlparity up`` leaves behind. Exit code 75: another one has the data folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--foreground", action="store_true", help="end when the process that started this one ends")
    arguments = parser.parse_args()
    if arguments.foreground:
        die_with_parent(signal.SIGTERM)
    from filelock import FileLock, Timeout

    spec = StackSpec.from_text(sys.stdin.read())
    folder = DataFolder(arguments.data_dir)
    lock = FileLock(folder.lock_path)
    try:
        lock.acquire(timeout=_LOCK_SECONDS)
    except Timeout:
        _say("another supervisor has the data folder")
        return LOCKED
    try:
        spec.write(folder.spec_path)
        folder.record_path.unlink(missing_ok=True)
        _log_to(folder.rotate_log("supervisor"))
        return Supervisor(spec, folder, _say).run()
    except MlparityError as error:
        _say(" / ".join(error.lines()))
        return 1
    finally:
        lock.release()


if __name__ == "__main__":
    sys.exit(main())
