"""Runs jobs in private namespaces, forked from warm workers. ``ProcessExecutor`` for the rest of the engine."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mlparity
from mlparity.clock import Clock
from mlparity.engine.process import ProcessSpec, RunningProcess, Runtime
from mlparity.engine.sandbox import layout as paths
from mlparity.engine.sandbox import shims
from mlparity.engine.sandbox.layout import Layout
from mlparity.engine.sandbox.probing import Mode, SandboxReport, probe
from mlparity.engine.sandbox.session import Session
from mlparity.engine.sandbox.zygote_process import ZygoteProcess
from mlparity.engine.warm.invocation import WAIT_POLICY
from mlparity.errors import EngineError, InvalidRequestError, RuntimeUnavailableError, SandboxUnavailableError
from mlparity.ids import IdSource

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,127}")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What the vendors' images set as well, or what keeps a job offline. The job's own environment wins.
_DEFAULTS = {
    "HOME": paths.JOB_HOME,
    "LANG": "C.UTF-8",
    "PYTHONUNBUFFERED": "1",
    "PIP_NO_INDEX": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
    WAIT_POLICY[0]: WAIT_POLICY[1],
}


class SandboxExecutor:
    """Starts each job in its own mount, PID and IPC namespaces, root inside, with the host read-only.

    ``scratch`` is for executors alone: private /tmp folders of running jobs, workers' logs. ``hidden`` are
    folders of the host that jobs must not see, besides ``scratch`` (the data folder, say); ``files`` are shown
    to every job read-only, by their path inside. A job's environment
    is the spec's with the warm ``python`` first on PATH, and HOME, LANG, PYTHONUNBUFFERED and pip's offline
    settings where the spec has none. ``report`` is what ``probe`` found; it is asked at the first job otherwise.
    """

    def __init__(
        self,
        scratch: Path,
        clock: Clock,
        ids: IdSource,
        *,
        hidden: Sequence[Path] = (),
        files: Mapping[str, Path] | None = None,
        report: SandboxReport | None = None,
    ) -> None:
        self._clock = clock
        self._hidden = tuple(str(path.resolve()) for path in (scratch, *hidden))
        self._files = {inside: str(path) for inside, path in (files or {}).items()}
        self._session = Session(scratch, ids.token(8))
        self._lock = threading.Lock()
        self._zygotes: dict[tuple[str, ...], ZygoteProcess] = {}
        self._report = report
        self._closed = False

    def warm(self, runtime: Runtime) -> None:
        """Start the worker of ``runtime`` now, without waiting for its imports, so that no job has to."""
        self._zygote(runtime)

    def start(self, spec: ProcessSpec) -> RunningProcess:
        """Start ``spec`` and return once its command runs. Any thread.

        Raises ``InvalidRequestError`` for a spec that cannot be right, ``RuntimeUnavailableError`` where the
        runtime is not installed, ``SandboxUnavailableError`` where this machine denies what a job needs, and
        ``EngineError`` where the worker was killed meanwhile, and the next one, too.
        """
        _check(spec)
        try:
            return self._start(spec)
        except EngineError as error:
            if type(error) is not EngineError or self._closed:
                raise
        return self._start(spec)  # nothing of the job has run: another worker may have it

    def _start(self, spec: ProcessSpec) -> RunningProcess:
        zygote = self._zygote(spec.runtime)
        folder = self._session.job_folder(spec.id)
        job = {
            "id": folder.name,
            "layout": asdict(self._layout(spec, folder)),
            "command": list(_command(spec)),
            "environment": _environment(spec),
            "working_directory": spec.working_directory,
            "cpus": spec.cpus,
            "memory_bytes": spec.memory_bytes,
        }
        spec.log_path.parent.mkdir(parents=True, exist_ok=True)
        log = os.open(spec.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            return zygote.start(job, log, self._clock, lambda: shutil.rmtree(folder, ignore_errors=True))
        finally:
            os.close(log)

    def close(self) -> None:
        """Kill every job and worker, wait for them, and remove the scratch files. Idempotent."""
        with self._lock:
            self._closed = True
            zygotes = list(self._zygotes.values())
        for zygote in zygotes:
            zygote.close()
        self._session.close()

    def _zygote(self, runtime: Runtime) -> ZygoteProcess:
        _check_runtime(runtime)
        key = (runtime.python, *runtime.preload)
        with self._lock:
            if self._closed:
                raise EngineError("the job was not started", "its executor is closed", "start the stack again")
            mode = self._mode()
            zygote = self._zygotes.get(key)
            if zygote is None or not zygote.alive:
                zygote = self._zygotes[key] = self._start_zygote(runtime, mode)
            return zygote

    def _mode(self) -> Mode:
        if self._report is None:
            self._report = probe()
        return self._report.require()

    def _start_zygote(self, runtime: Runtime, mode: Mode) -> ZygoteProcess:
        python = runtime.python or sys.executable
        number = len(list(self._session.folder.glob("worker-*.log")))
        shims_folder = self._shims(python)
        if not shims_folder.exists():
            shims.write(shims_folder, python)
        settings: Mapping[str, Any] = {
            "preload": list(runtime.preload),
            "user_namespace": mode is Mode.USER_NAMESPACE,
            "source_root": _source_root(),
            "python_names": shims.inside_commands(python),
        }
        return ZygoteProcess(python, settings, self._session.folder / f"worker-{number}.log")

    def _shims(self, python: str) -> Path:
        """The folder of commands for one interpreter."""
        return self._session.folder / f"bin-{hashlib.sha256(python.encode()).hexdigest()[:12]}"

    def _layout(self, spec: ProcessSpec, folder: Path) -> Layout:
        hosts = ""
        if spec.hosts:
            hosts_file = folder / "hosts"
            hosts_file.write_text(_hosts(spec.hosts), "utf-8")
            hosts = str(hosts_file)
        places = _interpreter_places(spec.runtime)
        for target in (*spec.mounts, *spec.read_only):
            lost = [path for path in places if paths.is_within(path, target)]
            if lost:
                raise SandboxUnavailableError(
                    f"job {spec.id} cannot have its own {target}",
                    f"the interpreter that runs it lives there ({lost[0]})",
                    f"install mlparity's environment outside {target}",
                )
        return Layout(
            mountpoint=str(self._session.mountpoint),
            mounts={target: str(source.resolve()) for target, source in spec.mounts.items()},
            shims=str(self._shims(spec.runtime.python or sys.executable)),
            temporary=str(folder / "tmp"),
            home=str(folder / "home"),
            hidden=self._hidden,
            keep=tuple(paths.outermost(places)),
            hosts_file=hosts,
            extra={
                **{inside: path for inside, path in self._files.items() if Path(path).exists()},
                **{inside: str(source.resolve()) for inside, source in spec.read_only.items()},
            },
        )


def _check(spec: ProcessSpec) -> None:
    if not _ID.fullmatch(spec.id):
        raise InvalidRequestError(f"{spec.id!r} cannot name a job", "ids are letters, digits and hyphens")
    if not spec.command and not spec.runtime.module:
        raise InvalidRequestError(
            f"job {spec.id} has no command", f"the runtime {spec.runtime.name} has no entry point of its own"
        )
    for target, source in {**spec.mounts, **spec.read_only}.items():
        if not target.startswith("/") or ".." in target.split("/") or str(Path(target)) != target or target == "/":
            raise InvalidRequestError(f"a job cannot have a folder at {target!r}", "it must be a plain absolute path")
        if not source.is_dir():
            raise InvalidRequestError(f"job {spec.id} cannot have {target}", f"{source} is not a folder")
    if not spec.working_directory.startswith("/"):
        raise InvalidRequestError(f"{spec.working_directory!r} cannot be a working directory", "it must be absolute")


def _check_runtime(runtime: Runtime) -> None:
    if runtime.kind == "venv" and runtime.python:
        return  # built, with all that it requires
    if runtime.kind not in {"host", "builtin"}:
        raise RuntimeUnavailableError(
            f"the runtime {runtime.name} cannot be started",
            f"its kind is {runtime.kind!r}, and it is not ready to run as a process",
        )
    for module in runtime.requires:
        if importlib.util.find_spec(module) is None:
            raise RuntimeUnavailableError(
                f"the runtime {runtime.name} cannot be started",
                f"the Python package {module} is not installed in mlparity's environment",
                f"install it there (`{sys.executable} -m pip install {module}`), then start the stack again",
            )


def _command(spec: ProcessSpec) -> Sequence[str]:
    return spec.command or ("python3", "-m", spec.runtime.module)


def _environment(spec: ProcessSpec) -> dict[str, str]:
    programs = str(Path(spec.runtime.python or sys.executable).parent)
    path = spec.environment.get("PATH") or f"{programs}:{_SYSTEM_PATH}"
    return {**_DEFAULTS, **spec.environment, "PATH": f"{paths.SHIMS}:{path}"}


def _hosts(names: Mapping[str, str]) -> str:
    known = Path("/etc/hosts")
    lines = known.read_text("utf-8", "replace").splitlines() if known.exists() else []
    return "\n".join([*lines, *(f"{address}\t{name}" for name, address in names.items()), ""])


def _source_root() -> str:
    return str(Path(mlparity.__file__).parents[1])


def _interpreter_places(runtime: Runtime) -> list[str]:
    """Every folder that the runtime's interpreter imports from or lies in."""
    executable = Path(runtime.python or sys.executable)
    places = {executable.parent, executable.resolve().parent, Path(sys.prefix), Path(sys.base_prefix)}
    places |= {executable.parents[1], executable.resolve().parents[1]} if runtime.python else set()
    places |= {Path(entry) for entry in sys.path if entry and Path(entry).is_absolute()} | {Path(_source_root())}
    return sorted(str(place) for place in places)
