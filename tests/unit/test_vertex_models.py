"""Vertex models: versions, aliases, updates, copies, exports and evaluations, the same over REST and gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.vertex_bench import PARENT, Twins

IMAGE = "us-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-5:latest"
SPEC = {"imageUri": IMAGE}


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    with Twins(tmp_path_factory.mktemp("models")) as both:
        for bench in (both.by_rest, both.by_grpc):
            bench.store.ensure_bucket("models")
            bench.store.put_bytes("models", "a/model.joblib", b"joblib")
            bench.store.put_bytes("models", "a/more/notes.txt", b"notes")
            bench.store.put_bytes("models", "ab/model.json", b"{}")
        yield both


def upload(twins: Twins, model_id: str = "", parent: str = "", **model: Any) -> tuple[str, str]:
    """A model's name and the version that was made."""
    given = {"displayName": "flights", "containerSpec": SPEC, "artifactUri": "gs://models/a", **model}
    more = {"modelId": model_id} if model_id else {"parentModel": parent} if parent else {}
    operation = twins.call("ModelService.UploadModel", parent=PARENT, model=given, **more)
    assert operation["done"]
    return operation["response"]["model"], operation["response"]["modelVersionId"]


def get(twins: Twins, name: str) -> dict[str, Any]:
    return twins.call("ModelService.GetModel", name=name)


def test_there_is_always_exactly_one_default_version(twins: Twins) -> None:
    name, first = upload(twins, "m_versions", versionDescription="first", labels={"team": "a"})
    assert (name, first) == (f"{PARENT}/models/m_versions", "1")
    one = get(twins, name)
    assert (one["versionId"], one["versionAliases"], one["versionDescription"]) == ("1", ["default"], "first")
    assert one["supportedDeploymentResourcesTypes"] == ["DEDICATED_RESOURCES"]
    artifact = twins.call("MetadataService.GetArtifact", name=one["metadataArtifact"])
    assert (artifact["schemaTitle"], artifact["metadata"]) == ("google.VertexModel", {"resourceName": f"{name}@1"})
    assert upload(twins, parent=name, versionAliases=["golden"]) == (name, "2")
    assert get(twins, name)["versionId"] == "1"
    assert get(twins, f"{name}@golden")["versionId"] == "2"
    assert upload(twins, parent=name, versionAliases=["default", "golden"]) == (name, "3")
    assert (get(twins, name)["versionId"], get(twins, f"{name}@golden")["versionId"]) == ("3", "3")
    assert "versionAliases" not in get(twins, f"{name}@1")

    def merge(version: str, *aliases: str) -> dict[str, Any]:
        return twins.call("ModelService.MergeVersionAliases", name=f"{name}@{version}", versionAliases=list(aliases))

    assert merge("2", "default", "blue")["versionAliases"] == ["default", "blue"]
    assert get(twins, f"{name}@3")["versionAliases"] == ["golden"]
    assert "versionAliases" not in merge("3", "-golden", "x1", "-x1")
    refused = twins.refused("ModelService.MergeVersionAliases", name=f"{name}@2", versionAliases=["-default"])
    assert refused.code == "FAILED_PRECONDITION"
    assert (
        twins.refused("ModelService.MergeVersionAliases", name=name, versionAliases=["1x"]).code == "INVALID_ARGUMENT"
    )
    assert twins.refused("ModelService.DeleteModelVersion", name=f"{name}@default").code == "FAILED_PRECONDITION"
    assert twins.refused("ModelService.DeleteModelVersion", name=name).code == "INVALID_ARGUMENT"
    twins.call("ModelService.DeleteModelVersion", name=f"{name}@3")
    assert twins.refused("ModelService.GetModel", name=f"{name}@3").code == "NOT_FOUND"
    assert upload(twins, parent=name) == (name, "4")  # a number is never used twice
    listed = twins.call("ModelService.ListModelVersions", name=name, pageSize=2)
    assert [one["name"] for one in listed["models"]] == [f"{name}@4", f"{name}@2"]
    more = twins.call("ModelService.ListModelVersions", name=name, pageSize=2, pageToken=listed["nextPageToken"])
    assert [one["versionId"] for one in more["models"]] == ["1"]
    twins.call("ModelService.DeleteModel", name=name)
    assert twins.refused("ModelService.GetModel", name=f"{name}@1").code == "NOT_FOUND"
    assert twins.refused("ModelService.ListModelVersions", name=name).code == "NOT_FOUND"


def test_updates_are_of_the_model_or_of_a_version(twins: Twins) -> None:
    name, _ = upload(twins, "m_updates", labels={"team": "a"})
    upload(twins, parent=name, labels={"data": "b"}, displayName="ignored")
    changed = {"name": name, "displayName": "delays", "labels": {"team": "c"}}
    after = twins.call("ModelService.UpdateModel", model=changed, updateMask="displayName,labels")
    assert (after["displayName"], after["versionId"], after["labels"]) == ("delays", "1", {"team": "c"})
    second = get(twins, f"{name}@2")
    assert (second["displayName"], second["labels"]) == ("delays", {"team": "c", "data": "b"})
    changed = {"name": f"{name}@2", "versionDescription": "second"}
    assert twins.call("ModelService.UpdateModel", model=changed, updateMask="versionDescription")["versionId"] == "2"
    for wrong, mask, field in (
        ({"name": name, "versionDescription": "x"}, "versionDescription", "update of a model"),
        ({"name": f"{name}@2", "description": "x"}, "description", "update of a version"),
        ({"name": name, "artifactUri": "gs://x/y"}, "artifactUri", "artifact_uri"),
    ):
        refused = twins.refused("ModelService.UpdateModel", model=wrong, updateMask=mask)
        assert refused.code == "INVALID_ARGUMENT"
        assert field in refused.message
    old = {"name": name, "displayName": "x", "etag": "old"}
    assert twins.refused("ModelService.UpdateModel", model=old, updateMask="displayName").code == "ABORTED"


