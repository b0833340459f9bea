"""Makes the fleet and the router be as an endpoint's record says. Idempotent: after a crash it is simply done again."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime

from mlparity.serving.endpoints.record import EndpointRecord
from mlparity.serving.endpoints.tables import is_coming_back, table_of
from mlparity.serving.endpoints.view import View
from mlparity.serving.fleet.deployment import DeploymentPhase, DeploymentSpec, Fleet
from mlparity.serving.routing.table import EndpointTable, Router


class World:
    """The fleet and the router of all endpoints. One thread at a time an endpoint."""

    def __init__(self, fleet: Fleet, router: Router, drain_seconds: float) -> None:
        self._fleet = fleet
        self._router = router
        self._drain_seconds = drain_seconds
        self._lock = threading.Lock()
        self._published: dict[str, EndpointTable] = {}
        self._held: set[str] = set()
        self._drained: set[str] = set()

    def hold(self, key: str) -> None:
        """Answer nothing for the endpoint before its workers are back."""
        self._held.add(key)

    def forget_tables(self) -> None:
        """The router has forgotten every table."""
        with self._lock:
            self._published.clear()

    def realise(self, record: EndpointRecord, now: datetime) -> View:
        """Start, scale, publish, drain and stop what ``record`` says; what there is then, as far as it is known."""
        for member, workers in record.wanted():
            plan = replace(member.plan, instances=workers)
            self._run(DeploymentSpec(member.deployment, record.key, plan, record.log_group))
        view = self.see(record, now)
        if record.key in self._held and not is_coming_back(record, view):
            self._held.discard(record.key)
        self._publish(table_of(record, view, held=record.key in self._held))
        for deployment in record.retiring:
            self._end(deployment)
        return self.see(record, now) if record.retiring else view

    def see(self, record: EndpointRecord, now: datetime) -> View:
        """What the fleet knows of everything that ``record`` names."""
        names = {member.deployment for member in record.blue.members} | set(record.retiring)
        if record.rollout is not None:
            names |= {member.deployment for member in record.rollout.green.members}
        return View({name: self._fleet.get(name) for name in names}, now)

    def forget(self, record: EndpointRecord) -> None:
        """Nothing of the endpoint is left: the router need not know it any more."""
        self._router.remove(record.key)
        with self._lock:
            self._published.pop(record.key, None)
        self._held.discard(record.key)

    def _run(self, spec: DeploymentSpec) -> None:
        seen = self._fleet.get(spec.id)
        if seen is None:
            self._fleet.start(spec)
        elif seen.phase in {DeploymentPhase.STARTING, DeploymentPhase.READY} and seen.wanted != spec.variant.instances:
            self._fleet.scale(spec.id, spec.variant.instances)

    def _publish(self, table: EndpointTable) -> None:
        with self._lock:
            known = self._published.get(table.endpoint) == table
        if known:
            return
        self._router.publish(table)
        with self._lock:
            self._published[table.endpoint] = table

    def _end(self, deployment: str) -> None:
        """Let the requests end that the workers have, then stop them. No table names them any more."""
        seen = self._fleet.get(deployment)
        if seen is None or deployment in self._drained:
            return
        if seen.sockets:
            self._router.drain(seen.sockets, self._drain_seconds)
        self._fleet.stop(deployment)
        self._drained.add(deployment)
