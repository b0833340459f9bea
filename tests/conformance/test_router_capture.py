"""Captured requests and streamed answers, through a real router process."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer

from mlparity.clock import SystemClock
from mlparity.ids import SystemIds
from mlparity.serving.endpoints.plans import CapturePlan
from mlparity.serving.routing.capture_upload import CaptureUploader
from mlparity.state import Database
from mlparity.storage.filestore import FileObjectStore
from tests.conformance.router_fixture import LittleWorker, Routing, deployment, reply, running_router

PLAN = CapturePlan(100, "s3://bucket/captured", csv_types=("text/csv",))


@pytest.fixture(scope="module")
def routing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routing]:
    with running_router(tmp_path_factory.mktemp("router")) as running:
        yield running


@pytest.fixture(scope="module")
def store(routing: Routing, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileObjectStore]:
    """The bucket that the router's captures go to."""
    folder = tmp_path_factory.mktemp("store")
    database = Database.open(folder / "state.db")
    made = FileObjectStore(database, folder / "blobs", SystemClock(), SystemIds(), "us-east-1")
    made.create_bucket("bucket")
    uploader = CaptureUploader(routing.config.capture_dir, made)
    routing.process.on_spooled(uploader.notice)
    uploader.start()
    yield made
    uploader.close()
    database.close()


def records(store: FileObjectStore, prefix: str, count: int) -> list[dict[str, Any]]:
    """What is captured below ``prefix``, when it is so many."""
    limit = time.monotonic() + 10
    while True:
        lines = [
            one for item in store.iterate("bucket", prefix) for one in store.get_bytes("bucket", item.key).split(b"\n")
        ]
        found = [json.loads(one) for one in lines if one]
        if len(found) >= count:
            return found
        assert time.monotonic() < limit, found
        time.sleep(0.02)


def test_requests_and_answers_are_captured(routing: Routing, store: FileObjectStore) -> None:
    statuses = {b"bad": 400}
    main = routing.worker(lambda _w, handler, body: reply(handler, statuses.get(body, 200), body.upper()))
    shadow = routing.worker(lambda _w, handler, body: reply(handler, 200, body * 2))
    rows = [deployment("captured-p", [main], variant="p"), deployment("captured-s", [shadow], variant="s", shadow=True)]
    routing.publish("captured", *rows, capture=PLAN)
    given = {"X-Amzn-SageMaker-Inference-Id": "id-1", "X-Amzn-SageMaker-Custom-Attributes": "c=1"}
    assert routing.invoke("captured", b"abc", headers=given).body == b"ABC"
    assert routing.invoke("captured", b"bad").status == 424
    (found,) = records(store, "captured/captured/p/", 1)
    assert found["captureData"]["endpointInput"] == {
        "observedContentType": "text/csv", "mode": "INPUT", "data": "abc", "encoding": "CSV",
    }  # fmt: skip
    assert found["captureData"]["endpointOutput"]["data"] == "ABC"
    assert (found["eventMetadata"]["inferenceId"], found["eventMetadata"]["customAttributes"]) == ("id-1", ["c=1"])
    copies = records(store, "captured/captured/s/", 2)
    assert {one["captureData"]["endpointOutput"]["data"] for one in copies} == {"abcabc", "badbad"}


def test_a_share_is_captured_and_removal_closes_the_files(routing: Routing, store: FileObjectStore) -> None:
    routing.publish("sampled", deployment("sampled-v", [routing.worker()]), capture=CapturePlan(30, "s3://bucket/s"))
    for number in range(200):
        routing.invoke("sampled", b"%d" % number)
    routing.process.remove("sagemaker/sampled")
    assert not list(routing.config.capture_dir.glob("*.open"))
    found = records(store, "s/sampled/", 20)
    assert 20 < len(found) < 110  # 30 % of 200, give or take seven standard deviations
    assert len({one["eventMetadata"]["eventId"] for one in found}) == len(found)


def streaming(worker: LittleWorker, handler: BaseHTTPRequestHandler, body: bytes) -> None:
    """Three pieces; the second when the test says so."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
    for number in range(3):
        handler.wfile.write(b"%x\r\n%b%d\r\n" % (len(body) + 1, body, number))
        if not number:
            assert worker.go_on.wait(10)
            if body == b"die":
                worker.stop()
                return
    handler.wfile.write(b"0\r\n\r\n")


def test_streamed_answers_come_piece_by_piece(routing: Routing, store: FileObjectStore) -> None:
    worker = routing.worker(streaming)
    routing.publish("streamed", deployment("streamed-v", [worker]), capture=PLAN)
    buffer: EventStreamBuffer = EventStreamBuffer()
    with stream(routing, "streamed", b"abc") as response:
        assert response.headers["Content-Type"] == "application/vnd.amazon.eventstream"
        assert response.headers["X-Amzn-SageMaker-Content-Type"] == "text/plain"
        assert response.headers["x-Amzn-Invoked-Production-Variant"] == "streamed-v"
        buffer.add_data(response.read1(1000))
        assert [part.payload for part in buffer] == [b"abc0"]  # the rest is not there yet
        worker.go_on.set()
        buffer.add_data(response.read())
    assert b"".join(part.payload for part in buffer) == b"abc1abc2"
    (found,) = records(store, "captured/streamed/", 1)
    assert found["captureData"]["endpointOutput"]["encoding"] == "BASE64"


def test_a_stream_that_breaks_ends_with_the_vendors_event(routing: Routing) -> None:
    worker = routing.worker(streaming)
    worker.go_on.set()
    routing.publish("broken", deployment("broken-v", [worker]))
    buffer: EventStreamBuffer = EventStreamBuffer()
    with stream(routing, "broken", b"die") as response:
        buffer.add_data(response.read())
    messages: list[Any] = list(buffer)
    part, last = messages
    assert part.payload == b"die0"
    assert last.headers[":exception-type"] == "ModelStreamError"
    assert json.loads(last.payload)["ErrorCode"] == "StreamBroken"


def test_a_stream_that_the_model_refuses_is_a_model_error(routing: Routing) -> None:
    worker = routing.worker(lambda _w, handler, _body: reply(handler, 400, b"no"))
    routing.publish("refused", deployment("refused-v", [worker]))
    found = routing.invoke("refused", operation="invocations-response-stream")
    assert (found.status, found.headers["x-amzn-errortype"]) == (424, "ModelError")


@contextmanager
def stream(routing: Routing, name: str, body: bytes) -> Iterator[http.client.HTTPResponse]:
    """The answer of InvokeEndpointWithResponseStream, not yet read."""
    client = routing.client()
    try:
        yield client.begin(name, body, operation="invocations-response-stream")
    finally:
        client.close()