def test_lists_filter_order_and_mask(twins: Twins) -> None:
    for number in range(3):
        upload(twins, f"m_list{number}", displayName=f"list {number}", labels={"kind": "listed", "n": str(number)})
        twins.advance(1)

    def listed(**asked: Any) -> list[str]:
        found = twins.call("ModelService.ListModels", parent=PARENT, **asked)
        return [one["displayName"] for one in found.get("models", [])]

    assert listed(filter="labels.kind=listed") == ["list 2", "list 1", "list 0"]
    assert listed(filter="labels.kind=listed", orderBy="create_time") == ["list 0", "list 1", "list 2"]
    assert listed(filter='displayName="list 1"') == listed(filter="model=m_list1") == ["list 1"]
    found = twins.call("ModelService.ListModels", parent=PARENT, filter="model=m_list1", readMask="displayName")
    assert found["models"] == [{"displayName": "list 1"}]
    assert twins.refused("ModelService.ListModels", parent=PARENT, filter="artifact_uri=x").code == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("model", "more", "code", "said"),
    [
        ({"artifactUri": "gs://models/ab"}, {}, "FAILED_PRECONDITION", "exactly one of: [model.joblib, model.pkl]"),
        ({"artifactUri": "gs://models/none"}, {}, "FAILED_PRECONDITION", "does not exist or is empty"),
        ({"artifactUri": "/local"}, {}, "INVALID_ARGUMENT", "Invalid Cloud Storage URI"),
        ({"artifactUri": ""}, {}, "INVALID_ARGUMENT", "artifact_uri must be set"),
        ({"containerSpec": None}, {}, "INVALID_ARGUMENT", "no container_spec"),
        ({"containerSpec": {"predictRoute": "/p"}}, {}, "INVALID_ARGUMENT", "image_uri"),
        ({"containerSpec": {**SPEC, "grpcPorts": [{"containerPort": 1}]}}, {}, "UNIMPLEMENTED", "grpcPorts"),
        ({"displayName": ""}, {}, "INVALID_ARGUMENT", "display_name"),
        ({"versionAliases": ["2fast"]}, {}, "INVALID_ARGUMENT", "Invalid version alias"),
        ({}, {"modelId": "2fast"}, "INVALID_ARGUMENT", "Invalid model ID"),
        ({}, {"parentModel": f"{PARENT}/models/none"}, "NOT_FOUND", "The Model does not exist."),
    ],
)
def test_what_cannot_be_uploaded(
    twins: Twins, model: dict[str, Any], more: dict[str, Any], code: str, said: str
) -> None:
    given = {"displayName": "bad", "containerSpec": SPEC, "artifactUri": "gs://models/a", **model}
    given = {field: value for field, value in given.items() if value is not None}
    refused = twins.refused("ModelService.UploadModel", parent=PARENT, model=given, **more)
    assert (refused.code, said in refused.message) == (code, True), refused


def test_copies_exports_and_evaluations_are_real(twins: Twins) -> None:
    name, _ = upload(twins, "m_source")
    copied = twins.call("ModelService.CopyModel", parent=PARENT, sourceModel=name, modelId="m_copy")["response"]
    copy = get(twins, copied["model"])
    assert (copy["artifactUri"], copy["versionAliases"]) == ("gs://models/a", ["default"])
    assert copy["originalModelInfo"] == {"model": f"{name}@1"}
    config = {"exportFormatId": "custom-trained", "artifactDestination": {"outputUriPrefix": "gs://models/out"}}
    operation = twins.call("ModelService.ExportModel", name=f"{name}@1", outputConfig=config)
    uri = operation["metadata"]["outputInfo"]["artifactOutputUri"]
    key = uri.removeprefix("gs://models/")
    for bench in (twins.by_rest, twins.by_grpc):
        assert bench.store.get_bytes("models", f"{key}/model.joblib") == b"joblib"
        assert bench.store.get_bytes("models", f"{key}/more/notes.txt") == b"notes"
    wrong = {"exportFormatId": "tflite", "artifactDestination": {"outputUriPrefix": "gs://models/out"}}
    assert twins.refused("ModelService.ExportModel", name=name, outputConfig=wrong).code == "INVALID_ARGUMENT"
    given = {"displayName": "e", "metricsSchemaUri": "gs://schema.yaml", "metrics": {"auRoc": 0.93}}
    made = twins.call("ModelService.ImportModelEvaluation", parent=name, modelEvaluation=given)
    assert made["metrics"] == {"auRoc": 0.93}
    assert twins.call("ModelService.GetModelEvaluation", name=made["name"]) == made
    upload(twins, parent=name)
    listed = twins.call("ModelService.ListModelEvaluations", parent=name)
    assert listed["modelEvaluations"] == [made]
    assert twins.call("ModelService.ListModelEvaluations", parent=f"{name}@2") == {}
