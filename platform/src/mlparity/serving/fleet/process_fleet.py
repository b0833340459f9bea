"""``Fleet`` over processes of this machine: sandboxed workers, or containers where the runtime map says so."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlparity.clock import Clock
from mlparity.engine.process import ProcessExecutor, Runtime
from mlparity.errors import MlparityError
from mlparity.ids import IdSource
from mlparity.serving.endpoints.plans import ModelContainer
from mlparity.serving.fleet.artifacts import Artifacts
from mlparity.serving.fleet.deployment import Deployment, DeploymentPhase, DeploymentSpec
from mlparity.serving.fleet.group import Group, GroupMeans, LogFiles
from mlparity.serving.fleet.places import SocketPlaces
from mlparity.serving.fleet.preparation import PreparationError, Preparer, RuntimeResolver, prepare
from mlparity.serving.fleet.slot import Timing
from mlparity.serving.fleet.usage import WorkerUsage, usage_of
from mlparity.serving.fleet.worker import Workshop
from mlparity.storage.base import ObjectStore

_LOG = logging.getLogger(__name__)
_REMEMBERED = 256  # deployments that have ended
_JOIN_SECONDS = 10.0  # one that is in the middle of a download is not waited for longer
_OVER = frozenset({DeploymentPhase.STOPPED, DeploymentPhase.FAILED})


def _nothing(_runtime: Runtime) -> None:
    return


def _no_credentials(_role: str) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class FleetMeans:
    """What a fleet works with.

    ``folder`` is the fleet's own, in the data folder. ``environment`` is what every worker gets before its
    container's own (region, endpoints: see ``stack.job_environment``), and ``credentials`` gives the variables by
    which it acts as its role.
    """

    store: ObjectStore
    executor: ProcessExecutor  # ``engine.executors.Executors``
    runtimes: RuntimeResolver  # ``engine.runtimes.RuntimeMap``
    environments: Preparer  # ``engine.environments.Environments``
    logs: LogFiles  # ``engine.logs.JobLogStore``
    folder: Path
    environment: Mapping[str, str]
    clock: Clock
    ids: IdSource
    credentials: Callable[[str], Mapping[str, str]] = _no_credentials
    warm: Callable[[Runtime], None] = _nothing  # ``SandboxExecutor.warm``


class ProcessFleet:
    """``serving.fleet.deployment.Fleet``.

    ``drain(sockets, seconds)`` is ``Router.drain``: it is called for a worker that goes, after every listener has
    returned from hearing of a ``Deployment`` without its socket, and the worker then gets SIGTERM. Call ``recover``
    once before the first ``start``; it removes what a killed process left behind.
    A deployment once READY stays it until it is stopped: compare ``len(sockets)`` with ``wanted``. One that is
    being stopped loses its sockets first and is STOPPED when its last worker has ended.
    """

    def __init__(
        self, means: FleetMeans, drain: Callable[[Sequence[str], float], bool], timing: Timing | None = None
    ) -> None:
        self._folder = means.folder
        self._warm = means.warm
        self._places = SocketPlaces(means.folder / "s", means.ids)
        self._artifacts = Artifacts(means.store, means.folder / "models", means.ids)
        workshop = Workshop(means.executor, self._places, means.folder / "workers", _environment_of(means), means.ids)
        self._group_means = GroupMeans(
            self._artifacts,
            means.runtimes,
            means.environments,
            workshop,
            means.logs,
            drain,
            timing or Timing(),
            means.clock,
        )
        self._lock = threading.Lock()
        self._groups: dict[str, Group] = {}
        self._listeners: list[Callable[[Deployment], None]] = []
        self._closed = False

    def recover(self) -> None:
        """Remove the folders of workers that died with an earlier process; fetched models stay."""
        shutil.rmtree(self._folder / "workers", ignore_errors=True)
        self._places.recover()
        self._artifacts.recover()

    def start(self, spec: DeploymentSpec) -> None:
        """Start the workers. Nothing happens where the deployment is there and has not ended."""
        with self._lock:
            known = self._groups.get(spec.id)
            if self._closed or (known is not None and known.deployment.phase not in _OVER):
                return
            group = self._groups[spec.id] = Group(spec, self._group_means, self._tell)
            self._forget()
            used = [path for each in self._groups.values() for path in each.folders]
        self._artifacts.prune(used)
        group.start()

    def expect(self, containers: Sequence[ModelContainer]) -> None:
        """These may be deployed soon: fetch and unpack them, and warm the workers that they fork from.

        Returns at once. What goes wrong is told when they are deployed.
        """
        threading.Thread(target=self._expect, args=(tuple(containers),), name="expect-model", daemon=True).start()

    def _expect(self, containers: Sequence[ModelContainer]) -> None:
        means = self._group_means
        try:
            for container in prepare(containers, means.artifacts, means.runtimes, means.environments):
                if container.runtime.kind != "container":
                    self._warm(container.runtime)
        except (PreparationError, MlparityError) as error:
            _LOG.info("a model that may be deployed: %s", error)

    def scale(self, deployment_id: str, workers: int) -> None:
        """Change the number of workers; unknown ids are ignored."""
        group = self._group(deployment_id)
        if group is not None:
            group.scale(workers)

    def stop(self, deployment_id: str) -> None:
        """Let the workers finish their requests and end them."""
        group = self._group(deployment_id)
        if group is not None:
            group.stop()

    def get(self, deployment_id: str) -> Deployment | None:
        """What it is doing; None where it is not known."""
        group = self._group(deployment_id)
        return None if group is None else group.deployment

    def listen(self, listener: Callable[[Deployment], None]) -> None:
        """Call ``listener`` with every change of a phase, a number wanted, or sockets."""
        self._listeners.append(listener)

    def usage(self, deployment_id: str) -> Sequence[WorkerUsage]:
        """What the deployment's workers have used until now; those that just end are left out.

        Nothing where an image runs by a container engine: its processes are not ours to see.
        """
        group = self._group(deployment_id)
        if group is None or group.has_images:
            return []
        found = (usage_of(name, Path(socket)) for name, socket in group.sockets().items())
        return [one for one in found if one is not None]

    def close(self) -> None:
        """End every worker now."""
        with self._lock:
            self._closed = True
            groups = list(self._groups.values())
        for group in groups:
            group.end()
        for group in groups:
            group.join(_JOIN_SECONDS)
        self._places.close()

    def _group(self, deployment_id: str) -> Group | None:
        with self._lock:
            return self._groups.get(deployment_id)

    def _forget(self) -> None:
        """Keep a bounded number of those that have ended. Under the lock."""
        ended = [name for name, group in self._groups.items() if group.deployment.phase in _OVER]
        for name in ended[:-_REMEMBERED]:
            del self._groups[name]

    def _tell(self, deployment: Deployment) -> None:
        for listener in list(self._listeners):
            try:
                listener(deployment)
            except Exception:  # noqa: BLE001 - the worker is not to suffer for it
                _LOG.exception("a listener failed on deployment %s", deployment.spec.id)


def _environment_of(means: FleetMeans) -> Callable[[str], Mapping[str, str]]:
    """Role -> what its containers get."""
    return lambda role: {**means.environment, **(means.credentials(role) if role else {})}
