"""Pipelines of lightweight components, started with the unmodified client and really run: what they made and found."""

from __future__ import annotations

import base64
import json
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mlparity.apis.kubeflow import experiments, run_states
from mlparity.apis.kubeflow.app import KubeflowApp
from mlparity.apis.kubeflow.context import API, Kubeflow
from mlparity.state.document_search import DocumentSearch
from mlparity.state.documents import DocumentRepository
from tests.conformance.gate import Gate
from tests.conformance.ir_running import ROOT, PipelineWorld
from tests.conformance.kfp_lessons import gated, line_fitting
from tests.conformance.kfp_world import client, refused
from tests.conformance.s3_fixtures import serve

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning:kfp.*")


class Kfp:
    """A client, and what the vendor's client has no calls for."""

    def __init__(self, url: str, world: PipelineWorld) -> None:
        self.url, self.world, self.client = url, world, client(url)

    def run(self, pipeline: Any, arguments: dict[str, Any], **more: Any) -> Any:
        return self.wait(self.begin(pipeline, arguments, **more))

    def begin(self, pipeline: Any, arguments: dict[str, Any], **more: Any) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return str(self.client.create_run_from_pipeline_func(pipeline, arguments, **more).run_id)

    def wait(self, run_id: str) -> Any:
        self.world.wait(run_id)
        return self.client.wait_for_run_completion(run_id, timeout=5)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/apis/{path}") as answer:
            body = answer.read()
        return json.loads(body) if answer.headers["content-type"] == "application/json" else body.decode()

    def artifact(self, run: Any, name: str, key: str) -> bytes:
        path = f"v2beta1/runs/{run.run_id}/nodes/{task(run, name).task_id}/artifacts/{key}:read"
        return base64.b64decode(self.get(path)["data"])

    def log(self, run: Any, name: str) -> str:
        return str(self.get(f"v1alpha1/runs/{run.run_id}/nodes/{task(run, name).task_id}/log"))


def task(run: Any, name: str) -> Any:
    return next(item for item in run.run_details.task_details if item.display_name == name)


def only(artifacts: Any, key: str) -> str:
    (found,) = artifacts[key].artifact_ids
    return str(found)


@contextmanager
def served(world: PipelineWorld) -> Iterator[Kfp]:
    api = Kubeflow(
        pipelines=world.pipelines,
        jobs=world.jobs.repository,
        documents=DocumentRepository(world.database, world.clock, API),
        search=DocumentSearch(world.database, API),
        store=world.store,
        logs=world.logs,
        clock=world.clock,
        ids=world.ids,
        pipeline_root=ROOT,
        wake_timers=lambda: None,
        after_commit=world.database.after_commit,
        metadata=world.metadata(API),
    )
    world.engine.listen(partial(run_states.on_run, api), lambda _run, _step, _before: None)
    experiments.ensure_default(api)
    with serve(KubeflowApp(api)) as url:
        yield Kfp(url, world)


@pytest.fixture(scope="module")
def kfp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kfp]:
    world = PipelineWorld(tmp_path_factory.mktemp("kfp"))
    try:
        with served(world) as made:
            yield made
    finally:
        world.close()


