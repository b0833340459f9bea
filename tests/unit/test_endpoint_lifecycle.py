"""Endpoints: create, change weights and counts, delete, refuse, recover."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from endpoint_bench import API, KEY, NAME, Bench, policy, revision

from mlparity.errors import InvalidRequestError, NotFoundError
from mlparity.serving.endpoints.endpoints import EndpointFilter, EndpointPhase, VariantStage
from mlparity.serving.endpoints.errors import (
    EndpointBusyError,
    EndpointExistsError,
    EndpointFailedError,
    UnknownVariantError,
)
from mlparity.serving.endpoints.plans import Strategy
from mlparity.state.paging import PageRequest


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def test_create_serves_when_every_variant_answers_and_not_before(bench: Bench) -> None:
    bench.fleet.automatic = False
    made = bench.create(revision("one", a=(3, 2), b=(1, 1)))
    assert made.phase is EndpointPhase.CREATING
    assert not bench.router.tables[KEY].in_service
    assert [one.stage for one in made.variants] == [VariantStage.CREATING, VariantStage.CREATING]
    bench.fleet.ready(made.variants[0].deployment)
    assert bench.settle().phase is EndpointPhase.CREATING
    bench.fleet.ready_all()
    ready = bench.settle()
    assert ready.phase is EndpointPhase.IN_SERVICE
    assert bench.shares() == [0.75, 0.25]
    assert [one.current_instances for one in ready.variants] == [2, 1]
    assert bench.told == [("creating", None), ("in_service", "creating")]
    with pytest.raises(EndpointExistsError):
        bench.service.create(API, NAME, revision("two"), {})


def test_create_fails_with_the_reason_and_only_delete_is_left(bench: Bench) -> None:
    bench.fleet.failing["s3://models/one"] = "no model.joblib in the archive"
    made = bench.create(revision("one", a=(1, 1), b=(1, 1)))
    assert made.phase is EndpointPhase.FAILED
    assert "no model.joblib" in made.failure_reason
    assert bench.running() == 0
    assert not bench.router.tables[KEY].in_service
    with pytest.raises(EndpointFailedError):
        bench.service.update(API, NAME, revision("two"), policy(Strategy.ALL_AT_ONCE), {})
    bench.service.delete(API, NAME)
    bench.service.settle()
    with pytest.raises(NotFoundError):
        bench.service.get(API, NAME)
    assert bench.router.tables == {}


def test_delete_refuses_requests_first_and_leaves_nothing(bench: Bench) -> None:
    bench.create()
    bench.update(revision("two"), policy(Strategy.ALL_AT_ONCE))
    published = len(bench.router.log)
    assert bench.service.delete(API, NAME).phase is EndpointPhase.DELETING
    bench.service.settle()
    assert [table.in_service for table in bench.router.log[published:]] == [False]
    assert bench.running() == 0
    assert bench.router.tables == {}
    assert bench.told[-1] == ("deleted", "deleting")
    assert bench.service.repository.all() == []
    bench.create(revision("again"))
    assert bench.service.rollouts(API, NAME) == []


def test_weights_go_at_once_and_counts_when_the_workers_answer(bench: Bench) -> None:
    bench.create(revision("one", a=(1, 1), b=(1, 1)))
    bench.fleet.automatic = False
    bench.service.set_weights_and_capacities(API, NAME, {"a": (3.0, 2), "b": (None, None)})
    busy = bench.settle()
    assert (busy.phase, bench.shares()) == (EndpointPhase.UPDATING, [0.75, 0.25])
    assert (busy.variants[0].current_instances, busy.variants[0].desired_instances) == (1, 2)
    for refused in (
        lambda: bench.service.delete(API, NAME),
        lambda: bench.service.update(API, NAME, revision("two"), policy(Strategy.ALL_AT_ONCE), {}),
        lambda: bench.service.set_weights_and_capacities(API, NAME, {"a": (1.0, None)}),
    ):
        with pytest.raises(EndpointBusyError):
            refused()
    bench.fleet.ready_all()
    assert bench.settle().phase is EndpointPhase.IN_SERVICE
    with pytest.raises(UnknownVariantError):
        bench.service.set_weights_and_capacities(API, NAME, {"c": (1.0, None)})
    with pytest.raises(InvalidRequestError):
        bench.service.set_weights_and_capacities(API, NAME, {"a": (None, 0)})


def test_a_count_that_cannot_be_reached_goes_back(bench: Bench) -> None:
    bench.create()
    bench.fleet.automatic = False
    bench.service.set_weights_and_capacities(API, NAME, {"main": (None, 5)})
    assert bench.settle().phase is EndpointPhase.UPDATING
    after = bench.advance(601)
    assert (after.phase, after.variants[0].desired_instances) == (EndpointPhase.IN_SERVICE, 1)
    assert "main" in after.failure_reason
    assert ("rolling_back", "updating") in bench.told


def test_a_worker_that_dies_leaves_the_table_until_it_is_back(bench: Bench) -> None:
    made = bench.create(revision("one", main=(1, 2)))
    deployment = made.variants[0].deployment
    bench.fleet.lose(deployment)
    bench.service.settle()
    assert len(bench.router.tables[KEY].deployments[0].sockets) == 1
    bench.fleet.ready(deployment)
    bench.service.settle()
    assert len(bench.router.tables[KEY].deployments[0].sockets) == 2


def test_after_a_crash_requests_wait_for_the_workers_and_the_split_is_the_same(bench: Bench) -> None:
    made = bench.create(revision("one", a=(1, 1), b=(3, 1)))
    bench.crash(automatic=False)
    bench.service.settle()
    table = bench.router.tables[KEY]
    assert table.in_service
    assert [(one.weight, tuple(one.sockets)) for one in table.deployments] == [(0.25, ()), (0.75, ())]
    assert [one.deployment for one in table.deployments] == [one.deployment for one in made.variants]
    bench.fleet.ready_all()  # the fleet's own threads tell the router: nobody settles
    assert all(one.sockets for one in bench.router.tables[KEY].deployments)


def test_what_cannot_be_started_again_is_tried_again_while_the_rest_serves(bench: Bench) -> None:
    bench.create(revision("one", a=(1, 1)))
    bench.fleet.failing["s3://models/one"] = "the bucket is away"
    bench.crash()
    bench.service.settle()
    assert bench.phase() is EndpointPhase.IN_SERVICE
    assert bench.running() == 0
    bench.fleet.failing.clear()
    bench.advance(31)
    assert bench.running() == 1
    assert bench.router.tables[KEY].deployments[0].sockets
    bench.crash()
    bench.service.settle()
    assert bench.running() == 1


def test_a_router_that_is_away_is_told_later(bench: Bench) -> None:
    bench.router.away = True
    assert bench.create().phase is EndpointPhase.CREATING
    bench.router.away = False
    assert bench.advance(3).phase is EndpointPhase.IN_SERVICE
    assert bench.router.tables[KEY].in_service


def test_listing_and_what_is_written_with_a_change(bench: Bench) -> None:
    seen: list[str] = []

    def witness(endpoint: object, _before: object) -> None:
        bench.service.repository.after_commit(lambda: seen.append(str(endpoint)))

    bench.service.listen(witness, within=True)
    for name in ("x1", "x2", "y1"):
        bench.service.create(API, name, revision("one"), {"EndpointName": name})
        bench.clock.advance(1)
    assert len(seen) == 3
    page = PageRequest("created_at", descending=True, limit=1)
    wanted = EndpointFilter(API, name_contains="x")
    first = bench.service.list(wanted, page)
    assert [one.name for one in first.items] == ["x2"]
    second = bench.service.list(wanted, PageRequest("created_at", descending=True, limit=1, token=first.next_token))
    assert [one.name for one in second.items] == ["x1"]
    assert second.next_token is None
    bench.service.settle()
    ready = EndpointFilter(API, phases=(EndpointPhase.IN_SERVICE,))
    assert len(bench.service.list(ready, PageRequest("name", descending=False, limit=9)).items) == 3
