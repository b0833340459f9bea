"""One worker: the processes of a variant's containers, and the socket at which they answer."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlparity.engine.job_processes import JobProcesses
from mlparity.engine.process import ProcessExecutor, ProcessExit, ProcessSpec
from mlparity.ids import IdSource
from mlparity.serving.fleet.places import SOCKET, SocketPlaces
from mlparity.serving.fleet.preparation import SUBMIT_DIRECTORY, PreparedContainer

_ROOT = "/opt/ml"
_MODEL = f"{_ROOT}/model"
_CODE = f"{_ROOT}/code"
_SOCKETS = "/opt/mlparity/serve"


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
        wake: threading.Event,
    ) -> None:
        """``logs`` has a file for each container; ``wake`` is set when a process has ended."""
        self._folder = workshop.folder / f"{name}-{workshop.ids.token(6)}"
        self._place = workshop.places.make()
        self.socket = self._place / SOCKET
        try:
            specs = [self._spec(workshop, containers[0], logs[0])]
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

    def _spec(self, workshop: Workshop, container: PreparedContainer, log: Path) -> ProcessSpec:
        root = self._folder / "ml"
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
            id=self._folder.name,
            runtime=container.runtime,
            command=("python3", "-m", "mlparity.serving.server", "--socket", f"{_SOCKETS}/{SOCKET}"),
            environment=environment,
            mounts={_ROOT: root, _SOCKETS: self._place},
            working_directory=_ROOT,
            log_path=log,
            read_only=read_only,
        )

    def _clean(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        shutil.rmtree(self._place, ignore_errors=True)
