"""InvokeEndpointAsync on the wire: what is taken, what is refused, and where the answer is said to be."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlparity.apis.sagemaker.async_answers import Answering, ModelAnswer
from mlparity.apis.sagemaker.async_inference import AsyncEndpoint, AsyncInference
from mlparity.apis.sagemaker.async_invocations import AsyncInvocationsApp
from mlparity.apis.sagemaker.async_queue import AsyncQueue
from mlparity.apis.sagemaker.context import Caller
from mlparity.apis.sagemaker.errors import SageMakerError
from mlparity.wire.sigv4 import SignedRequest
from tests.unit.sagemaker_endpoint_bench import BUCKET, Bench, variant

OUTPUT = {"S3OutputPath": f"s3://{BUCKET}/out/", "S3FailurePath": f"s3://{BUCKET}/failed"}
INPUT = {"X-Amzn-SageMaker-InputLocation": f"s3://{BUCKET}/in/1"}


def nobody_is_asked(*_arguments: Any) -> ModelAnswer:
    raise AssertionError("the queue is not started")


def endpoint(_name: str) -> AsyncEndpoint:
    return AsyncEndpoint({"OutputConfig": OUTPUT}, takes_requests=False, instances=0)


class Wire:
    """The app over a real queue that nobody empties."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder)
        self.queue = AsyncQueue(self.bench.api.documents)
        answering = Answering(self.bench.store, nobody_is_asked, lambda _t, _m: None, self.bench.clock, "us-east-1")
        inference = AsyncInference(self.queue, answering, endpoint, self.bench.clock)
        self.app = AsyncInvocationsApp(self.bench.api, inference, self._authenticate)

    @staticmethod
    def _authenticate(request: SignedRequest, _body: bytes) -> Caller:
        if request.header("authorization") is None:
            raise SageMakerError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
        return Caller("", "")

    def post(self, name: str, headers: dict[str, str], body: bytes = b"", *, signed: bool = True) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                given = {**headers, **({"Authorization": "x"} if signed else {})}
                return await client.post(f"/endpoints/{name}/async-invocations", content=body, headers=given)

        return asyncio.run(call())


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    made = Wire(tmp_path)
    made.bench.model("one")
    made.bench.config("later", variant("A", "one"), AsyncInferenceConfig={"OutputConfig": OUTPUT})
    made.bench.call("CreateEndpoint", EndpointName="later", EndpointConfigName="later")
    made.bench.endpoint("now")
    yield made
    made.bench.close()


def test_a_request_is_queued_and_told_where_its_answer_will_be(wire: Wire) -> None:
    answer = wire.post("later", {**INPUT, "X-Amzn-SageMaker-Inference-Id": "mine", "X-Amzn-SageMaker-Accept": "a/b"})
    assert (answer.status_code, answer.json()) == (202, {"InferenceId": "mine"})
    where = answer.headers["x-amzn-sagemaker-outputlocation"]
    assert where.startswith(f"s3://{BUCKET}/out/")
    assert where.endswith(".out")
    identity = where.rpartition("/")[2].removesuffix(".out")
    assert answer.headers["x-amzn-sagemaker-failurelocation"] == f"s3://{BUCKET}/failed/{identity}-error.out"
    (queued,) = wire.queue.waiting("later", 5)
    assert (queued.inference_id, queued.body["Accept"]) == ("mine", "a/b")
    named = wire.post(
        "later",
        {"X-Amzn-SageMaker-S3OutputPathExtension": "a/b", "X-Amzn-SageMaker-Filename": "f.json"},
        b"1,2",
    )
    assert named.headers["x-amzn-sagemaker-outputlocation"] == f"s3://{BUCKET}/out/a/b/f.json"
    assert base64.b64decode(wire.queue.waiting("later", 5)[1].body["Body"]) == b"1,2"


def test_what_is_refused(wire: Wire) -> None:
    ttl = "X-Amzn-SageMaker-RequestTTLSeconds"
    cases: list[tuple[str, dict[str, str], bytes, str]] = [
        ("absent", INPUT, b"", "Endpoint absent of account 123456789012 not found."),
        ("now", INPUT, b"", "not an asynchronous inference endpoint"),
        ("later", {}, b"", "Exactly one of InputLocation and Body"),
        ("later", INPUT, b"1,2", "Exactly one of InputLocation and Body"),
        ("later", {}, b"x" * 128_001, "at most 128000 bytes"),
        ("later", {"X-Amzn-SageMaker-InputLocation": "https://elsewhere/x"}, b"", "URI of an object in S3"),
        ("later", {**INPUT, ttl: "59"}, b"", "greater than or equal to 60"),
        ("later", {**INPUT, ttl: "soon"}, b"", "requestTTLSeconds"),
        ("later", {**INPUT, "X-Amzn-SageMaker-Inference-Id": "x" * 65}, b"", "less than or equal to 64"),
        ("-", INPUT, b"", "regular expression pattern"),
    ]
    for name, headers, body, told in cases:
        answer = wire.post(name, headers, body)
        assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (400, "ValidationError"), told
        assert told in answer.json()["Message"], answer.json()
    unsigned = wire.post("later", INPUT, signed=False)
    assert (unsigned.status_code, unsigned.headers["x-amzn-errortype"]) == (403, "MissingAuthenticationTokenException")
    assert wire.queue.size("later") == 0
