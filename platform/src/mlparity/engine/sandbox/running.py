"""A started job, as the executor holds it, whatever runs it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from mlparity.clock import Clock
from mlparity.engine.process import ProcessExit, ProcessUsage
from mlparity.engine.warm import wire

_KILLED = ProcessExit(code=None, signal=signal.SIGKILL)
_LOST = ProcessExit(code=None, signal=signal.SIGKILL, lost=True)
_KILLED_CODE = 128 + signal.SIGKILL  # a shell's, for a command that was killed


class SandboxedProcess:
    """A started job. ``RunningProcess`` for the rest of the engine."""

    def __init__(
        self, control: socket.socket, kill: Callable[[], None], clock: Clock, clean: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self._control = control
        self._kill = kill
        self._clean = clean
        self._reading = threading.Lock()
        self._ended = threading.Event()
        self._exit: ProcessExit | None = None
        self._first: Mapping[str, Any] | None = None  # what it said first, whoever read it

    def wait(self, timeout: float | None = None) -> ProcessExit | None:
        """Block until it ends (None where ``timeout`` seconds pass first)."""
        return self._exit if self._ended.wait(timeout) else None

    def terminate(self) -> None:
        """SIGTERM to the job's main process and its group."""
        try:
            wire.send_json(self._control, {"op": "terminate"})
        except OSError:
            return  # it has ended

    def kill(self) -> None:
        """SIGKILL to everything the job started. Idempotent."""
        if not self._ended.is_set():
            self._kill()

    def await_start(self) -> str | None:
        """Block until the command runs; what went wrong, otherwise."""
        with self._reading:
            if self._first is None:  # else it has ended before this thread had its turn
                with contextlib.suppress(OSError, EOFError):
                    self._hear()
        if self._first is None:
            return "the job's first process was killed"
        error = self._first.get("error")
        return None if error is None else str(error)

    def end(self, *, lost: bool = False) -> None:
        """Called once every process of the job is gone. Reads how it ended, if it could say so.

        ``lost``: with the worker. A job that says that it was killed was killed by that, then.
        """
        if self._ended.is_set():
            return
        with self._reading:
            outcome = self._read_exit()
            killed = outcome.signal == signal.SIGKILL or outcome.code == _KILLED_CODE
            self._exit = _LOST if lost and killed else outcome
        self._control.close()
        self._ended.set()
        self._clean()

    def _hear(self) -> Mapping[str, Any] | None:
        received = wire.receive_json(self._control)
        message: Mapping[str, Any] | None = received[0] if received else None
        self._first = self._first or message
        return message

    def _read_exit(self) -> ProcessExit:
        try:
            while message := self._hear():
                if "exit" in message:
                    return _as_exit(message, self._clock.monotonic() - self._began)
        except (OSError, EOFError, ValueError):
            pass
        return _KILLED


def _as_exit(message: Mapping[str, Any], wall: float) -> ProcessExit:
    status, usage = int(message["exit"]), message["usage"]
    code = os.waitstatus_to_exitcode(status)
    used = ProcessUsage(float(usage["user"]), float(usage["system"]), int(usage["peak"]), wall)
    return ProcessExit(code if code >= 0 else None, -code if code < 0 else None, used)
