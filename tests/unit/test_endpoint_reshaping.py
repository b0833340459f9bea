"""Endpoints whose variants come and go one by one while the others serve on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from endpoint_bench import API, KEY, NAME, Bench, revision

from mlparity.serving.endpoints.endpoints import Endpoint, EndpointPhase
from mlparity.serving.endpoints.errors import EndpointBusyError
from mlparity.serving.endpoints.plans import CapturePlan, Revision


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def _reshape(bench: Bench, new: Revision) -> Endpoint:
    bench.service.reshape(API, NAME, new, {"why": new.name})
    return bench.settle()


def test_an_endpoint_begins_empty_and_its_variants_come_and_go(bench: Bench) -> None:
    assert bench.create(Revision("empty", ())).phase is EndpointPhase.IN_SERVICE
    assert bench.router.tables[KEY].deployments == ()
    first = _reshape(bench, revision("one", a=(100, 2)))
    assert (first.phase, bench.shares()) == (EndpointPhase.IN_SERVICE, [1.0])
    bench.fleet.automatic = False
    busy = _reshape(bench, revision("two", a=(25, 2), b=(75, 1)))
    assert (busy.phase, bench.shares()) == (EndpointPhase.UPDATING, [1.0])
    with pytest.raises(EndpointBusyError):
        bench.service.reshape(API, NAME, Revision("empty", ()), {})
    bench.fleet.ready_all()
    second = bench.settle()
    assert (second.phase, bench.shares()) == (EndpointPhase.IN_SERVICE, [0.25, 0.75])
    assert second.variants[0].deployment == first.variants[0].deployment
    assert (second.revision.name, second.update_request) == ("two", {"why": "two"})
    third = _reshape(bench, revision("three", b=(100, 1)))
    assert (third.phase, bench.shares(), bench.running()) == (EndpointPhase.IN_SERVICE, [1.0], 1)
    assert third.variants[0].deployment == second.variants[1].deployment
    assert (_reshape(bench, Revision("none", ())).phase, bench.running()) == (EndpointPhase.IN_SERVICE, 0)
    bench.service.delete(API, NAME)
    bench.service.settle()
    assert bench.router.tables == {}


def test_what_does_not_get_ready_leaves_everything_as_it_was(bench: Bench) -> None:
    before = bench.create(revision("one", a=(1, 1)))
    bench.fleet.failing["s3://models/two"] = "no model.joblib"
    after = _reshape(bench, revision("two", a=(0, 1), b=(100, 1)))
    assert after.phase is EndpointPhase.IN_SERVICE
    assert "no model.joblib" in after.failure_reason
    assert (after.revision, after.variants) == (before.revision, before.variants)
    assert (bench.shares(), bench.running()) == ([1.0], 1)
    assert _reshape(bench, revision("three", a=(1, 1), c=(1, 1))).failure_reason == ""


@pytest.mark.parametrize("started", [False, True])
def test_a_crash_in_the_middle_loses_neither_the_old_nor_the_new(bench: Bench, started: bool) -> None:
    bench.create(revision("one", a=(1, 1)))
    bench.fleet.automatic = False
    bench.service.reshape(API, NAME, revision("two", a=(1, 1), b=(3, 1)), {})
    if started:
        bench.settle()
    bench.crash(automatic=True)
    after = bench.settle()
    assert (after.phase, bench.shares(), bench.running()) == (EndpointPhase.IN_SERVICE, [0.25, 0.75], 2)


def test_capture_and_weights_change_without_a_new_worker(bench: Bench) -> None:
    before = bench.create(revision("one", a=(1, 1), b=(1, 1)))
    capture = CapturePlan(50, "gs://logs/requests")
    after = _reshape(bench, replace(revision("two", a=(9, 1), b=(1, 1)), capture=capture))
    assert [one.deployment for one in after.variants] == [one.deployment for one in before.variants]
    # The revision says another model of them: a deployment never changes its model.
    assert {one.plan.containers[0].model_uri for one in after.variants} == {"s3://models/one"}
    published = bench.router.tables[KEY].capture
    assert published is not None
    assert (bench.shares(), published.destination) == ([0.9, 0.1], capture.destination)
