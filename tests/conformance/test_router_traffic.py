"""Many requests through a real router process: shares, shadows, drains, deaths, and that none is lost or doubled."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from itertools import count

import pytest
from scipy.stats import chisquare

from tests.conformance.router_fixture import (
    Answer,
    Client,
    LittleWorker,
    Routing,
    answer,
    deployment,
    reply,
    running_router,
)

_OK = 200


@pytest.fixture(scope="module")
def routing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routing]:
    with running_router(tmp_path_factory.mktemp("router")) as running:
        yield running


def hold(worker: LittleWorker, handler: BaseHTTPRequestHandler, body: bytes) -> None:
    """Answer when told to."""
    assert worker.go_on.wait(20)
    answer(worker, handler, body)


def invoke_many(routing: Routing, name: str, bodies: list[bytes], clients: int = 8, **options: object) -> list[Answer]:
    """All bodies, over ``clients`` connections that stay open."""
    todo = iter(bodies)
    lock = threading.Lock()

    def one() -> list[Answer]:
        connection = Client(routing.process.socket_path)
        found: list[Answer] = []
        try:
            while True:
                with lock:
                    body = next(todo, None)
                if body is None:
                    return found
                found.append(connection.invoke(name, body, **options))  # type: ignore[arg-type]
        finally:
            connection.close()

    with ThreadPoolExecutor(clients) as pool:
        return [item for future in [pool.submit(one) for _ in range(clients)] for item in future.result()]


def test_split_follows_the_weights(routing: Routing) -> None:
    shares = {"a": 7.0, "b": 2.0, "c": 1.0}
    rows = [deployment(f"split-{name}", [routing.worker()], variant=name, weight=w) for name, w in shares.items()]
    routing.publish("split", *rows, deployment("split-z", [routing.worker()], variant="z", weight=0))
    answers = invoke_many(routing, "split", [b"%d" % number for number in range(1500)])
    drawn = Counter(item.headers["x-amzn-invoked-production-variant"] for item in answers)
    assert all(item.status == _OK for item in answers)
    assert drawn["z"] == 0
    observed = [drawn[name] for name in shares]
    assert chisquare(observed, [1500 * weight / 10 for weight in shares.values()]).pvalue > 1e-6
    aimed = routing.invoke("split", headers={"X-Amzn-SageMaker-Target-Variant": "z"})
    assert (aimed.status, aimed.headers["x-amzn-invoked-production-variant"]) == (_OK, "z")


def test_shadow_gets_copies_and_never_answers_nor_delays(routing: Routing) -> None:
    main, shadow = routing.worker(), routing.worker(hold)
    row = deployment("shadowed-s", [shadow], variant="s", weight=1, shadow=True)
    routing.publish("shadowed", deployment("shadowed-p", [main], variant="p"), row)
    bodies = [b"%d" % number for number in range(200)]
    answers = invoke_many(routing, "shadowed", bodies)
    assert {item.headers["x-amzn-invoked-production-variant"] for item in answers} == {"p"}
    assert sorted(item.body for item in answers) == sorted(f"{main.name}:".encode() + body for body in bodies)
    shadow.wait_for(32)
    shadow.go_on.set()
    assert routing.process.drain([str(shadow.path)], 20)
    wait_until(
        lambda: sum(item.invocations + item.shadow_dropped for item in routing.metrics_of("shadowed", "s")) == 200
    )
    copied = sum(item.invocations for item in routing.metrics_of("shadowed", "s"))
    assert max(shadow.counts.values()) == 1
    assert len(shadow.seen) == copied < len(bodies)  # the queue is bounded: a shadow that hangs misses copies


def test_requests_wait_while_no_worker_answers(routing: Routing) -> None:
    routing.publish("waiting", deployment("waiting-v", []))
    with ThreadPoolExecutor(5) as pool:
        futures = [pool.submit(routing.invoke, "waiting", b"%d" % number) for number in range(5)]
        late = routing.worker()
        routing.publish("waiting", deployment("waiting-v", [late]))
        answers = [future.result() for future in futures]
    assert sorted(item.body for item in answers) == [f"{late.name}:{number}".encode() for number in range(5)]


def test_requests_that_wait_for_a_deployment_move_with_the_table(routing: Routing) -> None:
    routing.publish("moving", deployment("moving-1", []))
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(routing.invoke, "moving", b"%d" % number) for number in range(3)]
        routing.publish("moving", deployment("moving-2", [routing.worker()]))
        assert all(future.result().status == _OK for future in futures)


def test_drain_waits_for_what_is_under_way(routing: Routing) -> None:
    old, new = routing.worker(hold), routing.worker()
    routing.publish("draining", deployment("draining-1", [old]))
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(routing.invoke, "draining", b"slow")
        old.wait_for(1)
        routing.publish("draining", deployment("draining-2", [new]))
        assert routing.invoke("draining", b"quick").body == f"{new.name}:quick".encode()
        assert not routing.process.drain([str(old.path)], 0.1)
        old.go_on.set()
        assert routing.process.drain([str(old.path)], 10)
        assert future.result().body == f"{old.name}:slow".encode()


def test_time_out_is_the_vendors_model_error(routing: Routing) -> None:
    routing.publish("slow", deployment("slow-v", [routing.worker(hold)], timeout=0.3))
    found = routing.invoke("slow")
    assert (found.status, found.headers["x-amzn-errortype"]) == (424, "ModelError")
    assert b'"OriginalStatusCode":0' in found.body
    assert b"Your invocation timed out while waiting for a response from container primary" in found.body


def test_none_is_lost_or_doubled_while_tables_change_and_workers_die(routing: Routing) -> None:
    numbers = count()

    def dying(worker: LittleWorker, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        if len(worker.seen) > 40:
            worker.stop()  # with this request, and with those of others that it has
        else:
            answer(worker, handler, body)

    def publish() -> LittleWorker:
        made, number = routing.worker(dying), next(numbers)
        rows = [deployment(f"busy-{number}-a", [made, routing.worker()], variant="a"),
                deployment(f"busy-{number}-b", [routing.worker()], variant="b")]  # fmt: skip
        routing.publish("busy", *rows)
        return made

    publish()
    ended = threading.Event()
    bodies = [b"%d" % number for number in range(1500)]

    def change() -> int:
        changes = 0
        while not ended.wait(0.05):
            before = publish()
            changes += 1
            del before
        return changes

    with ThreadPoolExecutor(1) as pool:
        changes = pool.submit(change)
        answers = invoke_many(routing, "busy", bodies)
        ended.set()
        assert changes.result() > 2
    assert Counter(item.status for item in answers) == {_OK: len(bodies)}
    assert sorted(item.body.partition(b":")[2] for item in answers) == sorted(bodies)


def test_router_that_is_killed_comes_back_with_its_tables(routing: Routing) -> None:
    worker = routing.worker()
    routing.publish("again", deployment("again-v", [worker]))
    before = routing.process.pid
    import os
    import signal

    os.kill(before, signal.SIGKILL)
    assert routing.invoke("again", b"x").body == f"{worker.name}:x".encode()
    assert routing.process.pid != before


def test_metrics_count_every_request(routing: Routing) -> None:
    statuses = {b"ok": 200, b"bad": 400, b"broken": 500}
    worker = routing.worker(lambda _w, handler, body: reply(handler, statuses[body], b"12345"))
    routing.publish("counted", deployment("counted-v", [worker], variant="v"))
    for body in (b"ok", b"ok", b"bad", b"broken"):
        routing.invoke("counted", body)
    wait_until(lambda: sum(item.invocations for item in routing.metrics_of("counted", "v")) == 4)
    found = routing.metrics_of("counted", "v")
    assert (sum(i.errors_4xx for i in found), sum(i.errors_5xx for i in found)) == (1, 1)
    assert (sum(i.bytes_in for i in found), sum(i.bytes_out for i in found)) == (2 + 2 + 3 + 6, 20)
    for pairs in ("model_latency", "overhead_latency"):
        values = [pair for item in found for pair in getattr(item, pairs)]
        assert sum(number for _, number in values) == 4
        assert all(0 < micros < 10_000_000 for micros, _ in values)


def wait_until(holds: object, seconds: float = 10) -> None:
    """Poll, for what a report of each second brings."""
    limit = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < limit, "it never held"
        time.sleep(0.02)
