"""Compiled pipelines run on a real engine: what each feature of KFP's IR does, alone and together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from mlparity.errors import ConflictError
from mlparity.metadata.values import EventType
from mlparity.pipeline_ir.errors import InvalidPipelineError
from mlparity.pipeline_ir.tasks import TaskState
from tests.conformance import ir_pipelines
from tests.conformance.ir_running import BUCKET, PipelineWorld, Ran


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PipelineWorld]:
    made = PipelineWorld(tmp_path_factory.mktemp("pipelines"))
    made.configure("configmaps", "settings", "ready", "no\n")
    made.configure("secrets", "keys", "token", "top-secret\n")
    yield made
    made.close()


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("compiled")
    return lambda pipeline: ir_pipelines.compiled(pipeline, folder)


def test_artifacts_metrics_and_lineage(world: PipelineWorld, compiled: Any) -> None:
    ran = world.run(compiled(ir_pipelines.vertical), {"count": 5})
    assert ran.outputs == {"Output": 1.0}
    made, fitted = ran.task("make-rows"), ran.task("fit")
    (rows,), (model,), (metrics,) = (
        made.outputs.artifacts["rows"],
        fitted.outputs.artifacts["model"],
        fitted.outputs.artifacts["metrics"],
    )
    assert rows.uri == f"s3://{BUCKET}/v2/artifacts/vertical/{ran.run.id}/make-rows/{made.id}/rows"
    assert world.read(rows.uri) == b"0\n1\n2\n3\n4"
    assert world.read(f"{model.uri}/weights.txt") == b"1.0"
    assert (rows.metadata, metrics.metadata, model.metadata) == ({"count": 5}, {"mean": 2.0}, {"framework": "none"})
    assert fitted.inputs.parameters == {"rate": 0.5}
    assert fitted.inputs.artifacts["rows"] == (rows,)
    store = world.metadata("kubeflow")
    graph = store.artifact_lineage(model.id)
    assert {node.id for node in graph.artifacts} == {rows.id, model.id, metrics.id}
    assert {(event.path, event.type) for event in graph.events if event.execution == fitted.execution_id} == {
        ("rows", EventType.INPUT),
        ("model", EventType.OUTPUT),
        ("metrics", EventType.OUTPUT),
    }
    execution = store.executions.get(fitted.execution_id)
    assert (execution.state, execution.metadata["input:rate"], execution.metadata["output:Output"]) == (
        "COMPLETE",
        0.5,
        1.0,
    )
    assert store.parents([ran.run.id]) == {ran.run.id: ("vertical",)}


def test_a_cached_run_has_the_first_ones_results(world: PipelineWorld, compiled: Any) -> None:
    path = compiled(ir_pipelines.vertical)
    first, second = world.run(path, {"count": 7}), world.run(path, {"count": 7})
    assert set(second.states().values()) == {"CACHED"}
    assert second.outputs == first.outputs
    assert second.task("fit").outputs == first.task("fit").outputs
    assert second.task("fit").cached_from == first.run.id
    store = world.metadata("kubeflow")
    assert store.executions.get(second.task("fit").execution_id).state == "CACHED"
    members = {node.id for node in store.context_lineage(second.run.id).artifacts}
    assert first.task("make-rows").outputs.artifacts["rows"][0].id in members
    assert set(world.run(path, {"count": 7}, caching=False).states().values()) == {"SUCCEEDED"}


def test_a_cache_key_stands_for_the_inputs(world: PipelineWorld, compiled: Any) -> None:
    text = (
        compiled(ir_pipelines.vertical)
        .read_text()
        .replace("enableCache: true", "enableCache: true\n          cacheKey: x")
    )
    first, second = world.run(text, {"count": 11}), world.run(text, {"count": 12})
    assert set(second.states().values()) == {"CACHED"}
    assert second.outputs == first.outputs == {"Output": 2.5}


def test_every_feature_at_once(world: PipelineWorld, compiled: Any) -> None:
    ran = world.run(compiled(ir_pipelines.breadth))
    assert ran.outputs == {
        "text": "it's made 3 rows of 3",
        "chosen": "2 rows",
        "nested": "[[11, 21], [12, 22]]",
        "read": "1,2",
        "total": 2,
        "lists": """[1, 2.5, {'a': 3}, "it's"] {'deep': [1, 2.5, {'x': 2}], 'one': 1}""",
        "fields": 10,
        "each": 3,
        "none": 0,
        "quoted": "quoted",
    }
    assert world.read(ran.tasks[0].outputs.artifacts["rows"][0].uri) == b"0\n1"
    assert ran.states()["condition-2"] == "SKIPPED"
    store = world.metadata("kubeflow")
    loop = next(task for task in ran.tasks if task.name == "for-loop-8" and task.iteration == 1)
    assert store.executions.get(loop.execution_id).metadata["iteration_index"] == 1
    inside = [task for task in ran.tasks if task.parent_id == loop.id]
    assert {store.executions.get(task.execution_id).metadata["parent_dag_id"] for task in inside} == {loop.execution_id}
    assert world.run(compiled(ir_pipelines.breadth), {"name": "x"}).outputs["quoted"] == "not quoted"


def test_a_failure_is_told_and_the_exit_handler_runs(world: PipelineWorld, compiled: Any) -> None:
    ran = world.run(compiled(ir_pipelines.failing))
    assert ran.run.status.value == "failed"
    assert ran.states() == {
        "exit-handler-1": "FAILED",
        "attempt": "FAILED",
        "say": "PENDING",
        "say-2": "SUCCEEDED",
        "tidy": "SUCCEEDED",
    }
    failed = ran.task("attempt")
    assert failed.attempt == len(failed.job_ids) == 3
    assert failed.error.splitlines() == [
        "The program ended with exit code 1:",
        "Traceback (most recent call last):",
        '  File "/kfp-task/program/ephemeral_component.py", line 11, in attempt',
        '    raise ValueError(f"not ready for {word}")',
        "ValueError: not ready for this",
    ]
    told = "The DAG failed because some tasks failed. The failed tasks are: [attempt]."
    assert ran.task("tidy").outputs.parameters["Output"] == f"FAILED exit-handler-1 {told}"
    assert world.metadata("kubeflow").executions.get(failed.execution_id).state == "FAILED"


def test_a_retried_run_keeps_what_succeeded(world: PipelineWorld, compiled: Any) -> None:
    failed = world.run(compiled(ir_pipelines.loop_failing), caching=False)
    assert failed.run.status.value == "failed"
    world.configure("configmaps", "settings", "ready", "yes\n")
    world.pipelines.retry(failed.run.id)
    ran = world.wait(failed.run.id)
    world.configure("configmaps", "settings", "ready", "no\n")
    assert ran.ok
    assert [task.job_ids for task in ran.all("add")] == [task.job_ids for task in failed.all("add")]
    assert [len(task.job_ids) for task in ran.all("attempt")] == [2, 2]
    with pytest.raises(ConflictError, match="not failed or cancelled"):
        world.pipelines.retry(ran.run.id)


def test_a_container_gets_what_kubernetes_would_give_it(world: PipelineWorld, compiled: Any) -> None:
    ran = world.run(compiled(ir_pipelines.containers))
    assert ran.outputs == {"plain": "given top-secret no ml\n", "number": 7}
    task = ran.task("shell")
    made = task.outputs.artifacts["made"][0].uri
    folder = made.replace("s3://", "/s3/").removesuffix("/made")
    *words, document = world.read(made).decode().splitlines()
    assert words == [
        f"{folder}/plain", f"{folder}/made", f"{folder}/number", 'say "hi"', "3",
        f'a-say "hi"-{made}', "--no-name", "containers run/shell",
    ]  # fmt: skip
    given = json.loads(json.loads(f'"{document}"'))
    assert given["inputs"]["parameterValues"] == {"size": 3, "text": 'say "hi"'}
    spec = world.jobs.repository.get(task.job_ids[0]).spec
    assert (spec.cpu_limit, spec.memory_limit_bytes) == (0.5, 2**30)
    assert "mlparity: nodeSelector is ignored" in world.log(task.job_ids[0])


def test_importers_read_the_store(world: PipelineWorld, compiled: Any) -> None:
    world.store.put_bytes(BUCKET, "data/rows.txt", b"1\n2\n3")
    path = compiled(ir_pipelines.imports)
    uri = f"s3://{BUCKET}/data/rows.txt"
    runs = [world.run(path, {"uri": uri}) for _ in range(2)]
    assert [ran.outputs for ran in runs] == [{"Output": 3}] * 2
    known, anew = ([ran.task(name).outputs.artifacts["artifact"][0] for ran in runs] for name in _IMPORTERS)
    assert known[0] == known[1]
    assert known[0].metadata == {"grade": "good"}
    assert anew[0].id != anew[1].id
    missing = world.run(path, {"uri": f"s3://{BUCKET}/data/none"})
    assert missing.task("importer-2").error.endswith("nothing is stored there")
    outside = world.run(path, {"uri": "https://example.com/rows"})
    assert "cannot be imported" in outside.task("importer-2").error


_IMPORTERS = ("importer", "importer-2")


def test_a_stopped_run_stops_all_the_way_down(world: PipelineWorld, compiled: Any) -> None:
    run_id = world.submit(compiled(ir_pipelines.waiting))
    world.until(lambda: sum(task.name == "wait" and bool(task.job_ids) for task in world.pipelines.tasks(run_id)) == 2)
    world.pipelines.stop(run_id)
    ran = world.wait(run_id)
    assert {task.state for task in ran.all("wait")} == {TaskState.CANCELED}
    assert {task.state for task in ran.tasks if task.kind.value == "dag"} == {TaskState.CANCELED}
    assert max(task.iteration for task in ran.tasks) == 1  # the third never began


def test_a_fan_out_survives_the_control_plane(world: PipelineWorld, compiled: Any) -> None:
    run_id = world.submit(compiled(ir_pipelines.fan_out), {"numbers": list(range(8))}, caching=False)
    world.until(lambda: any(task.state is TaskState.SUCCEEDED for task in world.pipelines.tasks(run_id)))
    world.end()
    world.begin()
    ran = world.wait(run_id)
    assert ran.outputs == {"Output": sum(number**2 for number in range(8))}
    assert len(ran.all("nap")) == 8


def test_what_a_run_is_given_is_checked(world: PipelineWorld, compiled: Any) -> None:
    path = compiled(ir_pipelines.vertical)
    with pytest.raises(InvalidPipelineError, match="no parameter 'rows'"):
        world.submit(path, {"rows": 5})
    with pytest.raises(InvalidPipelineError, match="type mismatch: expect NUMBER_INTEGER, got string"):
        world.submit(path, {"count": "five"})
    with pytest.raises(InvalidPipelineError, match='non-optional parameter "uri"'):
        world.submit(compiled(ir_pipelines.imports))
    with pytest.raises(InvalidPipelineError, match="pipeline root"):
        world.submit(path, pipeline_root="/tmp/here")


def test_a_deleted_run_is_gone(world: PipelineWorld, compiled: Any) -> None:
    path = compiled(ir_pipelines.vertical)
    ran: Ran = world.run(path, {"count": 2}, id="mine")
    world.pipelines.delete("mine")
    assert not world.engine.repository.exists("mine")
    again = world.run(path, {"count": 4}, id="mine", caching=False)  # Vertex lets a deleted job's id be used again
    assert (ran.outputs, again.outputs) == ({"Output": 0.25}, {"Output": 0.75})


def test_optional_inputs_may_be_left_out(world: PipelineWorld, compiled: Any) -> None:
    path = compiled(ir_pipelines.optional)
    left_out, given = world.run(path), world.run(path, {"note": "x"})
    assert left_out.outputs == {"inside": "None 4", "outside": "None 3"}
    assert left_out.states()["condition-1"] == "SKIPPED"
    assert given.outputs == {"inside": "'x' 4", "outside": "'x' 3"}
    assert given.states()["say"] == "SUCCEEDED"


def test_programs_choose_places_and_are_told_of_their_run(world: PipelineWorld, compiled: Any) -> None:
    ran = world.run(compiled(ir_pipelines.places))
    told = f"places run places-{ran.run.id[:5]} told True {{{{$.pipeline_job_name}}}}"  # no value is gone over again
    assert ran.outputs == {"both": 4, "told": told}
    made = ran.task("elsewhere").outputs.artifacts
    assert made["suffixed"][0].uri.endswith("/own/name.txt")
    assert made["moved"][0].metadata == {"loss": "NaN"}
    assert world.read(made["moved"][0].uri) == b"1\n2"
