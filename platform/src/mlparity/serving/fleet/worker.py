"""One worker: the processes of a variant's containers, and the socket at which they answer."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mlparity.engine.job_processes import JobProcesses
from mlparity.engine.process import ProcessExecutor, ProcessExit, ProcessSpec, Runtime
from mlparity.ids import IdSource
from mlparity.serving.fleet.places import SOCKET, SocketPlaces
from mlparity.serving.fleet.preparation import SUBMIT_DIRECTORY, PreparedContainer

_ROOT = "/opt/ml"
_MODEL = f"{_ROOT}/model"
_CODE = f"{_ROOT}/code"
_SOCKETS = "/opt/mlparity/serve"
_SERVER = ("python3", "-m", "mlparity.serving.server")
_IMAGE = "container"
_PORT = 8080  # where SageMaker's containers answer
_OWN_KINDS = frozenset({"host", "builtin"})
_PLAIN = Runtime("host", "host")


@dataclass(frozen=True)
class Workshop:
    """Where workers are started. ``environment`` is what a container gets by its role, before its own."""

    executor: ProcessExecutor
    places: SocketPlaces
    folder: Path  # for the workers' private folders
    environment: Callable[[str], Mapping[str, str]]
    ids: IdSource


class Worker:
    """Started by the constructor. Raises what the executor raises where a process cannot start."""

    def __init__(
        self,
        workshop: Workshop,
        name: str,
        containers: Sequence[PreparedContainer],
        logs: Sequence[Path],
        timeout: float,
        wake: threading.Event,
    ) -> None:
        """``logs`` has a file for each container; ``timeout`` is for a request; ``wake`` is set at a process's end."""
        self._folder = workshop.folder / f"{name}-{workshop.ids.token(6)}"
        self._place = workshop.places.make()
        self.socket = self._place / SOCKET
        try:
            specs = self._specs(workshop, containers, logs, timeout)
            self._processes = JobProcesses(workshop.executor, specs, wake)
        except BaseException:
            self._clean()
            raise

    @property
    def ended(self) -> bool:
        """Whether it ended by itself."""
        return self._processes.ended

    def terminate(self, grace: float) -> None:
        """SIGTERM, then up to ``grace`` seconds to end."""
        self._processes.terminate()
        self._processes.wait_all(grace)

    def finish(self) -> ProcessExit:
        """Kill what is left, remove the folders, and say how it ended."""
        outcome = self._processes.finish()
        self._clean()
        return outcome

    def _specs(
        self, workshop: Workshop, containers: Sequence[PreparedContainer], logs: Sequence[Path], timeout: float
    ) -> list[ProcessSpec]:
        """One process a container; beside several, or an image, one that sends the requests through them."""
        if len(containers) == 1 and containers[0].runtime.kind != _IMAGE:
            return [self._server(workshop, containers[0], logs[0], "", SOCKET)]
        specs, addresses = [], []
        for number, (container, log) in enumerate(zip(containers, logs, strict=True), 1):
            if container.runtime.kind == _IMAGE:
                port = _free_port()
                specs.append(self._image(workshop, container, log, f"-{number}", port))
                addresses.append(f"127.0.0.1:{port}")
            else:
                specs.append(self._server(workshop, container, log, f"-{number}", str(number)))
                addresses.append(f"{_SOCKETS}/{number}")
        runtime = next((one.runtime for one in containers if one.runtime.kind in _OWN_KINDS), _PLAIN)
        return [*specs, self._chain(runtime, addresses, logs[0], timeout)]

    def _server(
        self, workshop: Workshop, container: PreparedContainer, log: Path, suffix: str, name: str
    ) -> ProcessSpec:
        """Our model server, in a sandbox."""
        spec = self._container(workshop, container, log, suffix)
        return replace(
            spec,
            command=(*_SERVER, "--socket", f"{_SOCKETS}/{name}"),
            mounts={**spec.mounts, _SOCKETS: self._place},
            working_directory=_ROOT,
        )

    def _image(
        self, workshop: Workshop, container: PreparedContainer, log: Path, suffix: str, port: int
    ) -> ProcessSpec:
        """The image itself, as SageMaker runs it: ``docker run IMAGE serve``, answering on port 8080."""
        spec = self._container(workshop, container, log, suffix)
        return replace(spec, arguments=("serve",), ports={_PORT: port})

    def _container(self, workshop: Workshop, container: PreparedContainer, log: Path, suffix: str) -> ProcessSpec:
        root = self._folder / f"ml{suffix}"
        root.mkdir(parents=True)
        read_only = {}
        environment = {**workshop.environment(container.role), **container.environment}
        if container.model is not None:
            read_only[_MODEL] = container.model
        else:
            (root / "model").mkdir()
        if container.code is not None:
            read_only[_CODE] = container.code
            environment[SUBMIT_DIRECTORY] = _CODE
        return ProcessSpec(
            id=f"{self._folder.name}{suffix}",
            runtime=container.runtime,
            command=(),
            environment=environment,
            mounts={_ROOT: root},
            working_directory="",  # an image has its own
            log_path=log,
            read_only=read_only,
        )

    def _chain(self, runtime: Runtime, links: Sequence[str], log: Path, timeout: float) -> ProcessSpec:
        return ProcessSpec(
            id=f"{self._folder.name}-chain",
            runtime=runtime,
            command=(
                *_SERVER,
                "--socket",
                f"{_SOCKETS}/{SOCKET}",
                "--chain-timeout",
                str(timeout),
                "--chain",
                *links,
            ),
            environment={},
            mounts={_SOCKETS: self._place},
            working_directory="/",
            log_path=log,
        )

    def _clean(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        shutil.rmtree(self._place, ignore_errors=True)


def _free_port() -> int:
    """A port that was free a moment ago; a container that does not get it is started again with another."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
