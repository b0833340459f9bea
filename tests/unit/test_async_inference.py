"""Asynchronous inference: queued durably, answered at the place that was told, told of, limited, taken up again."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mlparity.apis.sagemaker.async_answers import Answering, DataPlaneAwayError, ModelAnswer
from mlparity.apis.sagemaker.async_inference import AsyncEndpoint, AsyncInference
from mlparity.apis.sagemaker.async_queue import AsyncQueue
from mlparity.errors import NotFoundError
from tests.unit.sagemaker_endpoint_bench import BUCKET, Bench

OUTPUT = {
    "S3OutputPath": f"s3://{BUCKET}/out",
    "S3FailurePath": f"s3://{BUCKET}/failed",
    "NotificationConfig": {
        "SuccessTopic": "arn:aws:sns:us-east-1:123456789012:good",
        "ErrorTopic": "arn:aws:sns:us-east-1:123456789012:bad",
        "IncludeInferenceResponseIn": ["SUCCESS_NOTIFICATION_TOPIC"],
    },
}
Model = Callable[[str, Mapping[str, str], bytes, float], ModelAnswer]


def upper(_endpoint: str, headers: Mapping[str, str], body: bytes, _seconds: float) -> ModelAnswer:
    """A model that shouts."""
    return ModelAnswer(200, headers.get("accept", "text/plain"), body.upper())


class Desk:
    """One endpoint, two requests at a time. ``ended`` is released for every request that was answered."""

    def __init__(self, bench: Bench, model: Model) -> None:
        self.bench = bench
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.ended = threading.Semaphore(0)
        self.takes_requests = True
        self.gone = False
        self.queue = AsyncQueue(bench.api.documents)
        answering = Answering(bench.store, model, self._publish, bench.clock, "us-east-1")
        self.inference = AsyncInference(self.queue, answering, self._endpoint, bench.clock)

    def _endpoint(self, name: str) -> AsyncEndpoint:
        if self.gone:
            raise NotFoundError(name)
        config = {"OutputConfig": OUTPUT, "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 2}}
        return AsyncEndpoint(config, self.takes_requests, 1)

    def _publish(self, topic: str, text: str) -> None:
        self.told.append((topic.rpartition(":")[2], json.loads(text)))
        self.ended.release()

    def ask(self, number: int, **more: Any) -> None:
        self.bench.store.put_bytes(BUCKET, f"in/{number}", f"row {number}".encode())
        body = {
            "InputLocation": f"s3://{BUCKET}/in/{number}",
            "InferenceId": f"i-{number}",
            "ContentType": "text/csv",
            "OutputLocation": f"s3://{BUCKET}/out/{number}.out",
            "FailureLocation": f"s3://{BUCKET}/failed/{number}-error.out",
            **more,
        }
        self.inference.submit("e", f"r-{number}", body)

    def wait(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.ended.acquire(timeout=20)

    def text(self, key: str) -> str:
        return self.bench.store.get_bytes(BUCKET, key).decode()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


@pytest.fixture
def desk(bench: Bench) -> Iterator[Callable[[Model], Desk]]:
    made: list[Desk] = []

    def make(model: Model) -> Desk:
        made.append(Desk(bench, model))
        return made[-1]

    yield make
    for one in made:
        one.inference.close()


def test_answers_are_where_they_were_told_to_be(desk: Callable[[Model], Desk]) -> None:
    here = desk(upper)
    here.inference.start()
    here.ask(1, Accept="text/csv", CustomAttributes="c")
    here.wait()
    assert here.text("out/1.out") == "ROW 1"
    topic, message = here.told[0]
    assert topic == "good"
    assert message["invocationStatus"] == "Completed"
    assert message["inferenceId"] == "i-1"
    assert message["requestParameters"]["inputLocation"] == f"s3://{BUCKET}/in/1"
    assert message["responseParameters"] == {"contentType": "text/csv", "outputLocation": f"s3://{BUCKET}/out/1.out"}
    assert base64.b64decode(message["responseBody"]["content"]) == b"ROW 1"


def test_failures_are_stored_and_told(desk: Callable[[Model], Desk]) -> None:
    def broken(_endpoint: str, _headers: Mapping[str, str], body: bytes, _seconds: float) -> ModelAnswer:
        if body == b"row 2":
            raise TimeoutError
        return ModelAnswer(500, "text/plain", b"no such column")

    here = desk(broken)
    here.inference.start()
    here.ask(1)
    here.ask(2, InvocationTimeoutSeconds=7)
    here.ask(3, InputLocation=f"s3://{BUCKET}/nothing")
    here.ask(4, RequestTTLSeconds=60)
    here.bench.store.put_bytes(BUCKET, "large", b"0" * (25 * 1024 * 1024 + 1))
    here.ask(5, InputLocation=f"s3://{BUCKET}/large")
    here.wait(5)
    assert "26214401 bytes" in here.text("failed/5-error.out")
    assert "Received server error (500) from model" in here.text("failed/1-error.out")
    assert "no such column" in here.text("failed/1-error.out")
    assert "within 7 seconds" in here.text("failed/2-error.out")
    assert "Could not download" in here.text("failed/3-error.out")
    assert {topic for topic, _ in here.told} == {"bad"}
    assert all(message["failureReason"] for _, message in here.told)


def test_no_more_at_a_time_than_the_instances_take_and_the_oldest_first(desk: Callable[[Model], Desk]) -> None:
    gate, entered, lock = threading.Semaphore(0), threading.Semaphore(0), threading.Lock()
    running, most, order = 0, 0, []

    def slow(_endpoint: str, _headers: Mapping[str, str], body: bytes, _seconds: float) -> ModelAnswer:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            order.append(body)
        entered.release()
        assert gate.acquire(timeout=20)
        with lock:
            running -= 1
        return ModelAnswer(200, "", body)

    here = desk(slow)
    for number in range(5):
        here.ask(number)
        here.bench.clock.advance(1)
    assert here.inference.backlog("e") == (5, 5.0)
    here.inference.start()
    assert entered.acquire(timeout=20)
    assert entered.acquire(timeout=20)
    gate.release(5)
    here.wait(5)
    assert most == 2
    assert set(order[:2]) == {b"row 0", b"row 1"}


def test_requests_wait_for_the_endpoint_and_for_the_data_plane_and_survive_a_restart(
    desk: Callable[[Model], Desk],
) -> None:
    away = threading.Event()

    def flaky(endpoint: str, headers: Mapping[str, str], body: bytes, seconds: float) -> ModelAnswer:
        if not away.is_set():
            away.set()
            raise DataPlaneAwayError("the router is away")
        return upper(endpoint, headers, body, seconds)

    first = desk(flaky)
    first.takes_requests = False
    first.inference.start()
    first.ask(1)
    first.inference.close()
    assert first.told == []
    second = desk(flaky)  # another process over the same database
    second.inference.start()
    second.wait()
    assert away.is_set()
    assert second.text("out/1.out") == "ROW 1"


def test_a_deleted_endpoint_forgets_its_requests(desk: Callable[[Model], Desk]) -> None:
    here = desk(upper)
    here.takes_requests = False
    here.ask(1)
    here.ask(2)
    here.inference.gone("e")
    assert here.queue.size("e") == 0
    assert here.queue.endpoints() == set()


def test_old_requests_expire(desk: Callable[[Model], Desk]) -> None:
    here = desk(upper)
    here.ask(1, RequestTTLSeconds=60)
    here.bench.clock.advance(61)
    here.inference.start()
    here.wait()
    assert "expired" in here.text("failed/1-error.out")
