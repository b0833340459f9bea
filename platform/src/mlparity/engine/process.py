"""The seam between a job and what runs its process.

A ``ProcessExecutor`` gives a command its own process group, its private absolute paths, a clean environment
and a log file, and reports how it ended. ``sandbox`` (mount namespaces, warm workers) is the default one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Runtime:
    """What an image stands for here, as ``stacks/runtimes.yaml`` resolves it."""

    name: str  # "host", "xgboost-algorithm", ...
    kind: str  # "host" | "venv" | "container" | "builtin"
    # kind "builtin": module whose ``main()`` is the image's entry point when the job gives none
    module: str = ""
    # modules that a warm worker has imported before the job starts
    preload: Sequence[str] = ()
    python: str = ""  # interpreter; "" is this process's own
    requires: Sequence[str] = ()  # modules without which the runtime is not available
    # kind "venv": what is installed, and for which Python ("3.11"; "" is this process's own version)
    requirements: Sequence[str] = ()
    python_version: str = ""
    # kind "venv": it finds the packages of mlparity's own environment besides those that are installed in it
    beside_host: bool = False
    image: str = ""  # kind "container": the image to run


@dataclass(frozen=True)
class ProcessSpec:
    """One process to run."""

    id: str  # names the working folder and the log; [A-Za-z0-9-]
    runtime: Runtime
    command: Sequence[str]  # argv inside the sandbox; empty: the runtime's own entry point
    environment: Mapping[str, str]  # complete: nothing of this process's environment is inherited
    # absolute path inside -> folder outside: {"/opt/ml": Path(".../jobs/<id>/ml")}
    mounts: Mapping[str, Path]
    working_directory: str  # inside; "": a container image's own
    log_path: Path  # stdout and stderr, appended as they are written
    hosts: Mapping[str, str] = field(default_factory=dict)  # host name -> address, for several instances
    arguments: Sequence[str] = ()  # what the runtime's own entry point gets, where command is empty
    read_only: Mapping[str, Path] = field(default_factory=dict)  # as ``mounts``; what several processes share
    # kind "container": its port -> the port of 127.0.0.1 where it is to be reached; it then has a network of its own
    ports: Mapping[int, int] = field(default_factory=dict)
    cpus: int = 0  # cores that it may use; 0: all
    memory_bytes: int = 0  # private memory of each of its processes, beyond a warm interpreter's own; 0: no limit


@dataclass(frozen=True)
class ProcessUsage:
    """What a process and its descendants used."""

    user_seconds: float
    system_seconds: float
    peak_bytes: int  # resident memory of the largest of them
    wall_seconds: float


@dataclass(frozen=True)
class ProcessExit:
    """How a process ended: exactly one of ``code`` and ``signal`` is set."""

    code: int | None
    signal: int | None
    usage: ProcessUsage | None = None  # None where it was killed before it could be counted
    lost: bool = False  # what ran it died, and the process with it: nothing is said of the program

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with exit code 0."""
        return self.code == 0


class RunningProcess(Protocol):
    """A started process."""

    def wait(self, timeout: float | None = None) -> ProcessExit | None:
        """Block until it ends (None where ``timeout`` seconds pass first). Any thread, any number of times."""
        ...

    def terminate(self) -> None:
        """SIGTERM to the job's main process and its group, as a container runtime's stop does."""
        ...

    def kill(self) -> None:
        """SIGKILL to everything the job started, also what left its process group. Idempotent."""
        ...


class ProcessExecutor(Protocol):
    """Starts processes. ``close`` kills those that still run."""

    def start(self, spec: ProcessSpec) -> RunningProcess:
        """Start ``spec``. Raises ``RuntimeUnavailableError`` or ``SandboxUnavailableError`` with what to do."""
        ...

    def close(self) -> None:
        """Kill every process and worker that this executor started, and wait for them."""
        ...
