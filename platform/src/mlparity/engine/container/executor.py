"""``ProcessExecutor`` over the ``docker`` command: podman's stand-in for it works as well.

A container gets the job's folders as bind mounts, the job's environment and nothing else, and the host's
network, so that 127.0.0.1 is the local stack for it too; one whose ports are asked for has a network of its own,
and its ports appear on 127.0.0.1 only. Its output goes straight to the job's log.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from mlparity.engine.process import ProcessExit, ProcessSpec, RunningProcess
from mlparity.errors import EngineError, RuntimeUnavailableError

_LABEL = "mlparity.owner"
_SIGNALLED = 128


class ContainerExecutor:
    """Runs images. ``owner`` marks this stack's containers: what a killed one left is removed at ``recover``."""

    def __init__(self, owner: str, scratch: Path) -> None:
        self._owner = owner
        self._scratch = scratch
        self._running: dict[str, RunningContainer] = {}
        self._lock = threading.Lock()

    def recover(self) -> None:
        """Remove containers that an earlier process of this stack left behind."""
        docker = shutil.which("docker")
        if docker is None:
            return
        found = _call([docker, "ps", "--all", "--quiet", "--filter", f"label={_LABEL}={self._owner}"])
        if found.returncode == 0 and found.stdout.split():
            _call([docker, "rm", "--force", *found.stdout.split()])

    def start(self, spec: ProcessSpec) -> RunningProcess:
        """Start ``spec.runtime.image``. Raises ``RuntimeUnavailableError`` where there is no engine or no image."""
        docker = _docker(spec)
        self._require_image(docker, spec)
        name = f"mlparity-{spec.id}"
        environment = self._environment_file(spec)
        log = os.open(spec.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            process = subprocess.Popen(  # noqa: S603 - an argument list, no shell
                self._command(docker, name, spec, environment), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        finally:
            os.close(log)
        running = RunningContainer(docker, name, process, environment)
        with self._lock:
            self._running[name] = running
        return running

    def close(self) -> None:
        """Kill every container."""
        with self._lock:
            running = list(self._running.values())
        for each in running:
            each.kill()

    def _command(self, docker: str, name: str, spec: ProcessSpec, environment: Path) -> list[str]:
        command = [docker, "run", "--rm", "--init", "--pull", "never", "--name", name]
        command += [] if spec.ports else ["--network", "host"]
        for inside, outside in spec.ports.items():
            command += ["--publish", f"127.0.0.1:{outside}:{inside}"]
        command += ["--label", f"{_LABEL}={self._owner}", "--env-file", str(environment)]
        if spec.working_directory:
            command += ["--workdir", spec.working_directory]
        for host, address in spec.hosts.items():
            command += ["--add-host", f"{host}:{address}"]
        for target, folder in spec.mounts.items():
            command += ["--mount", f"type=bind,source={folder.resolve()},target={target}"]
        for target, folder in spec.read_only.items():
            command += ["--mount", f"type=bind,source={folder.resolve()},target={target},readonly"]
        if spec.command:
            return [*command, "--entrypoint", spec.command[0], spec.runtime.image, *spec.command[1:]]
        return [*command, spec.runtime.image, *spec.arguments]

    def _environment_file(self, spec: ProcessSpec) -> Path:
        """A file, not arguments: other users of the machine can read a process's arguments."""
        for name, value in spec.environment.items():
            if "\n" in value:
                raise EngineError(f"variable {name} has a line break", "docker's environment files cannot carry it")
        self._scratch.mkdir(parents=True, exist_ok=True)
        descriptor, path = tempfile.mkstemp(dir=self._scratch, prefix="environment-")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(f"{name}={value}\n" for name, value in spec.environment.items())
        return Path(path)

    @staticmethod
    def _require_image(docker: str, spec: ProcessSpec) -> None:
        if _call([docker, "image", "inspect", spec.runtime.image]).returncode:
            raise RuntimeUnavailableError(
                f"the image {spec.runtime.image} is not on this machine",
                "a job never pulls: what runs should not depend on the moment",
                f"docker pull {spec.runtime.image}",
            )


class RunningContainer:
    """A started container."""

    def __init__(self, docker: str, name: str, process: subprocess.Popen[bytes], environment: Path) -> None:
        self._docker = docker
        self._name = name
        self._process = process
        self._environment = environment

    def wait(self, timeout: float | None = None) -> ProcessExit | None:
        """Block until it ends (None where ``timeout`` seconds pass first)."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        self._environment.unlink(missing_ok=True)
        if code < 0:
            return ProcessExit(None, -code)
        if code > _SIGNALLED:
            return ProcessExit(None, code - _SIGNALLED)
        return ProcessExit(code, None)

    def terminate(self) -> None:
        """SIGTERM to the container's main process."""
        _call([self._docker, "kill", "--signal", "TERM", self._name])

    def kill(self) -> None:
        """Remove the container with all that runs in it. Idempotent."""
        if self._process.poll() is None:
            _call([self._docker, "rm", "--force", self._name])
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            self._process.kill()


def _docker(spec: ProcessSpec) -> str:
    docker = shutil.which("docker")
    if docker is None:
        raise RuntimeUnavailableError(
            f"the runtime {spec.runtime.name} cannot be started",
            "there is no `docker` command on this machine",
            "install a container engine, or map the image to a runtime of kind `host` or `venv` in runtimes.yaml",
        )
    answer = _call([docker, "version", "--format", "{{.Server.Version}}"])
    if answer.returncode:
        raise RuntimeUnavailableError(
            f"the runtime {spec.runtime.name} cannot be started",
            answer.stderr.strip() or "the container engine does not answer",
            "start the engine (`docker info` must answer)",
        )
    return docker


def _call(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
