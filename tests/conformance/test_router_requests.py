"""One request at a time through a real router process: the answers, the errors and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from mlparity.serving.routing.table import EndpointTable
from tests.conformance.router_fixture import (
    LittleWorker,
    Routing,
    deployment,
    die,
    die_halfway,
    reply,
    running_router,
)


@pytest.fixture(scope="module")
def routing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routing]:
    with running_router(tmp_path_factory.mktemp("router")) as running:
        yield running


def test_answer_goes_through(routing: Routing) -> None:
    def custom(_: LittleWorker, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        reply(handler, 200, body.upper(), **{"X_Amzn_SageMaker_Custom_Attributes": "trace=2", "Content-Type": "a/b"})

    worker = routing.worker(custom)
    routing.publish("plain", deployment("AllTraffic", [worker]))
    sent = {"X-Amzn-SageMaker-Custom-Attributes": "trace=1", "Accept": "a/b", "X-Other": "kept out"}
    answer = routing.invoke("plain", b"abc", headers=sent)
    assert (answer.status, answer.body) == (200, b"ABC")
    assert answer.headers["content-type"] == "a/b"
    assert answer.headers["x-amzn-invoked-production-variant"] == "AllTraffic"
    assert answer.headers["x-amzn-sagemaker-custom-attributes"] == "trace=2"
    got = worker.headers[-1]
    assert got["X-Amzn-SageMaker-Custom-Attributes"] == "trace=1"
    assert (got["Content-Type"], got["Accept"]) == ("text/csv", "a/b")
    assert "X-Other" not in got
    assert "Authorization" not in got


def test_errors_of_the_model_are_the_vendors(routing: Routing) -> None:
    statuses = {b"bad": 400, b"broken": 500}
    worker = routing.worker(lambda _w, handler, body: reply(handler, statuses[body], b'{"why": "no"}'))
    routing.publish("failing", deployment("v", [worker]))
    for body, kind in ((b"bad", "client"), (b"broken", "server")):
        answer = routing.invoke("failing", body)
        document = json.loads(answer.body)
        assert (answer.status, answer.headers["x-amzn-errortype"]) == (424, "ModelError")
        assert document["OriginalStatusCode"] == statuses[body]
        assert document["OriginalMessage"] == '{"why": "no"}'
        assert document["LogStreamArn"].endswith(":log-group:/aws/sagemaker/Endpoints/failing")
        expected = f'Received {kind} error ({statuses[body]}) from primary with message "{{"why": "no"}}". See https://'
        assert document["Message"].startswith(expected)
        assert document["Message"].endswith(" in account 123456789012 for more information.")


@pytest.mark.parametrize(
    ("name", "headers", "credentials", "status", "code", "message"),
    [
        ("nowhere", {}, None, 400, "ValidationError", "Endpoint nowhere of account 123456789012 not found."),
        ("no_name", {}, None, 400, "ValidationError", "'endpointName' failed to satisfy constraint"),
        ("there", {"X-Amzn-SageMaker-Target-Variant": "other"}, None, 400, "ValidationError", "Variant other"),
        ("there", {"X-Amzn-SageMaker-Target-Variant": "a_b"}, None, 400, "ValidationError", "'targetVariant'"),
        ("there", {"X-Amzn-SageMaker-Custom-Attributes": "x" * 1025}, None, 400, "ValidationError", "'customAttr"),
        ("there", {"X-Amzn-SageMaker-Target-Model": "m.tar.gz"}, None, 400, "ValidationError", "TargetModel"),
        ("there", {"X-Amzn-SageMaker-Session-Id": "NEW_SESSION"}, None, 400, "ValidationError", "SessionId"),
        ("there", {}, ("nobody", "a-secret"), 403, "UnrecognizedClientException", "security token"),
        ("there", {}, ("tester", "wrong"), 403, "InvalidSignatureException", "does not match"),
        ("closed", {}, None, 400, "ValidationError", "Endpoint closed of account 123456789012 not found."),
    ],
)
def test_refusals(
    routing: Routing, name: str, headers: dict[str, str], credentials: tuple[str, str] | None, status: int, code: str,
    message: str,
) -> None:  # fmt: skip
    worker = routing.worker()
    routing.publish("there", deployment("v", [worker]))
    routing.process.publish(EndpointTable("sagemaker/closed", [deployment("c", [worker])], in_service=False))
    answer = routing.invoke(name, headers=headers, credentials=credentials or ("tester", "a-secret"))
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (status, code)
    assert message in json.loads(answer.body)["Message"]
    assert not worker.seen


def test_answer_without_a_length_ends_with_its_connection(routing: Routing) -> None:
    def old(_: LittleWorker, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        handler.close_connection = True
        handler.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/csv\r\n\r\n" + body)

    routing.publish("old", deployment("v", [routing.worker(old)]))
    assert [routing.invoke("old", body).body for body in (b"first", b"second")] == [b"first", b"second"]


def test_worker_that_dies_before_its_answer_is_replaced(routing: Routing) -> None:
    dying, other = routing.worker(die), routing.worker()
    routing.publish("dying", deployment("v", [dying]))
    routing.invoke("nowhere")
    routing.publish("dying", deployment("v", [dying, other]))
    answers = [routing.invoke("dying", b"%d" % number) for number in range(10)]
    assert [answer.body for answer in answers] == [b"%s:%d" % (other.name.encode(), n) for n in range(10)]
    assert len(dying.seen) == 1


def test_worker_that_dies_halfway_is_an_internal_failure(routing: Routing) -> None:
    routing.publish("halfway", deployment("v", [routing.worker(die_halfway), routing.worker(die_halfway)]))
    answer = routing.invoke("halfway")
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (500, "InternalFailure")
