"""Makes the fleet and the router be as an endpoint's record says. Idempotent: after a crash it is simply done again."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from mlparity.serving.endpoints.record import EndpointRecord
from mlparity.serving.endpoints.tables import table_of
from mlparity.serving.endpoints.view import View
from mlparity.serving.fleet.deployment import DeploymentPhase, DeploymentSpec, Fleet
from mlparity.serving.routing.table import EndpointTable, Router

_CHANGEABLE = {DeploymentPhase.STARTING, DeploymentPhase.READY}


class World:
    """The fleet and the router of all endpoints. The router keeps what it was told, whatever happens to its process.

    Tables are published by the service's threads and by those of the fleet: an endpoint's lock keeps the newest last.
    It is never held while the fleet is asked for a change, as that may call back.
    """

    def __init__(self, fleet: Fleet, router: Router) -> None:
        self._fleet = fleet
        self._router = router
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._published: dict[str, tuple[int, EndpointTable]] = {}

    def realise(self, record: EndpointRecord, now: datetime) -> View:
        """Start, scale, publish and stop what ``record`` says; what there is then, as the published table knows it."""
        for member, workers in record.wanted():
            plan = replace(member.plan, instances=workers)
            self._run(DeploymentSpec(member.deployment, record.key, plan, record.log_group))
        with self._exclusive(record.key):
            view = self._publish(record, now)
        for deployment in record.retiring:  # no table names them any more: the fleet drains and ends them
            self._fleet.stop(deployment)
        ending = {deployment: self._fleet.get(deployment) for deployment in record.retiring}
        return replace(view, deployments={**view.deployments, **ending})

    def republish(self, key: str, find: Callable[[], EndpointRecord | None], now: datetime) -> None:
        """Tell the router of workers that came or went; ``find`` gives the newest record."""
        with self._exclusive(key):
            record = find()
            if record is not None:
                self._publish(record, now)

    def see(self, record: EndpointRecord, now: datetime) -> View:
        """What the fleet knows of everything that ``record`` names."""
        names = {member.deployment for member in record.blue.members} | set(record.retiring)
        if record.rollout is not None:
            names |= {member.deployment for member in record.rollout.green.members}
        if record.reshaping is not None:
            names |= {member.deployment for member in record.reshaping.added}
        return View({name: self._fleet.get(name) for name in names}, now)

    def forget(self, key: str, delete: Callable[[], None]) -> None:
        """Nothing of the endpoint is left: the router need not know it any more, and ``delete`` deletes its record."""
        with self._exclusive(key):
            self._router.remove(key)
            self._published.pop(key, None)
            delete()

    def _run(self, spec: DeploymentSpec) -> None:
        seen = self._fleet.get(spec.id)
        if seen is None:
            self._fleet.start(spec)
        elif seen.phase in _CHANGEABLE and seen.wanted != spec.variant.instances:
            self._fleet.scale(spec.id, spec.variant.instances)

    def _publish(self, record: EndpointRecord, now: datetime) -> View:
        """Under the endpoint's lock."""
        view = self.see(record, now)
        table = table_of(record, view)
        version, known = self._published.get(record.key, (-1, None))
        if version <= record.version and table != known:
            self._router.publish(table)
        if version <= record.version:
            self._published[record.key] = (record.version, table)
        return view

    @contextmanager
    def _exclusive(self, key: str) -> Iterator[None]:
        with self._lock:
            lock = self._locks[key]
        with lock:
            yield
