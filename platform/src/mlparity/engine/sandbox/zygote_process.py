"""The executor's side of one zygote: starts it, talks to it, notices its end."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlparity.clock import Clock
from mlparity.engine.sandbox.running import SandboxedProcess
from mlparity.engine.warm import wire
from mlparity.engine.warm.invocation import WAIT_POLICY
from mlparity.engine.warm.settings import BOOTSTRAP, ZygoteSettings
from mlparity.errors import EngineError, SandboxUnavailableError


class ZygoteProcess:
    """One zygote. Its thread starts it and lives as long as it, because its end is tied to that thread's."""

    def __init__(self, python: str, settings: Mapping[str, Any], log: Path) -> None:
        self._python = python
        self._settings = settings
        self._log = log
        self._sock, self._far_end = socket.socketpair()
        self._sending = threading.Lock()
        self._jobs: dict[str, SandboxedProcess] = {}
        self._jobs_lock = threading.Lock()
        self._refused: dict[str, str] = {}
        self._settled = threading.Event()  # ready, or dead before it was
        self._dead = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._supervise, name="mlparity-zygote", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it still can start jobs."""
        return not self._dead.is_set()

    def await_ready(self) -> None:
        """Block until its modules are imported. Raises ``EngineError`` with the end of its log if it died."""
        self._settled.wait()
        if self._dead.is_set():
            tail = self._log.read_text("utf-8", "replace")[-2000:].strip() if self._log.exists() else ""
            raise EngineError(
                "the worker that starts jobs could not start", tail or "it was killed", f"its log is {self._log}"
            )

    def start(self, job: Mapping[str, Any], log: int, clock: Clock, clean: Callable[[], None]) -> SandboxedProcess:
        """Fork ``job``. Returns when its command runs; raises ``EngineError`` or ``SandboxUnavailableError``."""
        self.await_ready()
        near, far = socket.socketpair()
        name = str(job["id"])
        process = SandboxedProcess(near, lambda: self._kill(name), clock, clean)
        with self._jobs_lock:
            self._jobs[name] = process
        try:
            self._send({"op": "start", "job": job}, (log, far.fileno()))
        except OSError:
            far.close()
            self._end(name)
            raise EngineError(
                "the job was not started", "the worker that starts jobs was killed", "start it again"
            ) from None
        far.close()
        problem = process.await_start()
        if problem is not None:
            process.wait()
            if not self.alive:
                raise EngineError("the job was not started", "the worker that starts jobs was killed", "start it again")
            raise SandboxUnavailableError(
                f"job {name} could not be started",
                self._refused.pop(name, problem),
                "`mlparity doctor` says what this machine allows",
            )
        return process

    def _kill(self, job_id: str) -> None:
        try:
            self._send({"op": "kill", "id": job_id})
        except OSError:
            return  # the zygote is gone, and the job with it

    def close(self) -> None:
        """Kill the zygote with all its jobs, and wait until they are gone."""
        self._closing = True
        with contextlib.suppress(OSError):  # it was gone already
            self._sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _send(self, message: Mapping[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        with self._sending:
            wire.send_json(self._sock, message, descriptors)

    def _supervise(self) -> None:
        settings = ZygoteSettings(socket=self._far_end.fileno(), **self._settings)
        try:
            with self._log.open("ab") as log:
                process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
                    [self._python, "-c", BOOTSTRAP, settings.source_root, json.dumps(asdict(settings))],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=_environment(),
                    cwd="/",
                    pass_fds=(settings.socket,),
                )
            self._far_end.close()
            self._listen()
            process.kill()  # the guard; the kernel then ends the zygote and all jobs
            process.wait()
        finally:
            self._dead.set()
            self._settled.set()
            with self._jobs_lock:
                left = list(self._jobs)
            for job_id in left:
                self._end(job_id, lost=not self._closing)
            self._sock.close()

    def _listen(self) -> None:
        while True:
            try:
                received = wire.receive_json(self._sock)
            except (OSError, EOFError):
                return
            if received is None:
                return
            message = received[0]
            if "ready" in message:
                self._settled.set()
            elif "reaped" in message:
                self._end(message["reaped"])
            elif "refused" in message:
                self._refused[message["refused"]] = message["why"]
                self._end(message["refused"])

    def _end(self, job_id: str, *, lost: bool = False) -> None:
        with self._jobs_lock:
            process = self._jobs.pop(job_id, None)
        if process is not None:
            process.end(lost=lost)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}}
    return {**kept, "LANG": "C.UTF-8", WAIT_POLICY[0]: WAIT_POLICY[1]}
