"""The process that has imported the slow libraries, and forks an interpreter whenever a job's init asks.

Per job it holds a socket, which the steward sends it. From a job's init: a request (see ``Request``) with the
job's namespaces and the interpreter's descriptors, or a signal for one it asked for. To it: how each ended.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import marshal
import os
import select
import signal
import socket
import sys
import warnings
from dataclasses import dataclass, field
from typing import Any, NoReturn

from mlparity.engine.sandbox import capabilities, syscalls
from mlparity.engine.warm import interpreter, wire
from mlparity.engine.warm.interpreter import Baseline, Launch
from mlparity.engine.warm.settings import ZygoteSettings

# In the order in which an init sends them, before the interpreter's own descriptors.
NAMESPACES = (("pid", syscalls.CLONE_NEWPID), ("mnt", syscalls.CLONE_NEWNS), ("ipc", syscalls.CLONE_NEWIPC))


def serve(steward: socket.socket, settings: ZygoteSettings) -> NoReturn:
    """Import, then fork until the steward is gone."""
    baseline = _preload(settings)
    launch = _Worker(steward).run()
    interpreter.run(launch, baseline)


def _preload(settings: ZygoteSettings) -> Baseline:
    path = list(sys.path)
    cold_modules = frozenset(sys.modules)
    filters = list(warnings.filters)
    for name in settings.preload:
        before = frozenset(sys.modules)
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - a broken library is the job's to find out, in its own log
            print(f"not preloaded: {name}: {error}", file=sys.stderr, flush=True)  # noqa: T201 - to the worker's log
            for half in frozenset(sys.modules) - before:
                del sys.modules[half]
    sys.path[:] = path
    gc.collect()
    gc.freeze()  # a collection in a job then touches, and so copies, none of these pages
    return Baseline(
        executable=sys.executable,
        path=tuple(path),
        ahead=frozenset(name.partition(".")[0] for name in frozenset(sys.modules) - cold_modules),
        default_filters=len(filters),
    )


@dataclass(frozen=True)
class _Running:
    job: int  # descriptor of its job's socket
    request: int  # as its init numbered it


@dataclass
class _Worker:
    steward: socket.socket
    jobs: dict[int, socket.socket] = field(default_factory=dict)  # by descriptor
    running: dict[int, _Running] = field(default_factory=dict)  # by pid

    def run(self) -> Launch:
        """Returns only in a forked child, which has to become the interpreter."""
        own_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poller = select.poll()
        for descriptor in (wake_read, self.steward.fileno()):
            poller.register(descriptor, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poller.poll()}
            if wake_read in ready:
                os.read(wake_read, 4096)
                self._reap()
            if self.steward.fileno() in ready:
                poller.register(self._adopt(), select.POLLIN)
            for descriptor in ready & self.jobs.keys():
                launch = self._obey(descriptor, own_namespace, poller)
                if launch is not None:
                    signal.set_wakeup_fd(-1)
                    return launch

    def _adopt(self) -> int:
        received = wire.receive(self.steward)
        if received is None:
            os._exit(0)
        descriptor = received[1][0]
        self.jobs[descriptor] = socket.socket(fileno=descriptor)
        return descriptor

    def _obey(self, descriptor: int, own_namespace: int, poller: select.poll) -> Launch | None:
        try:
            received = wire.receive(self.jobs[descriptor])
        except (OSError, EOFError):
            received = None
        if received is None:  # the job has ended; the kernel ended its interpreters
            poller.unregister(descriptor)
            self.jobs.pop(descriptor).close()
            return None
        payload, descriptors = received
        kind, request, content = marshal.loads(payload)  # noqa: S302 - from the job's init, which is ours
        if kind == "signal":
            self._signal(_Running(descriptor, request), *content)
            return None
        return self._fork(_Running(descriptor, request), content, descriptors, own_namespace)

    def _fork(
        self, running: _Running, content: tuple[Any, ...], descriptors: list[int], own_namespace: int
    ) -> Launch | None:
        namespaces, lent = descriptors[: len(NAMESPACES)], descriptors[len(NAMESPACES) :]
        try:
            syscalls.enter_namespace(namespaces[0], syscalls.CLONE_NEWPID)
            child = os.fork()
        except OSError as error:
            # ENOMEM also says that the namespace is dead: then the job was killed a moment ago, and no one reads this.
            _complain(content, lent, error)
            child = -1
        if child == 0:
            return _enter_job(namespaces, content, lent)
        syscalls.enter_namespace(own_namespace, syscalls.CLONE_NEWPID)
        for descriptor in descriptors:
            os.close(descriptor)
        if child < 0:
            self._report(running, int(signal.SIGKILL), (0.0, 0.0, 0))
        else:
            self.running[child] = running
        return None

    def _signal(self, wanted: _Running, number: int, group: bool) -> None:
        for pid, running in self.running.items():
            if running == wanted:
                send_signal(pid, number, group=group)

    def _reap(self) -> None:
        while self.running:
            pid, status, used = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            running = self.running.pop(pid, None)
            if running is not None:
                self._report(running, status, (used.ru_utime, used.ru_stime, used.ru_maxrss))

    def _report(self, running: _Running, status: int, usage: tuple[float, float, int]) -> None:
        job = self.jobs.get(running.job)
        if job is None:
            return
        try:
            wire.send(job, marshal.dumps((running.request, status, usage)))
        except OSError:
            return  # the job has ended meanwhile


def _enter_job(namespaces: list[int], content: tuple[Any, ...], lent: list[int]) -> Launch:
    """In a forked child: join the job's other namespaces."""
    try:
        syscalls.set_parent_death_signal(signal.SIGKILL)
        for descriptor, (_, kind) in zip(namespaces[1:], NAMESPACES[1:], strict=True):
            syscalls.enter_namespace(descriptor, kind)
        capabilities.drop()
        return Launch.from_request(content, lent)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        _complain(content, lent, error)
        os._exit(1)


def _complain(content: tuple[Any, ...], lent: list[int], error: Exception) -> None:
    """Tell the job, on the standard error that its interpreter would have had."""
    with contextlib.suppress(ValueError, OSError):
        numbers = list(content[5])
        os.write(lent[numbers.index(2)], f"mlparity: no interpreter could be started: {error}\n".encode())


def send_signal(pid: int, number: int, *, group: bool) -> None:
    """``number`` to a process or to the group it leads; nothing if it is gone."""
    try:
        if group:
            try:
                os.killpg(pid, number)
            except ProcessLookupError:
                os.kill(pid, number)  # it has not made its own group yet
        else:
            os.kill(pid, number)
    except (ProcessLookupError, ValueError):
        return
