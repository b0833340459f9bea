"""A fleet without processes and a router without sockets, for tests of what stands on them.

Both do at once and in the caller's thread what the real ones take time for, and keep what was asked of them in ``log``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from mlparity.serving.fleet.deployment import Deployment, DeploymentPhase, DeploymentSpec
from mlparity.serving.routing.table import EndpointTable


class FakeFleet:
    """A ``Fleet`` whose workers answer when the test says so: at once with ``automatic``, else after ``ready``.

    ``drain`` is the router's: called for workers that go, after the listeners have heard that they do.
    """

    def __init__(
        self, *, automatic: bool = True, drain: Callable[[Sequence[str], float], bool] = lambda _sockets, _seconds: True
    ) -> None:
        self.automatic = automatic
        self._drain = drain
        self.failing: dict[str, str] = {}  # model_uri of a variant's first container -> why it fails
        self.log: list[tuple[str, str]] = []  # ("start" | "scale" | "stop", deployment)
        self.deployments: dict[str, Deployment] = {}
        self._listeners: list[Callable[[Deployment], None]] = []
        self._made = 0
        self._telling = threading.RLock()  # held while listeners are told, as a real fleet does

    def start(self, spec: DeploymentSpec) -> None:
        """Known from now on; ready at once where ``automatic``."""
        with self._telling:
            if spec.id in self.deployments:
                return
            self.log.append(("start", spec.id))
            self.deployments[spec.id] = Deployment(spec, DeploymentPhase.STARTING, spec.variant.instances, ())
            if self.automatic:
                self.ready(spec.id)

    def scale(self, deployment_id: str, workers: int) -> None:
        """Fewer at once; more at once where ``automatic``."""
        with self._telling:
            self.log.append(("scale", deployment_id))
            known = self.deployments[deployment_id]
            leaving = known.sockets[workers:]
            self._set(replace(known, wanted=workers, sockets=known.sockets[:workers]))
            if leaving:
                self._drain(leaving, 1.0)
            if self.automatic:
                self.ready(deployment_id)

    def stop(self, deployment_id: str) -> None:
        """Gone at once, after its workers were drained."""
        with self._telling:
            known = self.deployments.get(deployment_id)
            if known is None or known.phase is DeploymentPhase.STOPPED:
                return
            self.log.append(("stop", deployment_id))
            self._set(replace(known, sockets=()))
            if known.sockets:
                self._drain(known.sockets, 1.0)
            self._set(replace(known, phase=DeploymentPhase.STOPPED, sockets=()))

    def get(self, deployment_id: str) -> Deployment | None:
        """As it is."""
        return self.deployments.get(deployment_id)

    def listen(self, listener: Callable[[Deployment], None]) -> None:
        """Called in the thread that changes something."""
        self._listeners.append(listener)

    def close(self) -> None:
        """Nothing runs."""

    def ready(self, deployment_id: str) -> None:
        """As many workers as wanted answer, or it fails where it is to."""
        with self._telling:
            known = self.deployments[deployment_id]
            if known.phase not in {DeploymentPhase.STARTING, DeploymentPhase.READY}:
                return
            why = self.failing.get(known.spec.variant.containers[0].model_uri)
            if why is not None and known.phase is DeploymentPhase.STARTING:
                self._set(replace(known, phase=DeploymentPhase.FAILED, sockets=(), reason=why))
                return
            sockets = (*known.sockets, *(self._socket() for _ in range(known.wanted - len(known.sockets))))
            self._set(replace(known, phase=DeploymentPhase.READY, sockets=sockets))

    def ready_all(self) -> None:
        """``ready`` for every deployment that waits for it."""
        for one in list(self.deployments.values()):
            if one.phase is DeploymentPhase.STARTING or len(one.sockets) < one.wanted:
                self.ready(one.spec.id)

    def lose(self, deployment_id: str, workers: int = 1) -> None:
        """That many workers die; ``ready`` brings others."""
        with self._telling:
            known = self.deployments[deployment_id]
            if known.phase is DeploymentPhase.READY:
                self._set(replace(known, sockets=known.sockets[workers:]))

    def _socket(self) -> str:
        self._made += 1
        return f"/run/{self._made}.sock"

    def _set(self, deployment: Deployment) -> None:
        self.deployments[deployment.spec.id] = deployment
        for listener in self._listeners:
            listener(deployment)


class FakeRouter:
    """A ``Router`` that keeps the tables; ``away`` makes it refuse, as when its process is gone."""

    def __init__(self) -> None:
        self.tables: dict[str, EndpointTable] = {}
        self.log: list[EndpointTable] = []
        self.drained: list[Sequence[str]] = []
        self.away = False

    def publish(self, table: EndpointTable) -> None:
        """Kept."""
        self._require()
        self.tables[table.endpoint] = table
        self.log.append(table)

    def remove(self, endpoint: str) -> None:
        """Forgotten."""
        self._require()
        self.tables.pop(endpoint, None)

    def drain(self, sockets: Sequence[str], timeout_seconds: float) -> bool:  # noqa: ARG002 - nothing is under way
        """At once. Sockets that a table still names would never be drained: that fails the test."""
        self._require()
        named = {one for table in list(self.tables.values()) for routed in table.deployments for one in routed.sockets}
        if named & set(sockets):
            raise AssertionError(f"drained while requests still go there: {sorted(named & set(sockets))}")
        self.drained.append(tuple(sockets))
        return True

    def shares(self, endpoint: str) -> dict[str, float]:
        """Deployment -> its share of the traffic, in an endpoint's table."""
        table = self.tables[endpoint]
        return {one.deployment: round(one.weight, 6) for one in table.deployments if not one.shadow}

    def _require(self) -> None:
        if self.away:
            raise ConnectionRefusedError("the router is away")
