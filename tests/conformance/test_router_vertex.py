"""Vertex AI's online predictions through a real router process: answers, errors, raw bytes, streams, captured rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from mlparity.serving.endpoints.plans import CapturePlan
from mlparity.serving.routing.capture import CLOSED
from mlparity.serving.routing.table import EndpointTable, RoutedDeployment
from tests.conformance.router_fixture import Answer, LittleWorker, Routing, reply, running_router

PARENT = "projects/p/locations/us-central1/endpoints"
LABELS = {"deployedModelId": "7", "model": "projects/p/locations/us-central1/models/m", "modelVersionId": "2"}


@pytest.fixture(scope="module")
def routing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routing]:
    with running_router(tmp_path_factory.mktemp("router")) as running:
        yield running


def _publish(routing: Routing, name: str, workers: Sequence[LittleWorker], capture: CapturePlan | None = None) -> None:
    sockets = [str(one.path) for one in workers]
    routed = [RoutedDeployment("d-7", "7", 100.0, sockets, labels=LABELS)] if workers else []
    routing.process.publish(EndpointTable(f"vertex/us-central1/{name}", routed, capture))


def _post(routing: Routing, path: str, body: bytes, **headers: str) -> Answer:
    client = routing.client()
    try:
        client.request("POST", f"/v1/{PARENT}/{path}", body, {"Content-Type": "application/json", **headers})
        response = client.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        client.close()


def _count(_: LittleWorker, handler: BaseHTTPRequestHandler, body: bytes) -> None:
    document = json.loads(body)
    document["predictions"] = [len(row) for row in document.pop("instances")]
    document["other"] = document.pop("parameters", None)
    reply(handler, 200, json.dumps(document).encode(), **{"Content-Type": "application/json"})


def _error(answer: Answer) -> tuple[int, str, str]:
    document: dict[str, Any] = json.loads(answer.body)["error"]
    assert document["code"] == answer.status
    return answer.status, document["status"], document["message"]


def test_predict_tells_of_the_deployed_model(routing: Routing) -> None:
    worker = routing.worker(_count)
    _publish(routing, "plain", [worker])
    answer = _post(routing, "plain:predict?$alt=json%3Benum-encoding=int", b'{"instances": [[1, 2], [3]]}')
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert json.loads(answer.body) == {"predictions": [2, 1], **LABELS}
    assert worker.seen[-1] == b'{"instances": [[1, 2], [3]]}'
    _post(routing, "plain:predict", b'{"instances": [[1]], "parameters": null, "labels": {"a": "b"}}')
    assert json.loads(worker.seen[-1]) == {"instances": [[1]]}
    assert worker.headers[-1]["Content-Type"] == "application/json"


def test_what_is_no_prediction_request_is_refused_before_the_model(routing: Routing) -> None:
    worker = routing.worker(_count)
    _publish(routing, "strict", [worker])
    bad = {
        b"{": "Invalid JSON payload",
        b"[]": "Invalid JSON payload",
        b'{"rows": []}': 'Unknown name "rows"',
        b"{}": "Empty instances.",
        b'{"instances": {"a": 1}}': '"instances"',
        b'{"instances": ["' + b"x" * 1_600_000 + b'"]}': "exceeds the limit: 1572864 bytes",
    }
    for body, said in bad.items():
        code, status, message = _error(_post(routing, "strict:predict", body))
        assert (code, status) == (400, "INVALID_ARGUMENT")
        assert said in message
    assert worker.seen == []


def test_errors_of_the_model_and_of_the_router(routing: Routing) -> None:
    said = b'"Prediction failed: no"\n'
    statuses = iter((400, 422, 500, 503))
    worker = routing.worker(lambda _w, handler, _body: reply(handler, next(statuses), said))
    _publish(routing, "failing", [worker])
    one = b'{"instances": [1]}'
    wanted = [(400, "FAILED_PRECONDITION"), (400, "FAILED_PRECONDITION"), (500, "INTERNAL"), (503, "UNAVAILABLE")]
    answers = [_error(_post(routing, "failing:predict", one)) for _ in wanted]
    assert answers == [(*each, said.decode()) for each in wanted]
    _publish(routing, "odd", [routing.worker(lambda _w, handler, _body: reply(handler, 200, b'{"a": 1}'))])
    assert "the response field predictions is missing" in _error(_post(routing, "odd:predict", one))[2]
    _publish(routing, "empty", [])
    assert _error(_post(routing, "empty:predict", one))[:2] == (400, "FAILED_PRECONDITION")
    code, status, message = _error(_post(routing, "nobody:predict", one))
    assert (code, status) == (404, "NOT_FOUND")
    assert f"{PARENT}/nobody" in message


def test_raw_bytes_pass_both_ways(routing: Routing) -> None:
    def raw(_: LittleWorker, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        reply(handler, 418 if body == b"tea" else 200, body[::-1], **{"Content-Type": "application/x-thing"})

    worker = routing.worker(raw)
    _publish(routing, "raw", [worker])
    answer = _post(routing, "raw:rawPredict", b"\x00\x01abc", **{"Content-Type": "a/b", "Authorization": "Bearer t"})
    assert (answer.status, answer.body) == (200, b"cba\x01\x00")
    assert answer.headers["content-type"] == "application/x-thing"
    assert answer.headers["x-vertex-ai-endpoint-id"] == "raw"
    assert answer.headers["x-vertex-ai-deployed-model-id"] == "7"
    got = {name.lower(): value for name, value in worker.headers[-1].items()}
    assert got["content-type"] == "a/b"
    assert "authorization" not in got
    assert _post(routing, "raw:rawPredict", b"tea").status == 418
    streamed = _post(routing, "raw:streamRawPredict", b"stream")
    assert (streamed.body, streamed.headers["transfer-encoding"]) == (b"maerts", "chunked")


def test_captured_requests_are_rows_of_the_logging_table(routing: Routing) -> None:
    _publish(routing, "logged", [routing.worker(_count)], CapturePlan(100, "gs://logs/requests"))
    spooled: list[list[str]] = []
    routing.process.on_spooled(lambda path: spooled.append(path.read_text().splitlines()))
    assert _post(routing, "logged:predict", b'{"instances": [[1, 2], [3]]}').status == 200
    routing.process.flush_capture("vertex/us-central1/logged")
    lines = next(iter(spooled), None) or _files(routing)
    target, record = json.loads(lines[0]), json.loads(lines[1])
    assert (target["destination"], target["variant"]) == ("gs://logs/requests", "7")
    assert (record["endpoint"], record["deployed_model_id"]) == ("logged", "7")
    assert (record["request_payload"], record["response_payload"]) == (["[1,2]", "[3]"], ["2", "1"])


def _files(routing: Routing) -> list[str]:
    return next(iter(routing.config.capture_dir.glob(f"*{CLOSED}"))).read_text().splitlines()
