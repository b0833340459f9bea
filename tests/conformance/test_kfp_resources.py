"""Pipelines, versions and experiments of the Kubeflow API, by the unmodified client."""

from __future__ import annotations

import json
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlparity.testing import TestClock
from tests.conformance.kfp_pipelines import compiled, needs_rows, two_steps
from tests.conformance.kfp_world import KfpWorld, kfp_world, refused

Both = tuple[KfpWorld, Any]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    clock = TestClock()
    with kfp_world(tmp_path_factory.mktemp("kfp") / "world", clock) as made:
        yield made


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(compiled(two_steps, tmp_path_factory.mktemp("package") / "two_steps.yaml"))


def predicate(**member: Any) -> str:
    return json.dumps({"predicates": [member]})


def test_a_package_comes_back_as_it_was_however_it_was_packed(both: Both, package: Path, tmp_path: Path) -> None:
    client = both[1]
    zipped, tarred = tmp_path / "two.zip", tmp_path / "two.tar.gz"
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("README.md", "no pipeline")
        archive.write(package, "pipeline.yaml")
    with tarfile.open(tarred, "w:gz") as tar:
        tar.add(package, "two_steps.yaml")
    for file in (package, zipped, tarred):
        made = client.upload_pipeline(str(file), f"packed {file.suffix}", description="as compiled")
        assert (made.name, made.display_name, made.description) == (made.name, f"packed {file.suffix}", "as compiled")
        versions = client.list_pipeline_versions(made.pipeline_id)
        assert versions.total_size == 1
        version = client.get_pipeline_version(made.pipeline_id, versions.pipeline_versions[0].pipeline_version_id)
        assert version.pipeline_spec == yaml.safe_load(package.read_text())
        assert version.display_name == made.display_name


