"""What the wires make of handlers: streams, raw bodies, enumerations, defects, projects by number, types not ready."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlparity.apis.vertex import rest
from mlparity.apis.vertex.context import Project, Vertex
from mlparity.apis.vertex.errors import failed_precondition
from mlparity.apis.vertex.operation import Operation
from mlparity.apis.vertex.operations_table import BY_NAME
from mlparity.apis.vertex.resources import ResourceKind
from mlparity.errors import ConflictError, StackError
from mlparity.wire.google.cache import GoogleApis
from tests.vertex_bench import PARENT, PROJECT, Twins, VertexBench

ENDPOINT = f"{PARENT}/endpoints/1"


def stream(_vertex: Any, request: Any, call: Any) -> Iterator[Any]:
    """As many answers as the endpoint's number, then an error for 2."""
    count = int(request.endpoint.rpartition("/")[2])
    if count == 0:
        raise failed_precondition("nothing is deployed")
    for number in range(count):
        yield call.response(outputs=[call.new("Tensor", int_val=[number], dtype="INT32")])
    if count == 2:
        raise failed_precondition("it broke")


def echo(_vertex: Any, request: Any, call: Any) -> Any:
    body = request.http_body
    return call.new("google.api.HttpBody", data=body.data[::-1], content_type=body.content_type)


def defect(_vertex: Any, request: Any, _call: Any) -> Any:
    raise {"1": ZeroDivisionError("oops"), "2": ConflictError("no", "its state")}[request.name.rpartition("/")[2]]


EXTRA = {
    name: Operation(name, handler)
    for name, handler in {
        "PredictionService.ServerStreamingPredict": stream,
        "PredictionService.RawPredict": echo,
        "ModelService.GetModel": defect,
    }.items()
}


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[Twins]:
    with Twins(tmp_path, {**BY_NAME, **EXTRA}) as found:
        yield found


def test_streams_of_responses(twins: Twins) -> None:
    name = "PredictionService.ServerStreamingPredict"
    answer = twins.both(name, {"endpoint": f"{PARENT}/endpoints/3"})
    assert [item["outputs"][0]["intVal"] for item in (answer.response or {})["stream"]] == [[0], [1], [2]]
    assert twins.refused(name, endpoint=f"{PARENT}/endpoints/0").message == "nothing is deployed"
    assert twins.by_grpc.grpc(name, {"endpoint": f"{PARENT}/endpoints/2"}).code == "FAILED_PRECONDITION"
    url = f"/v1/{PARENT}/endpoints/2:serverStreamingPredict"
    broken = twins.by_rest.http("POST", url, body=b"{}").response or {}
    assert broken["stream"][-1]["error"]["status"] == "FAILED_PRECONDITION"
    events = twins.by_rest.raw_http("POST", f"/v1/{PARENT}/endpoints/1:serverStreamingPredict", {"alt": "sse"}, b"{}")
    assert events.headers["content-type"].startswith("text/event-stream")
    assert events.text.startswith("data: {")


def test_raw_bodies_pass_as_they_are(twins: Twins) -> None:
    bench = twins.by_rest
    found = bench.raw_http("POST", f"/v1/{ENDPOINT}:rawPredict", body=b"\x00not json\xff")
    assert (found.status_code, found.content) == (200, b"\xffnosj ton\x00")
    same = bench.call(
        "PredictionService.RawPredict", endpoint=ENDPOINT, httpBody={"data": "AGE=", "contentType": "x/y"}
    )
    assert same == {"data": "YQA=", "contentType": "x/y"}


def test_enumerations_by_number_where_the_client_asks_for_it(twins: Twins) -> None:
    name = f"/v1/{PARENT}/endpoints/1:serverStreamingPredict"
    by_name = twins.by_rest.raw_http("POST", name, body=b"{}").json()
    by_number = twins.by_rest.raw_http("POST", name, {"$alt": "json;enum-encoding=int"}, b"{}").json()
    assert (by_name[0]["outputs"][0]["dtype"], by_number[0]["outputs"][0]["dtype"]) == ("INT32", 7)


def test_defects_are_internal_errors_and_the_substrate_is_translated(twins: Twins) -> None:
    found = twins.refused("ModelService.GetModel", name=f"{PARENT}/models/1")
    assert (found.code, "ZeroDivisionError" in found.message) == ("INTERNAL", True)
    assert twins.refused("ModelService.GetModel", name=f"{PARENT}/models/2").code == "FAILED_PRECONDITION"


