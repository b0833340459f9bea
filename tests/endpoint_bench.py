"""One endpoint service on fakes, a test clock and a real database, which crashes when told to."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from mlparity.ids import SeededIds
from mlparity.serving.endpoints.endpoints import Endpoint, EndpointPhase
from mlparity.serving.endpoints.plans import Capacity, ModelContainer, Revision, RolloutPolicy, Strategy, VariantPlan
from mlparity.serving.endpoints.repository import EndpointRepository
from mlparity.serving.endpoints.service import EndpointService, Pace
from mlparity.state.database import Database
from mlparity.state.schema import metadata
from mlparity.testing import TestClock
from mlparity.testing.serving import FakeFleet, FakeRouter

API, NAME, KEY = "sagemaker", "flights", "sagemaker/flights"


def revision(name: str, **variants: tuple[float, int]) -> Revision:
    """Variants as name=(weight, instances); one called "main" where none is given."""
    plans = tuple(
        VariantPlan(variant, (ModelContainer("image", f"s3://models/{name}"),), instances, weight)
        for variant, (weight, instances) in (variants or {"main": (1.0, 1)}).items()
    )
    return Revision(name, plans)


def policy(strategy: Strategy, step: int = 100, **members: Any) -> RolloutPolicy:
    """A policy whose step is a percentage."""
    return RolloutPolicy(strategy, Capacity(step), **members)


class _Defects(logging.Handler):
    """The service outlives any exception; the tests do not, but for that of a router that is away."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, ConnectionRefusedError):
            self.found.append(f"{record.getMessage()}: {error!r}")


class Bench:
    """The service and its world. ``close`` fails where the service has logged a defect."""

    def __init__(self, *, automatic: bool = True) -> None:
        self._defects = _Defects()
        logging.getLogger("mlparity.serving").addHandler(self._defects)
        self.clock = TestClock()
        self.database = Database("sqlite:///:memory:")
        metadata.create_all(self.database.engine)
        self.ids = SeededIds(7)
        self.in_alarm: set[str] = set()
        self.router = FakeRouter()
        self.told: list[tuple[str, str | None]] = []
        self._boot(automatic)

    def _boot(self, automatic: bool) -> None:
        self.fleet = FakeFleet(automatic=automatic, drain=self.router.drain)
        repository = EndpointRepository(self.database, self.clock, self.ids)
        self.service = EndpointService(
            repository, self.fleet, self.router, self.clock, self._tripped, pace=Pace(threads=0)
        )
        self.service.listen(lambda now, was: self.told.append((now.phase.value, was.phase.value if was else None)))

    def _tripped(self, names: Sequence[str]) -> Sequence[str]:
        return [name for name in names if name in self.in_alarm]

    def crash(self, *, automatic: bool | None = None) -> None:
        """The process dies: no worker, no thread and no memory is left; then it starts again."""
        failing, was = self.fleet.failing, self.fleet.automatic
        self.router.tables.clear()
        self._boot(was if automatic is None else automatic)
        self.fleet.failing = failing
        self.service.recover()

    def close(self) -> None:
        """Leave nothing."""
        self.service.close()
        self.database.close()
        logging.getLogger("mlparity.serving").removeHandler(self._defects)
        assert self._defects.found == []

    def create(self, new: Revision | None = None) -> Endpoint:
        """The endpoint, in service where its workers start by themselves."""
        self.service.create(API, NAME, new or revision("one"), {})
        return self.settle()

    def update(self, new: Revision, how: RolloutPolicy) -> Endpoint:
        """Start a rollout and do what can be done now."""
        self.service.update(API, NAME, new, how, {})
        return self.settle()

    def settle(self) -> Endpoint:
        """Do what can be done now."""
        self.service.settle()
        return self.service.get(API, NAME)

    def advance(self, seconds: float) -> Endpoint:
        """Let time pass, a second at a time, with everything that comes due."""
        for _ in range(int(seconds)):
            self.clock.advance(1)
            self.tick()
        return self.service.get(API, NAME)

    def tick(self) -> None:
        """As the timer service does."""
        due = self.service.next_due()
        if due is not None and due <= self.clock.now():
            self.service.run_due()
        self.service.settle()

    def phase(self) -> EndpointPhase:
        """Of the endpoint."""
        return self.service.get(API, NAME).phase

    def shares(self) -> list[float]:
        """Of the deployments in the table, blue first."""
        return list(self.router.shares(KEY).values())

    def running(self) -> int:
        """How many workers answer."""
        return sum(len(one.sockets) for one in self.fleet.deployments.values())
