"""The first process of a job's namespaces.

Builds the job's view of the file system, starts its command, has the worker fork a warm interpreter for each
``python`` that the job calls (the launcher asks through a socket), reaps orphans, and ends when the command ends:
the kernel then kills whatever the job left behind.
Over its socket to the executor: ``{"started": true}`` or ``{"error": why}``, then ``{"exit", "usage"}``;
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
from mlparity.engine.warm.worker import NAMESPACES, send_signal

_NOT_FOUND = 127  # what a shell answers for a command that is not there
_NOT_EXECUTABLE = 126
_REQUEST_TIMEOUT = 5.0  # seconds a launcher may take to say what it wants
_UMASK = 0o022
_MAIN = 0  # the request number of the job's own command, where that is an interpreter
_CREDENTIALS = struct.Struct("=3i")


@dataclass(frozen=True)
class Job:
    """One job, as the executor describes it. The last three are descriptors."""

    id: str
    layout: Layout
    command: Sequence[str]
    environment: Mapping[str, str]
    working_directory: str
    cpus: int  # 0: all
    memory_bytes: int  # 0: no limit
    log: int
    control: int  # socket to the executor
    worker: int  # socket to the worker

    @classmethod
    def from_message(cls, message: Mapping[str, Any], log: int, control: int, worker: int) -> Job:
        """Rebuild what the executor wrote as JSON."""
        values = {**message, "layout": Layout(**message["layout"])}
        return cls(**values, log=log, control=control, worker=worker)


def serve(job: Job, python_names: Sequence[str]) -> NoReturn:
    """Run ``job`` to its end."""
    syscalls.refuse_tracing()
    control, worker = socket.socket(fileno=job.control), socket.socket(fileno=job.worker)
    try:
        listener = _enter(job)
        namespaces = [os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name, _ in NAMESPACES]
        capabilities.drop()
    except OSError as error:
        _fail(control, f"the job's file system cannot be made: {error}")
    wire.send_json(control, {"started": True})
    _Init(job, python_names, control, worker, listener, namespaces).run()


def _enter(job: Job) -> socket.socket:
    syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWIPC)
    filesystem.enter(job.layout)
    Path(job.working_directory).mkdir(parents=True, exist_ok=True)
    os.chdir(job.working_directory)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(paths.SOCKET)
    listener.listen(64)
    os.umask(_UMASK)
    os.environ.clear()
    os.environ.update(job.environment)
    _limit(job)
    return listener


def _limit(job: Job) -> None:
    """What this process may use, and so what it starts; interpreters copy it."""
    if job.cpus:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: job.cpus])
    if job.memory_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (job.memory_bytes, job.memory_bytes))


def _fail(control: socket.socket, why: str) -> NoReturn:
    try:
        wire.send_json(control, {"error": why})
    finally:
        os._exit(1)


@dataclass
class _Init:
    job: Job
    python_names: Sequence[str]
    control: socket.socket
    worker: socket.socket
    listener: socket.socket
    namespaces: Sequence[int]
    main: int | None = None  # pid of the command; None: it is an interpreter of the worker's
    terminating: bool = False
    requests: int = _MAIN
    launchers: dict[int, socket.socket] = field(default_factory=dict)  # request -> connection
    usage: list[tuple[float, float, int]] = field(default_factory=list)  # of interpreters: user, system, peak KiB

    def run(self) -> NoReturn:
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._start_main()
        while True:
            poller = select.poll()
            poller.register(wake_read, select.POLLIN)
            for source in (self.control, self.worker, self.listener, *self.launchers.values()):
                poller.register(source, select.POLLIN)
            ready = {descriptor for descriptor, _ in poller.poll()}
            if wake_read in ready:
                os.read(wake_read, 4096)
                self._reap()
            if self.worker.fileno() in ready:
                self._note_end()
            if self.control.fileno() in ready:
                self._obey()
            for request, connection in list(self.launchers.items()):
                if connection.fileno() in ready:
                    self._relay(request, connection)
            if self.listener.fileno() in ready:
                self._accept()

    def _start_main(self) -> None:
        command = list(self.job.command)
        if command[0] in self.python_names:
            null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            folder = self.job.working_directory
            request: tuple[Any, ...] = (command, dict(self.job.environment), folder, _UMASK, [], [0, 1, 2])
            is_limited = bool(self.job.cpus or self.job.memory_bytes)
            self._ask(_MAIN, request, os.getpid() if is_limited else 0, [null, self.job.log, self.job.log])
            os.close(null)
            return
        try:
            self.main = self._spawn(command)
        except OSError as error:
            text = f"{command[0]}: {os.strerror(error.errno or 0)}\n"
            os.write(self.job.log, text.encode(errors="surrogateescape"))
            code = _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
            self._finish(code << 8)

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

    def _ask(self, number: int, request: tuple[Any, ...], launcher: int, descriptors: Sequence[int]) -> None:
        payload = marshal.dumps(("launch", number, (*request, launcher)))
        self._tell_worker(payload, [*self.namespaces, *descriptors])

    def _tell_worker(self, payload: bytes, descriptors: Sequence[int] = ()) -> None:
        try:
            wire.send(self.worker, payload, descriptors)
        except OSError:
            os._exit(1)  # without its worker the job cannot go on

    def _accept(self) -> None:
        connection, _ = self.listener.accept()
        connection.settimeout(_REQUEST_TIMEOUT)
        try:
            payload, descriptors = wire.receive(connection) or (b"", [])
            request = marshal.loads(payload)  # noqa: S302 - from the job, read in the job's own namespace
        except (OSError, EOFError, ValueError, TypeError):
            connection.close()
            return
        connection.settimeout(None)
        pid, _, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        self.requests += 1
        self.launchers[self.requests] = connection
        self._ask(self.requests, request, pid, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)

    def _relay(self, request: int, connection: socket.socket) -> None:
        """Hand on the signals that a launcher got; a launcher that is gone takes its interpreter with it."""
        try:
            numbers = connection.recv(64)
        except OSError:
            numbers = b""
        if not numbers:
            self._signal(request, signal.SIGKILL, group=False)
            self.launchers.pop(request).close()
        for number in numbers:
            self._signal(request, number, group=self.terminating and number == signal.SIGTERM)

    def _signal(self, request: int, number: int, *, group: bool) -> None:
        self._tell_worker(marshal.dumps(("signal", request, (int(number), group))))

    def _obey(self) -> None:
        try:
            received = wire.receive_json(self.control)
        except (OSError, EOFError):
            received = None
        if received is None:
            os._exit(1)  # the executor is gone; the kernel ends the rest
        if received[0]["op"] == "terminate":
            self.terminating = True
            if self.main is None:
                self._signal(_MAIN, signal.SIGTERM, group=True)
            else:
                send_signal(self.main, signal.SIGTERM, group=True)

    def _note_end(self) -> None:
        """An interpreter has ended: tell its launcher."""
        try:
            received = wire.receive(self.worker)
        except (OSError, EOFError):
            received = None
        if received is None:
            os._exit(1)  # without its worker the job cannot go on
        request, status, usage = marshal.loads(received[0])  # noqa: S302 - from the worker
        self.usage.append(usage)
        if request == _MAIN:
            self._finish(status)
        connection = self.launchers.pop(request, None)
        if connection is not None:
            with contextlib.suppress(OSError):  # the launcher did not wait for it
                connection.sendall(struct.pack("=i", status))
            connection.close()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.main:
                self._finish(status)

    def _finish(self, status: int) -> NoReturn:
        own = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = [(own.ru_utime, own.ru_stime, own.ru_maxrss), *self.usage]
        usage = {
            "user": sum(user for user, _, _ in used),
            "system": sum(system for _, system, _ in used),
            "peak": max(peak for _, _, peak in used) * 1024,
        }
        try:
            wire.send_json(self.control, {"exit": status, "usage": usage})
        finally:
            os._exit(0)
