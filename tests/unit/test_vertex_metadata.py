"""Vertex's Metadata API, the same over REST and gRPC: stores, nodes, relations, lineage, schemas, purges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mlparity.metadata import NewNode
from tests.vertex_bench import PARENT, Twins

STORE = f"{PARENT}/metadataStores/default"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    with Twins(tmp_path_factory.mktemp("vertex")) as found:
        yield found


@pytest.fixture
def twins(shared: Twins) -> Twins:
    """A pair of benches with an empty default store."""
    shared.both("MetadataService.DeleteMetadataStore", {"name": STORE})  # there is none before the first test
    made = shared.call(
        "MetadataService.CreateMetadataStore", parent=PARENT, metadataStoreId="default", metadataStore={}
    )
    assert made["response"]["name"] == STORE
    return shared


def service(twins: Twins, method: str, **request: Any) -> dict[str, Any]:
    return twins.call(f"MetadataService.{method}", **request)


def refused(twins: Twins, method: str, **request: Any) -> tuple[str, str]:
    answer = twins.refused(f"MetadataService.{method}", **request)
    return answer.code, answer.message


def make(twins: Twins, kind: str, node_id: str, **fields: Any) -> str:
    request = {kind.lower(): {"schemaTitle": "system.Run", **fields}, f"{kind.lower()}Id": node_id}
    return str(service(twins, f"Create{kind}", parent=STORE, **request)["name"])


def names(found: dict[str, Any], key: str) -> list[str]:
    return [item["name"].rpartition("/")[2] for item in found.get(key, [])]


def test_nothing_is_there_before_the_store(twins: Twins) -> None:
    other = f"{PARENT}/metadataStores/other"
    assert refused(twins, "GetMetadataStore", name=other) == ("NOT_FOUND", "The MetadataStore does not exist.")
    assert refused(twins, "ListArtifacts", parent=other)[0] == "NOT_FOUND"
    again = refused(twins, "CreateMetadataStore", parent=PARENT, metadataStoreId="default", metadataStore={})
    assert again[0] == "ALREADY_EXISTS"
    assert names(service(twins, "ListMetadataStores", parent=PARENT), "metadataStores") == ["default"]


def test_an_artifact_lives(twins: Twins) -> None:
    artifact = {
        "displayName": "Data",
        "schemaTitle": "system.Dataset",
        "schemaVersion": "0.0.1",
        "uri": "gs://b/data.csv",
        "state": "LIVE",
        "metadata": {"rows": 3, "split": "train"},
        "labels": {"team": "red"},
    }
    made = service(twins, "CreateArtifact", parent=STORE, artifact=artifact, artifactId="data")
    assert made.items() >= {**artifact, "metadata": {"rows": 3.0, "split": "train"}}.items()
    assert (made["name"], made["createTime"] == made["updateTime"]) == (f"{STORE}/artifacts/data", True)
    twins.advance(5)
    change = {"name": made["name"], "metadata": {"rows": 4}, "description": "d", "etag": made["etag"]}
    masked = service(twins, "UpdateArtifact", artifact=change, updateMask="description")
    assert (masked["metadata"], masked["description"]) == (made["metadata"], "d")
    assert refused(twins, "UpdateArtifact", artifact=change)[0] == "ABORTED"  # the etag is the first one's
    changed = service(twins, "UpdateArtifact", artifact={**change, "etag": masked["etag"]})
    assert (changed["metadata"], changed["displayName"], changed["etag"] != made["etag"]) == (
        {"rows": 4.0},
        "Data",
        True,
    )
    emptied = service(twins, "UpdateArtifact", artifact={"name": made["name"]}, updateMask="metadata,labels,state")
    assert not emptied.keys() & {"metadata", "labels", "state"}
    assert service(twins, "GetArtifact", name=made["name"]) == emptied
    assert refused(twins, "CreateArtifact", parent=STORE, artifact=artifact, artifactId="data") == (
        "ALREADY_EXISTS",
        f"Artifact `{made['name']}` already exists.",
    )
    assert refused(twins, "DeleteArtifact", name=made["name"], etag="1")[0] == "FAILED_PRECONDITION"
    assert service(twins, "DeleteArtifact", name=made["name"], etag=emptied["etag"])["done"]
    assert refused(twins, "GetArtifact", name=made["name"]) == ("NOT_FOUND", "The Artifact does not exist.")
    gone = {"name": f"{STORE}/artifacts/late", "displayName": "late"}
    assert refused(twins, "UpdateArtifact", artifact=gone)[0] == "NOT_FOUND"
    assert service(twins, "UpdateArtifact", artifact=gone, allowMissing=True)["displayName"] == "late"


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"artifactId": "A_B", "artifact": {}}, "artifact_id"),
        ({"artifact": {"schemaTitle": "Dataset"}}, "artifact.schema_title"),
        ({"artifact": {"schemaVersion": "1"}}, "artifact.schema_version"),
    ],
)
def test_a_wrong_artifact_is_refused(twins: Twins, request_: dict[str, Any], told: str) -> None:
    code, message = refused(twins, "CreateArtifact", parent=STORE, **request_)
    assert (code, told in message) == ("INVALID_ARGUMENT", True)


def test_lists_filter_sort_and_page(twins: Twins) -> None:
    make(twins, "Context", "experiment", schemaTitle="system.Experiment")
    for number in range(5):
        execution = make(
            twins, "Execution", f"run-{number}", state="COMPLETE", metadata={"accuracy": number / 10, "lr": number > 2}
        )
        twins.advance(1)
        if number % 2:
            context = f"{STORE}/contexts/experiment"
            service(twins, "AddContextArtifactsAndExecutions", context=context, executions=[execution])

    def listed(**request: Any) -> list[str]:
        return names(service(twins, "ListExecutions", parent=STORE, **request), "executions")

    in_context = f'in_context("{STORE}/contexts/experiment")'
    assert listed(filter=f'schema_title="system.Run" AND {in_context}') == ["run-1", "run-3"]
    assert listed(filter="metadata.accuracy.number_value >= 0.2 AND metadata.lr.bool_value=false") == ["run-2"]
    assert listed(filter="state=FAILED") == []
    assert listed(orderBy="create_time desc", pageSize=2) == ["run-4", "run-3"]
    first = service(twins, "ListExecutions", parent=STORE, pageSize=3)
    assert names(first, "executions") == ["run-0", "run-1", "run-2"]
    assert listed(pageSize=3, pageToken=first["nextPageToken"]) == ["run-3", "run-4"]
    for wrong in (
        {"pageToken": first["nextPageToken"], "filter": "state=COMPLETE"},
        {"filter": "uri=a"},
        {"filter": 'in_context("experiment")'},
        {"orderBy": "size"},
        {"pageSize": -1},
    ):
        assert refused(twins, "ListExecutions", parent=STORE, **wrong)[0] == "INVALID_ARGUMENT"


def test_contexts_in_contexts(twins: Twins) -> None:
    parent = make(twins, "Context", "experiment", schemaTitle="system.Experiment")
    child = make(twins, "Context", "run", schemaTitle="system.ExperimentRun")
    service(twins, "AddContextChildren", context=parent, childContexts=[child])
    assert service(twins, "GetContext", name=child)["parentContexts"] == [parent]
    found = service(twins, "ListContexts", parent=STORE, filter=f'parent_contexts:"{parent}"')
    assert found["contexts"][0]["parentContexts"] == [parent]
    code, message = refused(twins, "AddContextChildren", context=child, childContexts=[parent])
    assert (code, "cycle" in message) == ("INVALID_ARGUMENT", True)
    service(twins, "RemoveContextChildren", context=parent, childContexts=[child])
    assert "parentContexts" not in service(twins, "GetContext", name=child)
    assert (
        refused(twins, "AddContextChildren", context=parent, childContexts=[f"{STORE}/contexts/none"])[0] == "NOT_FOUND"
    )
    other = f"{PARENT}/metadataStores/other/contexts/run"
    for wrong in (other, "run"):
        assert refused(twins, "AddContextChildren", context=parent, childContexts=[wrong])[0] == "INVALID_ARGUMENT"


def test_lineage_of_a_pipeline(twins: Twins) -> None:
    data, model = (make(twins, "Artifact", name) for name in ("data", "model"))
    train, evaluate = (make(twins, "Execution", name) for name in ("train", "evaluate"))
    run = make(twins, "Context", "run")
    service(
        twins,
        "AddExecutionEvents",
        execution=train,
        events=[{"artifact": data, "type": "INPUT"}, {"artifact": model, "type": "OUTPUT", "labels": {"name": "m"}}],
    )
    service(twins, "AddExecutionEvents", execution=evaluate, events=[{"artifact": model, "type": "INPUT"}])
    service(twins, "AddExecutionEvents", execution=evaluate, events=[{"artifact": model, "type": "OUTPUT"}])  # skipped
    service(twins, "AddContextArtifactsAndExecutions", context=run, artifacts=[model], executions=[train])
    part = service(twins, "QueryContextLineageSubgraph", context=run)
    assert (names(part, "artifacts"), names(part, "executions")) == (["model"], ["train"])
    (event,) = part["events"]
    assert (event["artifact"], event["execution"], event["type"], event["labels"]) == (
        model,
        train,
        "OUTPUT",
        {"name": "m"},
    )
    part = service(twins, "QueryExecutionInputsAndOutputs", execution=evaluate)
    assert (names(part, "artifacts"), len(part["events"])) == (["model"], 1)
    whole = service(twins, "QueryArtifactLineageSubgraph", artifact=data)
    assert (names(whole, "executions"), len(whole["events"])) == (["train", "evaluate"], 3)
    near = service(twins, "QueryArtifactLineageSubgraph", artifact=data, maxHops=1)
    assert (names(near, "artifacts"), names(near, "executions")) == (["data"], ["train"])
    assert refused(twins, "QueryArtifactLineageSubgraph", artifact=data, maxHops=-1)[0] == "INVALID_ARGUMENT"
    assert refused(twins, "AddExecutionEvents", execution=train, events=[{"artifact": model}])[0] == "INVALID_ARGUMENT"
    for method, field, kind in (
        ("QueryContextLineageSubgraph", "context", "contexts"),
        ("QueryArtifactLineageSubgraph", "artifact", "artifacts"),
        ("QueryExecutionInputsAndOutputs", "execution", "executions"),
    ):
        assert refused(twins, method, **{field: f"{STORE}/{kind}/none"})[0] == "NOT_FOUND"


def test_purging(twins: Twins) -> None:
    for number in range(3):
        make(twins, "Artifact", f"a{number}", state="PENDING" if number else "LIVE")
    told = service(twins, "PurgeArtifacts", parent=STORE, filter="state=PENDING")["response"]
    assert (told["purgeCount"], told["purgeSample"]) == ("2", [f"{STORE}/artifacts/a1", f"{STORE}/artifacts/a2"])
    done = service(twins, "PurgeArtifacts", parent=STORE, filter="state=PENDING", force=True)["response"]
    assert (done["purgeCount"], "purgeSample" in done) == ("2", False)
    assert names(service(twins, "ListArtifacts", parent=STORE), "artifacts") == ["a0"]


def test_schemas(twins: Twins) -> None:
    found = service(twins, "ListMetadataSchemas", parent=STORE, filter='schema_title="system.*"', pageSize=1000)
    assert {"system-dataset-v0-0-1", "system-pipeline-run-v0-0-1"} <= {*names(found, "metadataSchemas")}
    schema = {"schema": "title: mine.Forest\ntype: object\n", "schemaVersion": "0.0.1", "schemaType": "ARTIFACT_TYPE"}
    made = service(twins, "CreateMetadataSchema", parent=STORE, metadataSchema=schema, metadataSchemaId="forest")
    assert service(twins, "GetMetadataSchema", name=f"{STORE}/metadataSchemas/forest") == made
    found = service(twins, "ListMetadataSchemas", parent=STORE, filter='schema_title="mine.Forest"')
    assert names(found, "metadataSchemas") == ["forest"]
    bad = {**schema, "schema": "title: Forest"}
    assert refused(twins, "CreateMetadataSchema", parent=STORE, metadataSchema=bad)[0] == "INVALID_ARGUMENT"


def test_the_default_store_is_there_once_a_pipeline_wrote_to_it(twins: Twins) -> None:
    service(twins, "DeleteMetadataStore", name=STORE)
    assert refused(twins, "ListContexts", parent=STORE)[0] == "NOT_FOUND"
    for bench in (twins.by_rest, twins.by_grpc):
        store = bench.vertex.metadata.of("vertex/test-project/us-central1/default")
        store.contexts.create(NewNode("pipeline", schema_title="system.Pipeline"))
    assert names(service(twins, "ListContexts", parent=STORE), "contexts") == ["pipeline"]
    assert service(twins, "GetMetadataStore", name=STORE)["name"] == STORE
    by_number = STORE.replace("test-project", twins.by_rest.vertex.project.number)
    assert service(twins, "GetContext", name=f"{by_number}/contexts/pipeline")["name"] == f"{STORE}/contexts/pipeline"


def test_the_default_store_comes_with_its_first_node(twins: Twins) -> None:
    service(twins, "DeleteMetadataStore", name=STORE)
    other = f"{PARENT}/metadataStores/other"
    assert refused(twins, "CreateContext", parent=other, context={}, contextId="first")[0] == "NOT_FOUND"
    first = make(twins, "Context", "first")
    assert names(service(twins, "ListMetadataStores", parent=PARENT), "metadataStores") == ["default"]
    assert service(twins, "GetContext", name=first)["name"] == first
