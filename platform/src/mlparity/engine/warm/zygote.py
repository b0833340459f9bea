"""The processes from which jobs are forked: guard, steward and worker.

Run as ``python -c`` by the executor; see ``settings``. The guard makes the namespaces and stays outside of them.
The steward is the first process of the PID namespace and forks every job's ``init``: it has imported nothing, so
its forks are cheap. The worker has imported the slow libraries and forks warm interpreters; see ``worker``.
Each dies with the one before it, and the kernel ends every job with the steward.
Messages to the steward: ``{"op": "start", "job": {...}}`` with the log and the job's socket, ``{"op": "kill", "id"}``.
From it: ``{"ready": true}``, ``{"reaped": id}``, ``{"refused": id, "why"}``.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
from dataclasses import dataclass, field
from typing import Any, NoReturn

from mlparity.engine.sandbox import identity, syscalls
from mlparity.engine.warm import init, wire, worker
from mlparity.engine.warm.init import Job
from mlparity.engine.warm.settings import ZygoteSettings


def main() -> None:
    """All these processes are one program: each part returns only in the child that goes on with the next."""
    settings = ZygoteSettings(**json.loads(sys.argv[2]))
    sock = socket.socket(fileno=settings.socket)
    sock.set_inheritable(False)
    sys.path.pop()  # the source root: what can be imported by this path only is imported
    _become_first_process(settings.user_namespace, sock)
    worker_socket, pid = _fork_worker(settings, sock)
    job = Steward(sock, worker_socket, pid).serve()
    init.serve(job, settings.python_names)


def _become_first_process(user_namespace: bool, sock: socket.socket) -> None:
    """Fork into new namespaces. The parent stays as the guard and never returns."""
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
        os.waitpid(child, 0)
        os._exit(0)
    syscalls.set_parent_death_signal(signal.SIGKILL)
    # A terminal's Ctrl-C is for the control plane, which then ends us in its own order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.setsid()


def _fork_worker(settings: ZygoteSettings, executor: socket.socket) -> tuple[socket.socket, int]:
    near, far = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        near.close()
        executor.close()
        syscalls.set_parent_death_signal(signal.SIGKILL)
        worker.serve(far, settings)
    far.close()
    return near, pid


@dataclass
class Steward:
    """Forks jobs and reaps them."""

    executor: socket.socket
    worker: socket.socket
    worker_pid: int
    running: dict[int, str] = field(default_factory=dict)  # pid -> job id

    def serve(self) -> Job:
        """Fork a job per message. Returns only in a job's first process."""
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        own_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        poller = select.poll()
        poller.register(self.executor, select.POLLIN)
        poller.register(wake_read, select.POLLIN)
        self._tell({"ready": True})
        while True:
            ready = {descriptor for descriptor, _ in poller.poll()}
            if wake_read in ready:
                os.read(wake_read, 4096)
                self._reap()
            if self.executor.fileno() in ready:
                job = self._obey(own_namespace)
                if job is not None:
                    signal.set_wakeup_fd(-1)
                    for descriptor in (wake_read, wake_write, own_namespace):
                        os.close(descriptor)
                    self.executor.close()
                    self.worker.close()
                    return job

    def _obey(self, own_namespace: int) -> Job | None:
        received = wire.receive_json(self.executor)
        if received is None:
            _end()  # the executor is gone; every job ends with this process
        message, descriptors = received
        if message["op"] == "kill":
            self._kill(message["id"])
            return None
        near, far = socket.socketpair()
        try:
            wire.send(self.worker, b"", (far.fileno(),))
        except OSError:
            _end()
        far.close()
        job = Job.from_message(message["job"], descriptors[0], descriptors[1], near.detach())
        if self._fork(job, own_namespace):
            return job
        for descriptor in (job.log, job.control, job.worker):
            os.close(descriptor)
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
        while True:
            pid, _ = os.waitpid(-1, os.WNOHANG)  # the worker is always there to wait for
            if pid == 0:
                return
            if pid == self.worker_pid:
                _end()  # no job could start an interpreter any more: they end, and the executor starts anew
            job_id = self.running.pop(pid, None)
            if job_id is not None:
                self._tell({"reaped": job_id})

    def _tell(self, message: dict[str, Any]) -> None:
        try:
            wire.send_json(self.executor, message)
        except OSError:
            _end()


def _end() -> NoReturn:
    os._exit(0)
