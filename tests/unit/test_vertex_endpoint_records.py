"""Endpoints as records, the same over REST and gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vertex_bench import PARENT, Twins


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[Twins]:
    with Twins(tmp_path) as found:
        yield found


def test_an_endpoint_lives(twins: Twins) -> None:
    made = twins.call(
        "EndpointService.CreateEndpoint", parent=PARENT, endpoint={"displayName": "a", "labels": {"t": "1"}}
    )
    assert made["done"]
    assert made["metadata"]["@type"].endswith("v1.CreateEndpointOperationMetadata")
    assert made["metadata"]["genericMetadata"]["createTime"] == "2026-01-01T00:00:00Z"
    name = made["response"]["name"]
    assert made["response"]["@type"] == "type.googleapis.com/google.cloud.aiplatform.v1.Endpoint"
    assert made["name"].startswith(f"{name}/operations/")
    twins.advance(5)
    changed = {"name": name, "displayName": "b", "labels": {"t": "2"}, "description": "not in the mask"}
    twins.call("EndpointService.UpdateEndpoint", endpoint=changed, updateMask="displayName,labels")
    found = twins.call("EndpointService.GetEndpoint", name=name)
    assert (found["displayName"], found["labels"], "description" in found) == ("b", {"t": "2"}, False)
    assert (found["createTime"], found["updateTime"]) == ("2026-01-01T00:00:00Z", "2026-01-01T00:00:05Z")
    gone = twins.call("EndpointService.DeleteEndpoint", name=name)
    assert gone["response"] == {"@type": "type.googleapis.com/google.protobuf.Empty"}
    assert twins.refused("EndpointService.GetEndpoint", name=name).code == "NOT_FOUND"
    assert twins.call("Operations.GetOperation", name=gone["name"]) == gone
    assert [o["name"] for o in twins.call("Operations.ListOperations", name=name)["operations"]] == [
        made["name"],
        gone["name"],
    ]