def test_what_a_run_made_can_be_read_and_followed(kfp: Kfp) -> None:
    run = kfp.run(line_fitting, {"rows": 6, "step": 3})
    assert (run.state, run.error) == ("SUCCEEDED", None)
    states = {item.display_name: item.state for item in run.run_details.task_details}
    assert {name: states[name] for name in ("make-rows", "fit-line", "good", "announce", "bad")} == {
        "make-rows": "SUCCEEDED",
        "fit-line": "SUCCEEDED",
        "good": "SUCCEEDED",
        "announce": "SUCCEEDED",
        "bad": "SKIPPED",
    }
    assert task(run, "announce").parent_task_id == task(run, "good").task_id
    assert json.loads(kfp.artifact(run, "fit-line", "model")) == {"slope": 3.0, "intercept": 1.0}
    assert kfp.artifact(run, "fit-line", "data").splitlines()[-1] == b"5,16"
    assert "wrote 6 rows" in kfp.log(run, "make-rows")
    data, model = only(task(run, "make-rows").outputs, "data"), only(task(run, "fit-line").outputs, "model")
    assert only(task(run, "fit-line").inputs, "data") == data
    assert only(task(run, "announce").inputs, "model") == model
    page = kfp.get("v2beta1/artifacts?filter=" + urllib.request.quote(_named(type="Metric", name="metrics")))
    metrics = {item["artifact_id"]: item["metadata"] for item in page["artifacts"]}
    assert metrics[only(task(run, "fit-line").outputs, "metrics")] == {"error": 0}
    assert kfp.get(f"v2beta1/artifacts/{data}")["metadata"] == {"rows": 6}
    assert kfp.get(f"v2beta1/artifacts/{model}")["type"] == "Model"
    links = kfp.get(f"v2beta1/artifact_tasks?artifact_ids={data}&artifact_ids={model}")["artifact_tasks"]
    name_of = {item.task_id: item.display_name for item in run.run_details.task_details}
    assert {
        (name_of[link["task_id"]], link["key"], link["type"]) for link in links if link["type"] != "COMPONENT_INPUT"
    } == {
        ("make-rows", "data", "OUTPUT"),
        ("fit-line", "data", "TASK_OUTPUT_INPUT"),
        ("fit-line", "model", "OUTPUT"),
        ("good", "pipelinechannel--fit-line-model", "TASK_OUTPUT_INPUT"),
    }
    assert {link["run_id"] for link in links} == {run.run_id}


def _named(**members: str) -> str:
    items = [{"key": key, "operation": "EQUALS", "stringValue": value} for key, value in members.items()]
    return json.dumps({"predicates": items})


def test_an_equal_task_is_not_run_again_unless_that_is_asked(kfp: Kfp) -> None:
    first = kfp.run(line_fitting, {"rows": 4})
    again = kfp.run(line_fitting, {"rows": 4})
    assert {task(again, name).state for name in ("make-rows", "fit-line", "announce")} == {"SKIPPED"}
    assert again.state == "SUCCEEDED"
    assert only(task(again, "fit-line").outputs, "model") == only(task(first, "fit-line").outputs, "model")
    assert task(again, "fit-line").executor_detail is None
    anew = kfp.run(line_fitting, {"rows": 4}, enable_caching=False)
    assert {task(anew, name).state for name in ("make-rows", "fit-line")} == {"SUCCEEDED"}
    assert only(task(anew, "fit-line").outputs, "model") != only(task(first, "fit-line").outputs, "model")


def test_a_program_that_fails_says_why(kfp: Kfp) -> None:
    run = kfp.run(line_fitting, {"rows": 3, "degree": 2})
    assert (run.state, task(run, "fit-line").state) == ("FAILED", "FAILED")
    assert "good" not in [each.display_name for each in run.run_details.task_details]  # it never began
    assert "only lines are known, not degree 2" in task(run, "fit-line").error.message
    assert "only lines are known, not degree 2" in kfp.log(run, "fit-line")
    assert task(run, "make-rows").outputs["data"].artifact_ids
    status, message = refused(lambda: kfp.begin(line_fitting, {"rows": "many"}))
    assert (status, "rows" in message) == (400, True)


def test_runs_go_on_after_a_restart(tmp_path: Path) -> None:
    gate, world = Gate(), PipelineWorld(tmp_path / "world")
    try:
        with served(world) as kfp:
            going, ended = (kfp.begin(gated, {"gate": f"{gate.url}/{name}"}) for name in ("going", "ended"))
            gate.until_waiting(2)
            before = task(kfp.client.get_run(going), "shout").executor_detail.main_job
        world.end()
        world.begin()
        with served(world) as kfp:
            kfp.client.terminate_run(ended)
            canceled = world.wait(ended) and kfp.client.get_run(ended)
            assert [entry.state for entry in canceled.state_history] == ["PENDING", "RUNNING", "CANCELING", "CANCELED"]
            assert task(canceled, "wait-for").state == "CANCELED"
            gate.open.set()
            done = kfp.wait(going)
            assert (done.state, task(done, "shout").executor_detail.main_job) == ("SUCCEEDED", before)
            assert world.pipelines.tasks(going)[0].outputs.parameters == {"Output": "OPEN"}
    finally:
        world.close()
        gate.close()