def test_a_platform_spec_is_kept_beside_the_pipeline_spec(both: Both, package: Path, tmp_path: Path) -> None:
    client = both[1]
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {}}}}}
    file = tmp_path / "with_platform.yaml"
    file.write_text(package.read_text() + "---\n" + yaml.safe_dump(platform))
    made = client.upload_pipeline(str(file), "with platform")
    version = client.list_pipeline_versions(made.pipeline_id).pipeline_versions[0]
    assert version.pipeline_spec == {"pipeline_spec": yaml.safe_load(package.read_text()), "platform_spec": platform}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: Workflow\napiVersion: argoproj.io/v1alpha1\n", "compile it with kfp 2"),
        ("pipelineInfo: {name: Upper Case}\nroot: {}\n", "only lowercase alphanumeric"),
        ("pipelineInfo: {}\nroot: {}\n", "name cannot be empty"),
        ("- {", "pipeline spec is invalid"),
        ("pipelineInfo: {name: empty}\nroot: {dag: {tasks: {}}}\nschemaVersion: 2.1.0\n", "no tasks"),
    ],
)
def test_what_is_no_pipeline_is_refused_when_it_is_uploaded(
    both: Both, tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    status, told = refused(lambda: both[1].upload_pipeline(str(file), "bad"))
    assert status == 400
    assert told.startswith("Failed to create a pipeline and a pipeline version: Invalid input error: ")
    assert message in told
    assert both[1].get_pipeline_id("bad") is None


def test_a_file_of_another_kind_is_refused(both: Both, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("hello")
    assert refused(lambda: both[1].upload_pipeline(str(file), "notes"))[0] == 400
    empty = tmp_path / "empty.zip"
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("a.txt", "")
    assert "Expecting a pipeline.yaml" in refused(lambda: both[1].upload_pipeline(str(empty), "empty"))[1]


def test_names_are_taken_once_and_versions_are_named_within_a_pipeline(both: Both, package: Path) -> None:
    client = both[1]
    made = client.upload_pipeline(str(package), "taken")
    status, message = refused(lambda: client.upload_pipeline(str(package), "Taken"))
    assert (status, "The name Taken already exists" in message) == (409, True)
    second = client.upload_pipeline_version(str(package), "v2", pipeline_name="taken", description="second")
    assert (second.pipeline_id, second.display_name, second.description) == (made.pipeline_id, "v2", "second")
    status, message = refused(lambda: client.upload_pipeline_version(str(package), "v2", made.pipeline_id))
    assert (status, message.startswith("Failed to create a pipeline version: Already exist error: ")) == (409, True)
    assert client.pipelines.pipeline_service_get_pipeline_by_name("taken").pipeline_id == made.pipeline_id


def test_a_pipeline_goes_with_its_versions_only_where_that_is_asked(both: Both, package: Path) -> None:
    client = both[1]
    made = client.upload_pipeline(str(package), "going")
    version = client.list_pipeline_versions(made.pipeline_id).pipeline_versions[0].pipeline_version_id
    status, message = refused(lambda: client.delete_pipeline(made.pipeline_id))
    assert status == 400
    assert f"existing pipeline versions (e.g. {version}). Set cascade=true" in message
    client.pipelines.pipeline_service_delete_pipeline(made.pipeline_id, cascade=True)
    assert refused(lambda: client.get_pipeline(made.pipeline_id)) == (
        404,
        f"Failed to get a pipeline: ResourceNotFoundError: Pipeline {made.pipeline_id} not found.",
    )
    assert refused(lambda: client.get_pipeline_version(made.pipeline_id, version))[0] == 404
    again = client.upload_pipeline(str(package), "going")
    client.delete_pipeline_version(
        again.pipeline_id, client.list_pipeline_versions(again.pipeline_id).pipeline_versions[0].pipeline_version_id
    )
    client.delete_pipeline(again.pipeline_id)
    assert client.get_pipeline_id("going") is None


def test_display_names_and_tags_change_and_what_is_not_sent_stays(both: Both, package: Path) -> None:
    import kfp_server_api as api

    client = both[1]
    made = client.upload_pipeline(str(package), "tagged")
    service = client.pipelines
    service.pipeline_service_update_pipeline(made.pipeline_id, api.InlineObject(tags={"team": "a", "env": "test"}))
    changed = service.pipeline_service_update_pipeline(made.pipeline_id, api.InlineObject(display_name="Tagged!"))
    assert (changed.display_name, changed.name, changed.tags) == ("Tagged!", "tagged", {"team": "a", "env": "test"})
    found = client.list_pipelines(filter=predicate(key="tags.team", operation="EQUALS", stringValue="a"))
    assert [item.pipeline_id for item in found.pipelines] == [made.pipeline_id]
    too_many = {f"k{number}": "v" for number in range(21)}
    status, message = refused(
        lambda: service.pipeline_service_update_pipeline(made.pipeline_id, api.InlineObject(tags=too_many))
    )
    assert (status, "too many tags" in message) == (400, True)


def test_create_pipeline_and_version_makes_both_or_none(both: Both, package: Path) -> None:
    import kfp_server_api as api

    client, spec = both[1], yaml.safe_load(package.read_text())
    request = api.V2beta1CreatePipelineAndVersionRequest(
        api.V2beta1Pipeline(display_name="both", description="d"), api.V2beta1PipelineVersion(pipeline_spec=spec)
    )
    made = client.pipelines.pipeline_service_create_pipeline_and_version(request)
    assert client.list_pipeline_versions(made.pipeline_id).pipeline_versions[0].pipeline_spec == spec
    bad = api.V2beta1CreatePipelineAndVersionRequest(
        api.V2beta1Pipeline(display_name="none"), api.V2beta1PipelineVersion(pipeline_spec={"root": {}})
    )
    assert refused(lambda: client.pipelines.pipeline_service_create_pipeline_and_version(bad))[0] == 400
    assert client.get_pipeline_id("none") is None
    url = api.V2beta1PipelineVersion(package_url=api.V2beta1Url(pipeline_url="http://example.com/p.yaml"))
    status, message = refused(lambda: client.pipelines.pipeline_service_create_pipeline_version(made.pipeline_id, url))
    assert (status, "package_url" in message) == (400, True)


def test_a_pipeline_that_needs_arguments_can_be_uploaded_without_them(both: Both, tmp_path: Path) -> None:
    assert both[1].upload_pipeline(compiled(needs_rows, tmp_path / "p.yaml"), "needs arguments").pipeline_id


@pytest.fixture(scope="module")
def many(both: Both) -> Both:
    """Seven experiments, a minute apart."""
    world, client = both
    for number, letter in enumerate("cagebdf"):
        world.clock.advance(60)
        client.create_experiment(f"many-{letter}", description=f"number {number}")
    return both


def names(answer: Any) -> list[str]:
    return [item.display_name for item in answer.experiments]


def test_lists_are_sorted_filtered_and_paged(many: Both) -> None:
    client = many[1]
    only = predicate(key="display_name", operation="IS_SUBSTRING", stringValue="Many-")
    assert names(client.list_experiments(filter=only)) == [f"many-{letter}" for letter in "cagebdf"]
    assert names(client.list_experiments(sort_by="name desc", filter=only)) == [f"many-{x}" for x in "gfedcba"]
    seen, token = [], ""
    while True:
        page = client.list_experiments(token, 3, sort_by="display_name", filter=only)
        assert page.total_size == 7
        seen.append(names(page))
        token = page.next_page_token
        if not token:
            break
    assert seen == [["many-a", "many-b", "many-c"], ["many-d", "many-e", "many-f"], ["many-g"]]


@pytest.mark.parametrize(
    ("wanted", "letters"),
    [
        ({"key": "name", "operation": "EQUALS", "stringValue": "MANY-A"}, "a"),
        ({"key": "name", "operation": 1, "string_value": "many-a"}, "a"),
        ({"key": "name", "operation": "IN", "stringValues": {"values": ["many-a", "many-b"]}}, "ab"),
        ({"key": "description", "operation": "NOT_EQUALS", "stringValue": "number 0"}, "agebdf"),
        ({"key": "created_at", "operation": "GREATER_THAN", "timestampValue": "2026-01-01T00:05:30Z"}, "df"),
        ({"key": "created_at", "operation": "LESS_THAN_EQUALS", "timestampValue": "2026-01-01T00:01:00Z"}, "c"),
    ],
)
def test_predicates(many: Both, wanted: dict[str, Any], letters: str) -> None:
    mine = {"key": "display_name", "operation": "IS_SUBSTRING", "stringValue": "many-"}
    found = many[1].list_experiments(filter=json.dumps({"predicates": [mine, wanted]}))
    assert sorted(names(found)) == sorted(f"many-{letter}" for letter in letters)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sort_by": "colour"}, 'Invalid sorting field: "colour" on listable type Experiment'),
        ({"sort_by": "name up"}, 'Received invalid sort by format "name up"'),
        ({"page_size": -1}, "The page size should be greater than 0. Got -1"),
        ({"page_token": "xyz"}, "Invalid package token"),
        ({"filter": "{"}, "failed to parse valid filter"),
        ({"filter": predicate(key="colour", operation="EQUALS", stringValue="x")}, 'unrecognized field "colour"'),
        ({"filter": predicate(operation="EQUALS", stringValue="x")}, "Predicate key cannot be empty"),
        ({"filter": predicate(key="name", operation="IN", stringValue="x")}, "cannot use IN operator with scalar"),
        ({"filter": predicate(key="name", stringValue="x")}, "invalid predicate operation: OPERATION_UNSPECIFIED"),
        ({"filter": predicate(key="name", operation="LIKE", stringValue="x")}, "enum type field operation"),
        ({"filter": predicate(key="name", operation="IS_SUBSTRING", intValue=3)}, "cannot use non string value"),
    ],
)
def test_lists_refuse_what_they_cannot_do(many: Both, arguments: dict[str, Any], message: str) -> None:
    status, told = refused(lambda: many[1].list_experiments(**arguments))
    assert status == 400
    assert told.startswith("Failed to list experiments: Invalid input error: ")
    assert message in told


def test_a_page_token_belongs_to_its_order(many: Both) -> None:
    token = many[1].list_experiments(page_size=2, sort_by="name").next_page_token
    assert len(many[1].list_experiments(token, 2).experiments) == 2
    status, message = refused(lambda: many[1].list_experiments(token, 2, sort_by="name desc"))
    assert (status, "page token does not match" in message) == (400, True)


def test_experiments_are_made_once_archived_and_deleted(both: Both) -> None:
    client = both[1]
    assert client.get_experiment(experiment_name="default").description.startswith("All runs created without")
    with pytest.raises(ValueError, match="No experiment is found"):
        client.get_experiment(experiment_name="nowhere")
    made = client.create_experiment("once", "first")
    assert client.create_experiment("once").experiment_id == made.experiment_id
    client.archive_experiment(made.experiment_id)
    assert client.get_experiment(made.experiment_id).storage_state == "ARCHIVED"
    client.unarchive_experiment(made.experiment_id)
    assert client.get_experiment(made.experiment_id).storage_state == "AVAILABLE"
    client.delete_experiment(made.experiment_id)
    for call in (client.get_experiment, client.delete_experiment, client.archive_experiment):
        assert refused(lambda call=call: call(made.experiment_id))[0] == 404
