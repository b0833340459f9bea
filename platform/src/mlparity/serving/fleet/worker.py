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
from mlparity.serving.endpoints.plans import ModelContainer
from mlparity.serving.fleet.places import SOCKET, SocketPlaces
from mlparity.serving.fleet.preparation import SUBMIT_DIRECTORY, PreparedContainer

_ROOT = "/opt/ml"
_MODEL = f"{_ROOT}/model"
_CODE = f"{_ROOT}/code"
_SOCKETS = "/opt/mlparity/serve"
_SERVER = ("python3", "-m", "mlparity.serving.server")
_IMAGE = "container"
_SAGEMAKER = "sagemaker"
_HTTP_PORT = "AIP_HTTP_PORT"
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
        """One process a container; beside several, or a server of its own, one that sends the requests through."""
        if len(containers) == 1 and not _serves_itself(containers[0]):
            return [self._server(workshop, containers[0], logs[0], "", SOCKET)]
        specs, addresses = [], []
        for number, (container, log) in enumerate(zip(containers, logs, strict=True), 1):
            if _serves_itself(container):
                port = _free_port()
                make = self._image if container.runtime.kind == _IMAGE else self._program
                specs.append(make(workshop, container, log, f"-{number}", port))
                addresses.append(f"127.0.0.1:{port}")
            else:
                specs.append(self._server(workshop, container, log, f"-{number}", str(number)))
                addresses.append(f"{_SOCKETS}/{number}")
        runtime = next((one.runtime for one in containers if one.runtime.kind in _OWN_KINDS), _PLAIN)
        return [*specs, self._chain(runtime, addresses, containers[0].plan, logs[0], timeout)]

    def _server(
        self, workshop: Workshop, container: PreparedContainer, log: Path, suffix: str, name: str
    ) -> ProcessSpec:
        """Our model server, in a sandbox."""
        spec = self._container(workshop, container, log, suffix)
        return replace(
            spec,
            command=(*_SERVER, "--contract", container.plan.contract, "--socket", f"{_SOCKETS}/{name}"),
            mounts={**spec.mounts, _SOCKETS: self._place},
            working_directory=_ROOT,
        )

    def _image(
        self, workshop: Workshop, container: PreparedContainer, log: Path, suffix: str, port: int
    ) -> ProcessSpec:
        """The image itself, as its vendor runs it; SageMaker: ``docker run IMAGE serve``, answering on port 8080."""
        spec = self._container(workshop, container, log, suffix)
        plan = container.plan
        arguments = ("serve",) if plan.contract == _SAGEMAKER else tuple(plan.arguments)
        command = (*plan.command, *arguments) if plan.command else ()
        return replace(spec, command=command, arguments=arguments, ports={plan.port: port})

    def _program(
        self, workshop: Workshop, container: PreparedContainer, log: Path, suffix: str, port: int
    ) -> ProcessSpec:
        """A server that the model's owner wrote, in a sandbox: it listens where AIP_HTTP_PORT says."""
        spec = self._container(workshop, container, log, suffix)
        return replace(
            spec,
            command=(*container.plan.command, *container.plan.arguments),
            environment={**spec.environment, _HTTP_PORT: str(port)},
            working_directory=_ROOT,
        )

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

    def _chain(
        self, runtime: Runtime, links: Sequence[str], plan: ModelContainer, log: Path, timeout: float
    ) -> ProcessSpec:
        return ProcessSpec(
            id=f"{self._folder.name}-chain",
            runtime=runtime,
            command=(
                *_SERVER,
                "--socket",
                f"{_SOCKETS}/{SOCKET}",
                "--chain-timeout",
                str(timeout),
                "--chain-routes",
                plan.health_route,
                plan.predict_route,
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


def _serves_itself(container: PreparedContainer) -> bool:
    """Whether its server is not ours: an image, or a program of the model's owner."""
    return container.runtime.kind == _IMAGE or bool(container.plan.command)


def _free_port() -> int:
    """A port that was free a moment ago; a container that does not get it is started again with another."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
