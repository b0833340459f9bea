"""The process that imports the slow libraries once and forks every job.

Run as ``python -c`` by the executor with its settings (JSON) as the only argument; see ``settings``.
It is the first process of a PID namespace, so that whatever ends it ends every job with it; the process that
made the namespace stays outside as its guard and dies with the executor.
Messages to it: ``{"op": "start", "job": {...}}`` with the log and the job's socket, ``{"op": "kill", "id"}``.
From it: ``{"ready": {...}}``, ``{"reaped": id}``.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import warnings
from dataclasses import dataclass, field
from typing import Any, NoReturn

from mlparity.engine.sandbox import identity, syscalls
from mlparity.engine.warm import init, interpreter, wire
from mlparity.engine.warm.init import Job
from mlparity.engine.warm.interpreter import Baseline
from mlparity.engine.warm.settings import ZygoteSettings


def main() -> None:
    """Guard, zygote, init and interpreter are one program: each returns only in the child that goes on."""
    settings = ZygoteSettings(**json.loads(sys.argv[2]))
    sock = socket.socket(fileno=settings.socket)
    sock.set_inheritable(False)
    sys.path.pop()
    _become_first_process(settings.user_namespace, sock)
    baseline = _preload(settings)
    job = Zygote(sock, baseline).serve()
    launch = init.serve(job, baseline)
    interpreter.run(launch, baseline)


def _become_first_process(user_namespace: bool, sock: socket.socket) -> None:
    """Fork into new namespaces. The parent stays as a guard and never returns."""
    kinds = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWIPC
    if user_namespace:
        identity.enter(kinds)
    else:
        syscalls.unshare(kinds)
    # Mounts of the host still arrive here; nothing of ours goes back.
    syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_SLAVE)
    syscalls.set_parent_death_signal(signal.SIGKILL)
    child = os.fork()
    if child:
        sock.close()
        _, status = os.waitpid(child, 0)
        os._exit(0 if status == 0 else 1)
    syscalls.set_parent_death_signal(signal.SIGKILL)
    # A terminal's Ctrl-C is for the control plane, which then ends us in its own order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.setsid()


def _preload(settings: ZygoteSettings) -> Baseline:
    path = list(sys.path)
    cold_modules = frozenset(sys.modules)
    filters = list(warnings.filters)
    missing = []
    for name in settings.preload:
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append(name)
    sys.path[:] = path
    gc.collect()
    gc.freeze()  # a collection in a job then touches, and so copies, none of these pages
    return Baseline(
        executable=sys.executable,
        python_names=tuple(settings.python_names),
        path=tuple(path),
        source_root=settings.source_root,
        modules=frozenset(sys.modules) - cold_modules,
        default_filters=len(filters),
        missing=tuple(missing),
    )


@dataclass
class Zygote:
    """The loop that forks jobs and reaps them."""

    sock: socket.socket
    baseline: Baseline
    running: dict[int, str] = field(default_factory=dict)  # pid -> job id

    def serve(self) -> Job:
        """Fork a job per message. Returns only in a job's first process."""
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        own_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        poller = select.poll()
        poller.register(self.sock, select.POLLIN)
        poller.register(wake_read, select.POLLIN)
        threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208
        self._tell({"ready": {"missing": list(self.baseline.missing), "threads": threads}})
        while True:
            ready = {descriptor for descriptor, _ in poller.poll()}
            if wake_read in ready:
                os.read(wake_read, 4096)
                self._reap()
            if self.sock.fileno() in ready:
                job = self._handle(own_namespace)
                if job is not None:
                    for descriptor in (wake_read, wake_write, own_namespace):
                        os.close(descriptor)
                    self.sock.close()
                    return job

    def _handle(self, own_namespace: int) -> Job | None:
        received = wire.receive_json(self.sock)
        if received is None:
            _end()  # the executor is gone; every job ends with this process
        message, descriptors = received
        if message["op"] == "kill":
            self._kill(message["id"])
            return None
        log, control = descriptors
        job = Job.from_message(message["job"], log, control)
        if self._fork(job, own_namespace):
            return job
        os.close(log)
        os.close(control)
        return None

    def _fork(self, job: Job, own_namespace: int) -> bool:
        """Fork the first process of a new PID namespace; True in it."""
        try:
            syscalls.unshare(syscalls.CLONE_NEWPID)
            child = os.fork()
        except OSError as error:
            self._tell({"refused": job.id, "why": str(error)})
            child = -1
        if child == 0:
            signal.set_wakeup_fd(-1)
            return True
        syscalls.enter_namespace(own_namespace, syscalls.CLONE_NEWPID)
        if child > 0:
            self.running[child] = job.id
        return False

    def _kill(self, job_id: str) -> None:
        for pid, name in self.running.items():
            if name == job_id:
                os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        while self.running:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            job_id = self.running.pop(pid, None)
            if job_id is not None:
                self._tell({"reaped": job_id})

    def _tell(self, message: dict[str, Any]) -> None:
        try:
            wire.send_json(self.sock, message)
        except OSError:
            _end()


def _end() -> NoReturn:
    os._exit(0)
