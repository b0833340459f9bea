"""The router's parts without a process: the draw, captured records, event streams, spool files."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from botocore.eventstream import EventStreamBuffer
from scipy.stats import chisquare

from mlparity.apis.sagemaker.runtime import event_stream
from mlparity.apis.sagemaker.runtime.capture_record import line
from mlparity.apis.sagemaker.runtime.headers import RefusedError, read
from mlparity.apis.sagemaker.runtime.operations import OPERATIONS
from mlparity.clock import SystemClock
from mlparity.ids import SeededIds
from mlparity.serving.endpoints.plans import CapturePlan
from mlparity.serving.routing.capture import Captured, SpoolTarget
from mlparity.serving.routing.capture_upload import CaptureUploader
from mlparity.serving.routing.choosing import Chooser
from mlparity.serving.routing.measuring import Measurements, VariantMetrics
from mlparity.serving.routing.table import RoutedDeployment
from mlparity.state import Database
from mlparity.storage.filestore import FileObjectStore
from mlparity.wire.aws_model import AwsModel

DRAWS = 20_000
PLAN = CapturePlan(100, "s3://bucket/captured", csv_types=("text/csv",), json_types=("application/json",))


def row(name: str, weight: float, variant: str = "", *, shadow: bool = False) -> RoutedDeployment:
    return RoutedDeployment(name, variant or name, weight, (), shadow)


def test_draws_follow_the_weights() -> None:
    weights = {"a": 0.9, "b": 0.07, "c": 0.03}
    chooser, random = Chooser([row(name, weight) for name, weight in weights.items()] + [row("z", 0)]), Random(7)
    drawn = Counter(chooser.draw(random) for _ in range(DRAWS))
    expected = [DRAWS * weight for weight in weights.values()]
    assert chisquare([drawn[name] for name in weights], expected).pvalue > 0.001
    assert sum(drawn.values()) == sum(drawn[name] for name in weights)


def test_a_named_variant_is_drawn_among_its_own_deployments() -> None:
    chooser = Chooser([row("a-1", 3, "a"), row("a-2", 1, "a"), row("b-1", 96, "b"), row("c-1", 0, "c")])
    random = Random(7)
    drawn = Counter(chooser.draw(random, "a") for _ in range(DRAWS))
    assert chisquare([drawn["a-1"], drawn["a-2"]], [DRAWS * 0.75, DRAWS * 0.25]).pvalue > 0.001
    assert chooser.draw(random, "c") == "c-1"  # no share of the traffic, and asked for by name
    assert chooser.draw(random, "d") is None
    assert not chooser.knows("d")
    assert Chooser([row("a", 0), row("b", 0)]).draw(random) is None


def test_shadows_get_their_share_of_copies() -> None:
    rows = [row("p", 4), row("half", 2, shadow=True), row("all", 8, shadow=True), row("none", 0, shadow=True)]
    chooser, random = Chooser(rows), Random(7)
    copies = Counter(name for _ in range(DRAWS) for name in chooser.shadows(random))
    assert (copies["all"], copies["none"]) == (DRAWS, 0)
    assert chisquare([copies["half"], DRAWS - copies["half"]]).pvalue > 0.001
    assert not chooser.knows("all")
    assert {chooser.draw(random) for _ in range(100)} == {"p"}


def captured(input_type: str, data: bytes, output_type: str = "text/csv; charset=utf-8") -> Captured:
    at = datetime(2026, 2, 3, 4, 5, 6, 789000, UTC)
    return Captured("sagemaker/e", "v", PLAN, at, "event-1", input_type, data, output_type, b"0.5\n", "", "")


@pytest.mark.parametrize(
    ("content_type", "data", "encoding", "shown"),
    [
        ("text/csv", b"1,2\n", "CSV", "1,2\n"),
        ("application/json; charset=utf-8", b'{"a": 1}', "JSON", '{"a": 1}'),
        ("application/x-npy", b"\x93NUMPY", "BASE64", "k05VTVBZ"),
        ("text/csv", b"\xff", "BASE64", "/w=="),
        ("", b"x", "BASE64", "eA=="),
    ],
)
def test_captured_record_has_the_vendors_layout(content_type: str, data: bytes, encoding: str, shown: str) -> None:
    assert json.loads(line(captured(content_type, data))) == {
        "captureData": {
            "endpointInput": {
                "observedContentType": content_type, "mode": "INPUT", "data": shown, "encoding": encoding,
            },
            "endpointOutput": {
                "observedContentType": "text/csv; charset=utf-8", "mode": "OUTPUT", "data": "0.5\n", "encoding": "CSV",
            },
        },
        "eventMetadata": {"eventId": "event-1", "inferenceTime": "2026-02-03T04:05:06Z"},
        "eventVersion": "0",
    }  # fmt: skip


def test_event_stream_is_read_by_botocore() -> None:
    data = bytes(range(256)) * 9000  # more than one part holds
    buffer = EventStreamBuffer()
    buffer.add_data(event_stream.payload_parts(data) + event_stream.exception("ModelStreamError", b'{"Message":"m"}'))
    messages: list[Any] = list(buffer)
    *parts, last = messages
    assert b"".join(part.payload for part in parts) == data
    assert len(parts) > 1
    assert {part.headers[":event-type"] for part in parts} == {"PayloadPart"}
    assert (last.headers[":message-type"], last.headers[":exception-type"]) == ("exception", "ModelStreamError")
    assert last.payload == b'{"Message":"m"}'


def test_header_checks_agree_with_the_model() -> None:
    model = AwsModel.load("sagemaker-runtime")
    assert {operation.name for operation in OPERATIONS} == set(model.operations)
    names = {b"x-amzn-sagemaker-inference-id": "InferenceId", b"x-amzn-sagemaker-target-variant": "TargetVariant",
             b"x-amzn-sagemaker-custom-attributes": "CustomAttributes", b"accept": "Accept"}  # fmt: skip
    values = ["a", "a-b", "-a", "a b", "a_b", "x" * 63, "x" * 64, "x" * 65, "x" * 1024, "x" * 1025, "\xe9", "a-"]
    for name, member in names.items():
        for value in values:
            wrong = model.read_request("InvokeEndpoint", {"EndpointName": "e", "Body": "", member: value})[1]
            try:
                read([(name, value.encode("latin-1"))], "InvokeEndpoint", lambda: model)
                refused = False
            except RefusedError:
                refused = True
            assert refused == bool(wrong), (member, value, wrong)


def test_metrics_are_histograms_that_add_up() -> None:
    measurements = Measurements()
    for model in (0.0012345, 0.0012349, 0.5, 0.000001):
        measurements.note("sagemaker/e", "v", 200, model, 0.0001, 10, 5)
    measurements.note("sagemaker/e", "v", 503, 0.0, 0.0, 10, 0)
    (found,) = measurements.take()
    assert (found.invocations, found.errors_4xx, found.errors_5xx, found.bytes_in, found.bytes_out) == (5, 0, 1, 50, 20)
    assert found.model_latency == ((0, 1), (1, 1), (1235, 2), (500500, 1))
    assert VariantMetrics.from_json(orjson.loads(orjson.dumps(found.to_json()))) == found
    assert not list(measurements.take())


def test_spool_of_a_router_that_was_killed_is_uploaded(tmp_path: Path) -> None:
    clock = SystemClock()
    database = Database.open(tmp_path / "state.db")
    try:
        store = FileObjectStore(database, tmp_path / "blobs", clock, SeededIds(), "us-east-1")
        spool = tmp_path / "spool"
        spool.mkdir()
        target = SpoolTarget("sagemaker/e", "v", "s3://bucket/a/b/", "2026-02-03T04:05:06.789000+00:00", "some-id")
        whole = [line(captured("text/csv", b"%d" % number)) for number in range(3)]
        head = orjson.dumps(target.__dict__) + b"\n"
        (spool / "1.open").write_bytes(head + b"".join(whole) + whole[0][:40])  # killed within a line
        uploader = CaptureUploader(spool, store)
        uploader.start()
        uploader.close()
        assert [path.name for path in spool.iterdir()] == ["1.jsonl"]  # there is no such bucket yet
        store.create_bucket("bucket")
        again = CaptureUploader(spool, store)
        again.start()
        again.close()
        assert not list(spool.iterdir())
        key = "a/b/e/v/2026/02/03/04/05-06-789-some-id.jsonl"
        assert [item.key for item in store.iterate("bucket")] == [key]
        assert store.get_bytes("bucket", key) == b"".join(whole)
    finally:
        database.close()
