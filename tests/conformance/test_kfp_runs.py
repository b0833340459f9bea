"""Runs of the Kubeflow API, by the unmodified client: states, tasks, logs, artifacts, and what ends or hides a run."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlparity.engine.jobs import Phase
from mlparity.pipeline_ir.tasks import ArtifactValue
from tests.conformance.kfp_pipelines import compiled, needs_rows, two_steps
from tests.conformance.kfp_world import KfpWorld, kfp_world, refused

Both = tuple[KfpWorld, Any]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    with kfp_world(tmp_path_factory.mktemp("kfp") / "world") as made:
        yield made


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> str:
    return compiled(two_steps, tmp_path_factory.mktemp("package") / "two_steps.yaml")


def begin(both: Both, package: str, **more: Any) -> str:
    return str(both[1].create_run_from_pipeline_package(package, **more).run_id)


def finish(world: KfpWorld, run_id: str) -> None:
    for name in ("count", "fit"):
        world.end(run_id, name)
    world.wait(run_id, "SUCCEEDED")


def task(run: Any, name: str) -> Any:
    """The run's task; their order is the wire's, whose maps have none."""
    return next(item for item in run.run_details.task_details if item.display_name == name)


def states(history: Any) -> list[str]:
    return [entry.state for entry in history]


def test_a_run_of_a_package_goes_through_its_states(both: Both, package: str) -> None:
    world, client = both
    made = client.create_run_from_pipeline_package(
        package, {"rows": 7}, run_name="first", experiment_name="Runs", enable_caching=False, service_account="me"
    )
    assert made.run_info.state == "PENDING"
    request = world.pipelines.requests[made.run_id]
    assert (request.name, request.pipeline_name, request.parameters) == ("first", "two-steps", {"rows": 7})
    assert request.pipeline_root == "s3://pipelines/v2/artifacts"
    assert all(not task["cachingOptions"] for task in request.spec["root"]["dag"]["tasks"].values())
    world.end(made.run_id, "count")
    world.until(lambda: world.runs.steps(made.run_id)["fit"].job_id is not None)
    running = client.get_run(made.run_id)
    assert (running.state, running.finished_at, states(running.state_history)) == (
        "RUNNING",
        None,
        ["PENDING", "RUNNING"],
    )
    tasks = {item.display_name: item for item in running.run_details.task_details}
    assert {name: item.state for name, item in tasks.items()} == {
        "root": "RUNNING",
        "count": "SUCCEEDED",
        "fit": "RUNNING",
    }
    assert tasks["fit"].parent_task_id == tasks["root"].task_id
    assert {child.task_id for child in tasks["root"].child_tasks} == {tasks["count"].task_id, tasks["fit"].task_id}
    assert states(tasks["count"].state_history) == ["PENDING", "RUNNING", "SUCCEEDED"]
    job = world.jobs.of_run(made.run_id, "fit")[0].id
    assert (tasks["fit"].executor_detail.main_job, tasks["fit"].pod_name) == (job, "")
    world.end(made.run_id, "fit")
    world.wait(made.run_id, "SUCCEEDED")
    ended = made.wait_for_run_completion(timeout=10)
    assert (ended.state, ended.service_account, ended.error) == ("SUCCEEDED", "me", None)
    assert ended.finished_at >= ended.created_at
    assert ended.runtime_config.parameters == {"rows": 7}
    assert ended.pipeline_spec["pipelineInfo"] == {"name": "two-steps"}
    assert client.get_experiment(experiment_name="Runs").last_run_created_at == ended.created_at


def test_a_run_of_a_version_and_of_the_newest_version(both: Both, package: str) -> None:
    import kfp_server_api as api

    world, client = both
    pipeline = client.upload_pipeline(package, "versions of runs")
    first = client.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions[0]
    world.clock.advance(1)
    second = client.upload_pipeline_version(package, "second", pipeline.pipeline_id)
    default = client.get_experiment(experiment_name="Default").experiment_id
    run = client.run_pipeline(
        default,
        "of first",
        pipeline_id=pipeline.pipeline_id,
        version_id=first.pipeline_version_id,
        pipeline_root="gs://b/x",
    )
    assert run.pipeline_version_reference.pipeline_version_id == first.pipeline_version_id
    assert world.pipelines.requests[run.run_id].pipeline_root == "gs://b/x"
    newest = client.runs.run_service_create_run(
        api.V2beta1Run(
            display_name="of newest",
            pipeline_version_reference=api.V2beta1PipelineVersionReference(pipeline_id=pipeline.pipeline_id),
        )
    )
    assert newest.experiment_id == default
    assert newest.pipeline_version_reference.pipeline_version_id == second.pipeline_version_id
    client.delete_pipeline_version(pipeline.pipeline_id, first.pipeline_version_id)
    finish(world, run.run_id)
    assert client.get_run(run.run_id).state == "SUCCEEDED"


def test_a_failed_run_is_tried_again_from_where_it_failed(both: Both, package: str) -> None:
    world, client = both
    run_id = begin(both, package)
    world.end(run_id, "count")
    world.end(run_id, "fit", Phase.FAILED)
    world.wait(run_id, "FAILED")
    failed = client.wait_for_run_completion(run_id, 10)
    fit = task(failed, "fit")
    assert (failed.state, fit.state, fit.error.message) == ("FAILED", "FAILED", "it broke")
    assert failed.error.message
    client.runs.run_service_retry_run(run_id)
    world.end(run_id, "fit")
    world.wait(run_id, "SUCCEEDED")
    again = client.get_run(run_id)
    assert states(again.state_history) == ["PENDING", "RUNNING", "FAILED", "RUNNING", "SUCCEEDED"]
    assert (again.error, len(world.jobs.of_run(run_id, "count"))) == (None, 1)
    detail = task(again, "fit").executor_detail
    assert detail.failed_main_jobs == [world.jobs.of_run(run_id, "fit")[0].id]
    assert refused(lambda: client.runs.run_service_retry_run(run_id)) == (
        409,
        "Failed to retry a run: BadRequestError: Workflow must be Failed/Error to retry: workflow cannot be retried",
    )


def test_a_terminated_run_stops_its_work(both: Both, package: str) -> None:
    world, client = both
    run_id = begin(both, package)
    world.until(lambda: world.runs.steps(run_id)["count"].job_id is not None)
    client.terminate_run(run_id)
    assert client.get_run(run_id).state == "CANCELING"
    world.until(lambda: "count" in world.job_steps.stopped)
    world.end(run_id, "count", Phase.STOPPED)
    world.wait(run_id, "CANCELED")
    ended = client.get_run(run_id)
    assert states(ended.state_history) == ["PENDING", "RUNNING", "CANCELING", "CANCELED"]
    assert task(ended, "count").state == "CANCELED"
    assert "fit" not in [each.display_name for each in ended.run_details.task_details]  # it never began
    status, message = refused(lambda: client.terminate_run(run_id))
    assert (status, message.endswith(f"Failed to terminate a run {run_id}. Row not found")) == (400, True)


def test_logs_artifacts_and_the_page_of_a_link(both: Both, package: str) -> None:
    world, client = both
    run_id = begin(both, package)
    world.end(run_id, "count")
    world.api.store.ensure_bucket("pipelines")
    world.api.store.put_bytes("pipelines", "v2/artifacts/model", b"weights \xff" * 200_000)
    made = ArtifactValue("model", "s3://pipelines/v2/artifacts/model", "system.Model", metadata={"f1": 0.5}, id="12")
    world.pipelines.outputs[f"{run_id}/fit"] = made
    world.end(run_id, "fit")
    world.wait(run_id, "SUCCEEDED")
    fit = task(client.get_run(run_id), "fit")
    assert fit.outputs["model"].artifact_ids == ["12"]
    world.logs.append(world.jobs.of_run(run_id, "fit")[0].spec.log, "trained\nwell")
    host = client._existing_config.host
    log = f"{host}/pipeline/apis/v1alpha1/runs/{run_id}/nodes/{fit.task_id}/log"
    assert read(log) == (200, b"trained\nwell\n")
    artifact = f"{host}/apis/v2beta1/runs/{run_id}/nodes/{fit.task_id}/artifacts/model:read"
    status, body = read(artifact)
    assert (status, base64.b64decode(json.loads(body)["data"])) == (200, b"weights \xff" * 200_000)
    page = read(f"{host}/ui/runs/details/{run_id}")[1].decode()
    for expected in ("SUCCEEDED", "fit", made.uri, "rows = <code>3</code>", "f1", f"nodes/{fit.task_id}/log"):
        assert expected in page
    assert f"ui/runs/details/{run_id}" in read(f"{host}/")[1].decode()
    for missing in (log.replace(run_id, "x"), artifact.replace("/model:", "/other:"), f"{host}/ui/runs/details/x"):
        assert read(missing)[0] == 404


def read(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_runs_are_listed_by_state_and_by_experiment(both: Both, package: str) -> None:
    world, client = both
    experiment = client.create_experiment("listed").experiment_id
    done = [begin(both, package, run_name=f"done {number}", experiment_id=experiment) for number in range(3)]
    for run_id in done:
        finish(world, run_id)
    active = begin(both, package, run_name="active", experiment_id=experiment)
    by_state = json.dumps({"predicates": [{"key": "state", "operation": "EQUALS", "stringValue": "SUCCEEDED"}]})
    found = client.list_runs(experiment_id=experiment, filter=by_state, sort_by="display_name desc")
    assert [run.display_name for run in found.runs] == ["done 2", "done 1", "done 0"]
    page = client.list_runs(experiment_id=experiment, page_size=3, sort_by="name")
    assert (page.total_size, page.runs[0].run_id, page.runs[0].run_details) == (4, active, None)
    assert len(client.list_runs(page.next_page_token, 3, experiment_id=experiment).runs) == 1
    assert refused(lambda: client.list_runs(experiment_id="nowhere"))[0] == 404


def test_an_archived_experiment_takes_its_runs_along(both: Both, package: str) -> None:
    world, client = both
    experiment = client.create_experiment("archived with runs").experiment_id
    run_id = begin(both, package, experiment_id=experiment)
    client.archive_experiment(experiment)
    assert client.get_run(run_id).storage_state == "ARCHIVED"
    status, message = refused(lambda: client.unarchive_run(run_id))
    assert (status, message.endswith(f"experiment {experiment} must be un-archived first")) == (400, True)
    assert refused(lambda: begin(both, package, experiment_id=experiment))[0] == 400
    client.unarchive_experiment(experiment)
    client.unarchive_run(run_id)
    assert client.get_run(run_id).storage_state == "AVAILABLE"
    client.archive_run(run_id)
    assert client.get_run(run_id).storage_state == "ARCHIVED"
    finish(world, run_id)


def test_a_deleted_run_is_gone_and_stops(both: Both, package: str) -> None:
    world, client = both
    done, active = begin(both, package), begin(both, package)
    finish(world, done)
    world.until(lambda: world.runs.steps(active)["count"].job_id is not None)
    for run_id in (done, active):
        client.delete_run(run_id)
        assert refused(lambda run_id=run_id: client.get_run(run_id))[0] == 404
    assert not world.runs.exists(done)
    world.end(active, "count", Phase.STOPPED)
    world.until(lambda: world.runs.get(active).status == "stopped")


def test_runs_that_cannot_be_right_are_refused_and_leave_nothing(both: Both, package: str, tmp_path: Path) -> None:
    import kfp_server_api as api

    client = both[1]
    before = client.list_runs().total_size
    create = client.runs.run_service_create_run
    needy = compiled(needs_rows, tmp_path / "needs_rows.yaml")
    for call, message in (
        (lambda: begin(both, needy), "parameter rows is missing"),
        (lambda: begin(both, package, arguments={"colour": "red"}), "parameter colour is unknown"),
        (lambda: create(api.V2beta1Run()), "The run name is empty"),
        (lambda: create(api.V2beta1Run(display_name="x")), "Please specify a pipeline"),
        (lambda: create(api.V2beta1Run(display_name="x", pipeline_spec={"root": {}})), "name cannot be empty"),
        (
            lambda: create(api.V2beta1Run(display_name="x", pipeline_spec={"root": 1}, pipeline_version_id="y")),
            "not both",
        ),
    ):
        status, told = refused(call)
        assert (status, told.startswith("Failed to create a run: Invalid input error: ")) == (400, True)
        assert message in told
    missing = api.V2beta1PipelineVersionReference(pipeline_id="p", pipeline_version_id="v")
    assert refused(lambda: create(api.V2beta1Run(display_name="x", pipeline_version_reference=missing)))[0] == 404
    plugins = api.V2beta1Run(display_name="x", plugins_input={"mlflow": {}})
    assert refused(lambda: create(plugins))[0] == 501
    assert client.list_runs().total_size == before
