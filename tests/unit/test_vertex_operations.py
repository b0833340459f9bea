"""Long-running operations: finished later, waited for, cancelled, over a restart, in the caller's version."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlparity.apis.vertex.context import API
from mlparity.apis.vertex.errors import failed_precondition
from mlparity.apis.vertex.operation import Operation
from mlparity.apis.vertex.operations import Operations
from mlparity.apis.vertex.operations_table import BY_NAME
from mlparity.state.documents import DocumentRepository
from mlparity.wire.google.status import Code, GoogleError
from tests.vertex_bench import PARENT, VertexBench, types

ENDPOINT = f"{PARENT}/endpoints/1"
DEPLOY = {"endpoint": ENDPOINT, "deployedModel": {"model": f"{PARENT}/models/1"}}


def deploy(vertex: Any, request: Any, call: Any) -> Any:
    return vertex.operations.start(call, request.endpoint, {"deploymentStage": "STARTING"}).message(call.api)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[VertexBench]:
    name = "EndpointService.DeployModel"
    with VertexBench(tmp_path, {**BY_NAME, name: Operation(name, deploy)}) as found:
        yield found


def test_an_operation_is_finished_later_by_someone_else(bench: VertexBench) -> None:
    started = bench.call("EndpointService.DeployModel", **DEPLOY)
    assert "done" not in started
    assert started["metadata"]["@type"].endswith(".v1.DeployModelOperationMetadata")
    assert started["name"].startswith(f"{ENDPOINT}/operations/")
    operations = bench.vertex.operations
    assert bench.call("Operations.WaitOperation", name=started["name"], timeout="0s") == started
    bench.clock.advance(3)
    operations.tell(started["name"], {"deploymentStage": "STARTING_MODEL_SERVER"})
    told = bench.rest("Operations.GetOperation", {"name": started["name"]}).response or {}
    assert told["metadata"]["deploymentStage"] == "STARTING_MODEL_SERVER"
    assert told["metadata"]["genericMetadata"]["updateTime"] == "2026-01-01T00:00:03Z"
    # What a restart finds is in the database alone.
    later = Operations(DocumentRepository(bench.database, bench.clock, API), bench.clock, bench.ids)
    assert [item.name for item in later.unfinished("EndpointService.DeployModel")] == [started["name"]]
    later.finish(started["name"], {"deployedModel": {"id": "7"}})
    later.fail(started["name"], failed_precondition("too late"))
    done = bench.call("Operations.GetOperation", name=started["name"])
    assert done["response"]["@type"].endswith(".v1.DeployModelResponse")
    assert done["response"]["deployedModel"] == {"id": "7"}
    assert not list(later.unfinished())


def test_who_waits_is_woken(bench: VertexBench) -> None:
    started = bench.call("EndpointService.DeployModel", **DEPLOY)
    found: list[dict[str, Any]] = []
    waiter = threading.Thread(target=lambda: found.append(bench.call("Operations.WaitOperation", name=started["name"])))
    waiter.start()
    bench.vertex.operations.fail(started["name"], GoogleError(Code.RESOURCE_EXHAUSTED, "no machine"))
    waiter.join(20)
    assert not waiter.is_alive()
    assert found[0]["error"] == {"code": 8, "message": "no machine"}


def test_listing_cancelling_and_deleting(bench: VertexBench) -> None:
    names = [bench.call("EndpointService.DeployModel", **DEPLOY)["name"] for _ in range(3)]
    bench.vertex.operations.finish(names[1])
    page = bench.call("Operations.ListOperations", name=ENDPOINT, pageSize=2)
    rest = bench.call("Operations.ListOperations", name=ENDPOINT, pageSize=2, pageToken=page["nextPageToken"])
    assert sorted(item["name"] for item in page["operations"] + rest["operations"]) == sorted(names)
    assert "nextPageToken" not in rest
    done = bench.call("Operations.ListOperations", name=PARENT, filter="done = true")
    assert [item["name"] for item in done["operations"]] == [names[1]]
    assert bench.refused("Operations.ListOperations", name=PARENT, filter="name:x").code == "INVALID_ARGUMENT"
    assert bench.refused("Operations.CancelOperation", name=names[0]).code == "UNIMPLEMENTED"
    stop = bench.vertex.operations
    stop.on_cancel("EndpointService.DeployModel", lambda name: stop.fail(name, GoogleError(Code.CANCELLED, "stopped")))
    assert bench.call("Operations.CancelOperation", name=names[0]) == {}
    assert bench.call("Operations.GetOperation", name=names[0])["error"]["code"] == 1
    assert bench.call("Operations.CancelOperation", name=names[0]) == {}  # it is done: nothing happens
    assert bench.refused("Operations.DeleteOperation", name=names[2]).code == "FAILED_PRECONDITION"
    assert bench.call("Operations.DeleteOperation", name=names[0]) == {}
    assert bench.refused("Operations.GetOperation", name=names[0]).code == "NOT_FOUND"


def test_an_operation_is_told_in_the_version_that_asks(bench: VertexBench) -> None:
    endpoint = {"displayName": "a"}
    made = bench.call("EndpointService.CreateEndpoint", "v1beta1", parent=PARENT, endpoint=endpoint)
    assert made["response"]["@type"].endswith(".v1beta1.Endpoint")
    for version in ("v1", "v1beta1"):
        found = bench.rest("Operations.GetOperation", {"name": made["name"]}, version).response or {}
        assert found["response"]["@type"].endswith(f".{version}.Endpoint")
    # gRPC has one service of operations for all versions: it answers in the one that began.
    api = types().get("v1beta1")
    request = bench.message("Operations.GetOperation", {"name": made["name"]})
    raw = bench.dispatch.call(_grpc_call(bench), request)
    packed = api.message_class("google.longrunning.Operation").FromString(raw.SerializeToString())
    assert packed.response.type_url.endswith(".v1beta1.Endpoint")


def _grpc_call(bench: VertexBench) -> Any:
    from mlparity.apis.vertex.operation import Call

    api = types().get("v1")
    return replace(Call(api, api.methods["Operations.GetOperation"]), versioned=False)
