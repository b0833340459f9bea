"""Endpoints with threads as in the stack: the service's own, the fleet's and the callers', and no deadlock."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from endpoint_bench import API, policy, revision

from mlparity.errors import NotFoundError
from mlparity.ids import SeededIds
from mlparity.serving.endpoints.endpoints import Endpoint, EndpointPhase
from mlparity.serving.endpoints.plans import Strategy
from mlparity.serving.endpoints.repository import EndpointRepository
from mlparity.serving.endpoints.service import EndpointService, Pace
from mlparity.state.database import Database
from mlparity.testing import TestClock
from mlparity.testing.serving import FakeFleet, FakeRouter

_NAMES = [f"e{number}" for number in range(6)]
_SECONDS = 60.0  # on a busy machine


@contextmanager
def _busy_fleet(fleet: FakeFleet) -> Iterator[None]:
    """Workers get ready, die and come back, in two threads of the fleet."""
    over = threading.Event()

    def bring() -> None:
        while not over.wait(0.002):
            fleet.ready_all()

    def lose() -> None:
        while not over.wait(0.01):
            for name in list(fleet.deployments)[-3:]:
                fleet.lose(name)

    threads = [threading.Thread(target=bring), threading.Thread(target=lose)]
    for thread in threads:
        thread.start()
    yield
    over.set()
    for thread in threads:
        thread.join()


def test_many_endpoints_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    database, clock = Database.open(tmp_path / "state.db"), TestClock()
    router = FakeRouter()
    fleet = FakeFleet(automatic=False, drain=router.drain)
    repository = EndpointRepository(database, clock, SeededIds(1))
    service = EndpointService(repository, fleet, router, clock, lambda _names: (), pace=Pace(threads=3))
    changed = threading.Condition()
    phases: dict[str, EndpointPhase] = {}

    def note(now: Endpoint, _was: Endpoint | None) -> None:
        with changed:
            phases[now.name] = now.phase
            changed.notify_all()

    def reached(phase: EndpointPhase) -> None:
        with changed:
            done = changed.wait_for(lambda: {phases.get(name) for name in _NAMES} == {phase}, _SECONDS)
            assert done, phases

    service.listen(note)
    with _busy_fleet(fleet):
        for name in _NAMES:
            service.create(API, name, revision("one", a=(1, 2), b=(1, 1)), {})
        reached(EndpointPhase.IN_SERVICE)
        for name in _NAMES:
            service.update(API, name, revision("two", a=(1, 2)), policy(Strategy.ROLLING, 50), {})
        reached(EndpointPhase.IN_SERVICE)
        assert {service.get(API, name).revision.name for name in _NAMES} == {"two"}
        for name in _NAMES:
            service.delete(API, name)
        reached(EndpointPhase.DELETED)
    service.close()
    with suppress(NotFoundError):
        pytest.fail(f"still there: {service.get(API, _NAMES[0])}")
    assert router.tables == {}
    assert sum(len(one.sockets) for one in fleet.deployments.values()) == 0
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
    database.close()
