"""The first process of a job's namespaces.

Builds the job's view of the file system, starts its command, starts a warm interpreter for each ``python`` that
the job calls (the launcher asks through a socket), reaps orphans, and ends when the command ends: the kernel
then kills whatever the job left behind.
Over its socket to the executor: ``{"started": true}`` or ``{"error": {...}}``, then ``{"exit", "usage"}``;
from the executor ``{"op": "terminate"}``.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import resource
import select
import signal
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from mlparity.engine.sandbox import capabilities, filesystem, syscalls
from mlparity.engine.sandbox import layout as paths
from mlparity.engine.sandbox.layout import Layout
from mlparity.engine.warm import wire
from mlparity.engine.warm.interpreter import Baseline, Launch

_NOT_FOUND = 127  # what a shell answers for a command that is not there
_NOT_EXECUTABLE = 126
_REQUEST_TIMEOUT = 5.0  # seconds a launcher may take to say what it wants


@dataclass(frozen=True)
class Job:
    """One job, as the executor describes it."""

    id: str
    layout: Layout
    command: Sequence[str]
    environment: Mapping[str, str]
    working_directory: str
    log: int  # descriptor
    control: int  # descriptor of the socket to the executor

    @classmethod
    def from_message(cls, message: Mapping[str, Any], log: int, control: int) -> Job:
        """Rebuild what ``to_message`` wrote."""
        values = {**message, "layout": Layout(**message["layout"])}
        return cls(**values, log=log, control=control)


def serve(job: Job, baseline: Baseline) -> Launch:
    """Run ``job`` to its end. Returns only in a child that has to become a Python interpreter."""
    control = socket.socket(fileno=job.control)
    try:
        listener = _enter(job)
    except OSError as error:
        _fail(control, f"the job's file system cannot be made: {error}")
    wire.send_json(control, {"started": True})
    return _Init(job, baseline, control, listener).run()


def _enter(job: Job) -> socket.socket:
    syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWIPC)
    filesystem.enter(job.layout)
    Path(job.working_directory).mkdir(parents=True, exist_ok=True)
    os.chdir(job.working_directory)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(paths.SOCKET)
    listener.listen(64)
    capabilities.drop()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.umask(0o022)
    os.environ.clear()
    os.environ.update(job.environment)
    return listener


def _fail(control: socket.socket, why: str) -> NoReturn:
    try:
        wire.send_json(control, {"error": why})
    finally:
        os._exit(1)


@dataclass
class _Init:
    job: Job
    baseline: Baseline
    control: socket.socket
    listener: socket.socket
    main: int = 0
    terminating: bool = False
    # a launcher's connection <-> the interpreter that runs for it
    interpreters: dict[int, socket.socket] = field(default_factory=dict)

    def run(self) -> Launch:
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        launch = self._start_main()
        while launch is None:
            poller = select.poll()
            for descriptor in (wake_read, self.control.fileno(), self.listener.fileno(), *self._connections()):
                poller.register(descriptor, select.POLLIN)
            ready = {descriptor for descriptor, _ in poller.poll()}
            if wake_read in ready:
                os.read(wake_read, 4096)
                self._reap()
            if self.control.fileno() in ready:
                self._obey()
            for pid, connection in list(self.interpreters.items()):
                if connection.fileno() in ready:
                    self._relay(pid, connection)
            if self.listener.fileno() in ready:
                launch = self._accept()
        signal.set_wakeup_fd(-1)
        return launch

    def _connections(self) -> dict[int, int]:
        return {connection.fileno(): pid for pid, connection in self.interpreters.items()}

    def _start_main(self) -> Launch | None:
        command = list(self.job.command)
        if command[0] in self.baseline.python_names:
            descriptors = {0: os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), 1: self.job.log, 2: self.job.log}
            self.main = os.fork()
            if self.main == 0:
                return Launch(tuple(command), dict(self.job.environment), descriptors)
            os.close(descriptors[0])
            return None
        try:
            self.main = self._spawn(command)
        except OSError as error:
            text = f"{command[0]}: {os.strerror(error.errno or 0)}\n"
            os.write(self.job.log, text.encode(errors="surrogateescape"))
            code = _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
            self._finish(code << 8)
        return None

    def _spawn(self, command: list[str]) -> int:
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, self.job.log, 1),
            (os.POSIX_SPAWN_DUP2, self.job.log, 2),
        ]
        handled = [number for number in signal.valid_signals() if number not in {signal.SIGKILL, signal.SIGSTOP}]
        return os.posix_spawnp(
            command[0], command, self.job.environment, file_actions=actions, setsid=True, setsigdef=handled
        )

    def _accept(self) -> Launch | None:
        connection, _ = self.listener.accept()
        connection.settimeout(_REQUEST_TIMEOUT)
        try:
            received = wire.receive(connection)
        except (OSError, EOFError):
            received = None
        if received is None:
            connection.close()
            return None
        payload, descriptors = received
        launcher, _, _ = struct.unpack("=3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        child = os.fork()
        if child == 0:
            return Launch.from_launcher(marshal.loads(payload), descriptors, launcher)  # noqa: S302 - the job's own
        for descriptor in descriptors:
            os.close(descriptor)
        self.interpreters[child] = connection
        return None

    def _relay(self, pid: int, connection: socket.socket) -> None:
        """Hand on the signals that a launcher got; a launcher that is gone takes its interpreter with it."""
        try:
            numbers = connection.recv(64)
        except OSError:
            numbers = b""
        if not numbers:
            _signal(pid, signal.SIGKILL, group=False)
        for number in numbers:
            _signal(pid, number, group=self.terminating and number == signal.SIGTERM)

    def _obey(self) -> None:
        try:
            received = wire.receive_json(self.control)
        except (OSError, EOFError):
            received = None
        if received is None:
            os._exit(1)  # the executor is gone; the kernel ends the rest
        if received[0]["op"] == "terminate":
            self.terminating = True
            _signal(self.main, signal.SIGTERM, group=True)

    def _reap(self) -> None:
        while True:
            try:
                pid, status, _ = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.main:
                self._finish(status)
            connection = self.interpreters.pop(pid, None)
            if connection is not None:
                _answer(connection, status)

    def _finish(self, status: int) -> NoReturn:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        usage = {"user": used.ru_utime, "system": used.ru_stime, "peak": used.ru_maxrss * 1024}
        try:
            wire.send_json(self.control, {"exit": status, "usage": usage})
        finally:
            os._exit(0)


def _answer(connection: socket.socket, status: int) -> None:
    with contextlib.suppress(OSError):  # the launcher did not wait for it
        connection.sendall(struct.pack("=i", status))
    connection.close()


def _signal(pid: int, number: int, *, group: bool) -> None:
    try:
        if group:
            try:
                os.killpg(pid, number)
            except ProcessLookupError:
                os.kill(pid, number)  # it has not made its own group yet
        else:
            os.kill(pid, number)
    except (ProcessLookupError, ValueError, OSError):
        return