def test_a_project_may_be_given_by_number(twins: Twins) -> None:
    endpoint = {"displayName": "a"}
    number = twins.by_rest.vertex.project.number
    by_number = PARENT.replace(PROJECT, number)
    made = twins.call("EndpointService.CreateEndpoint", parent=by_number, endpoint=endpoint, endpointId="one")
    assert made["response"]["name"] == f"{PARENT}/endpoints/one"
    assert twins.call("EndpointService.GetEndpoint", name=f"{by_number}/endpoints/one")["displayName"] == "a"


def test_lists_are_filtered_sorted_and_paged(twins: Twins) -> None:
    for number in range(5):
        labels = {"odd": "yes"} if number % 2 else {}
        twins.call(
            "EndpointService.CreateEndpoint", parent=PARENT, endpoint={"displayName": f"e{number}", "labels": labels}
        )
        twins.advance(1)
    name = "EndpointService.ListEndpoints"

    def names(**request: Any) -> list[str]:
        found, token = [], ""
        while True:
            page = twins.call(name, parent=PARENT, pageSize=2, pageToken=token, **request)
            found += [item["displayName"] for item in page.get("endpoints", [])]
            token = page.get("nextPageToken", "")
            if not token:
                return found

    assert names() == ["e4", "e3", "e2", "e1", "e0"]
    assert names(orderBy="create_time") == ["e0", "e1", "e2", "e3", "e4"]
    assert names(filter="labels.odd:*", orderBy="display_name desc") == ["e3", "e1"]
    assert names(filter='display_name != "e0" AND NOT labels.odd=yes') == ["e4", "e2"]
    shown = twins.call(name, parent=PARENT, readMask="displayName")["endpoints"]
    assert all(item.keys() == {"displayName"} for item in shown)
    assert twins.refused(name, parent=PARENT, filter="nope=1").code == "INVALID_ARGUMENT"
    assert twins.refused(name, parent=PARENT, orderBy="nope").code == "INVALID_ARGUMENT"
    page = twins.call(name, parent=PARENT, pageSize=2)
    other = twins.refused(name, parent=PARENT, filter="labels.odd:*", pageToken=page["nextPageToken"])
    assert other.code == "INVALID_ARGUMENT"
    assert twins.call(name, parent=PARENT.replace("us-central1", "europe-west1")) == {}


def test_updates_keep_etags_and_what_is_immutable(tmp_path: Path) -> None:
    with VertexBench(tmp_path) as bench:
        kind = ResourceKind("Endpoint", "endpoints", frozenset({"network"}))
        api = bench.vertex.apis.get("v1")
        first = kind.create(bench.vertex, api, api.new("Endpoint", name=ENDPOINT, display_name="a"), {"mine": 1})
        assert first.etag
        changed = api.new("Endpoint", name=ENDPOINT, display_name="b", etag=first.etag)
        second = kind.update(bench.vertex, api, changed, ["display_name"])
        assert (second.display_name, second.etag != first.etag) == ("b", True)
        assert kind.load(bench.vertex, api, ENDPOINT).private == {"mine": 1}
        with pytest.raises(Exception, match="etag"):
            kind.update(bench.vertex, api, changed, ["display_name"])
        with pytest.raises(Exception, match="immutable"):
            kind.update(bench.vertex, api, api.new("Endpoint", name=ENDPOINT, network="n"), ["network"])
        assert (
            kind.update(bench.vertex, api, api.new("Endpoint", name=ENDPOINT, description="d"), ["*"]).display_name
            == ""
        )


def test_bodies_have_an_end(twins: Twins, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "_LARGEST", 10)
    answer = twins.by_rest.http("POST", f"/v1/{PARENT}/endpoints", body=b"{" + b" " * 10)
    assert (answer.code, "exceeds the limit: 10 bytes" in answer.message) == ("INVALID_ARGUMENT", True)


def test_until_the_types_are_read_the_api_is_unavailable(tmp_path: Path) -> None:
    with VertexBench(tmp_path / "a") as bench:
        fields = {name: getattr(bench.vertex, name) for name in ("documents", "operations", "clock", "ids")}
        vertex = Vertex(apis=GoogleApis(tmp_path / "types"), project=Project("p", "1", "l"), **fields)
        bench.dispatch._vertex = vertex
        found = bench.raw_http("GET", f"/v1/{ENDPOINT}")
        assert (found.status_code, found.headers["retry-after"]) == (503, "2")
        assert "still reading Vertex's types" in found.json()["error"]["message"]
        assert bench.refused("EndpointService.GetEndpoint", name=ENDPOINT).code == "UNAVAILABLE"
        with pytest.raises(StackError):
            vertex.apis.get("v1")
        with pytest.raises(StackError, match="job service"):
            vertex.jobs.submit  # noqa: B018 - it is asked for
