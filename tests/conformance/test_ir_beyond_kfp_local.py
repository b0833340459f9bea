"""What kfp.local 2.17 does not do, or does wrong, and what KFP's backend does: done here.

In ``test_ir_corpus`` kfp.local's own answer is looked at, too: to OneOf over artifacts, artifacts into pipelines, whole
numbers, quotes in conditions. Recurring runs are in ``test_kfp_recurring``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlparity.pipeline_ir.tasks import TaskState
from tests.conformance.gate import Gate
from tests.conformance.ir_corpus import artifacts, features, flow, parameters
from tests.conformance.ir_pipelines import compiled as compiled_into
from tests.conformance.ir_running import BUCKET, PipelineWorld

WORKERS = 4
Compiled = Callable[[Any], Path]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PipelineWorld]:
    made = PipelineWorld(tmp_path_factory.mktemp("beyond"), parallel=WORKERS)
    yield made
    made.close()


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    folder = tmp_path_factory.mktemp("compiled")
    return lambda pipeline: compiled_into(pipeline, folder)


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.open.set()
    made.close()


def test_container_components_run_without_docker(world: PipelineWorld, compiled: Compiled) -> None:
    ran = world.run(compiled(features.containers_without_docker))
    assert ran.ok
    assert ran.outputs["text"].split("|") == [
        "7", 'it\'s "raw"', "n=7,x", "--name=", "and", "--other", "x",
        "containers-without-docker run", "python-program",
    ]  # fmt: skip
    assert ran.outputs["made"] == "made"
    assert ran.task("python-program").display_name == "a program"


def test_one_of_over_artifacts(world: PipelineWorld, compiled: Compiled) -> None:
    assert world.run(compiled(artifacts.one_of_artifacts), {"number": 1}).outputs["text"].startswith("one ")


def test_artifacts_into_pipelines(world: PipelineWorld, compiled: Compiled) -> None:
    assert world.run(compiled(artifacts.artifacts_into_pipelines)).outputs["text"].startswith("inside: one ")


def test_importers_read_the_bucket(world: PipelineWorld, compiled: Compiled) -> None:
    path = compiled(features.imports_from_buckets)
    world.store.put_bytes(BUCKET, "in/one.txt", b"first")
    where = f"gs://{BUCKET}/in/one.txt"
    first = world.run(path, {"where": where})
    assert first.outputs == {"s3": "first", "gs": "first", "given": "first"}
    assert first.task("importer-2").outputs.artifacts["artifact"][0].metadata == {"number": 5}
    world.store.put_bytes(BUCKET, "in/one.txt", b"second")
    second = world.run(path, {"where": where})
    assert second.outputs == {"s3": "second", "gs": "second", "given": "second"}  # nothing stale from the cache
    known, given = ([ran.task(name).outputs.artifacts["artifact"][0].id for ran in (first, second)] for name in _NAMES)
    assert known[0] == known[1]
    assert given[0] != given[1]
    missing = world.run(path, {"where": f"s3://{BUCKET}/in/none.txt"})
    assert missing.run.status.value == "failed"
    assert missing.task("importer-3").error.endswith("nothing is stored there")


_NAMES = ("importer", "importer-3")


def test_integers_in_lists_stay_integers(world: PipelineWorld, compiled: Compiled) -> None:
    outputs = world.run(compiled(parameters.whole_numbers), {"l": [5, 6]}).outputs
    assert outputs["inputs"].endswith("[5, 6], {'deep': {'list': [1, 2.5]}, 'n': 1})")


def test_quotes_in_conditions(world: PipelineWorld, compiled: Compiled) -> None:
    path = compiled(flow.quotes_in_conditions)
    assert [world.run(path, {"word": word}).outputs["Output"] for word in ("it's", "its")] == ["equal", "different"]


def test_a_step_with_metrics_hits_the_cache(world: PipelineWorld, compiled: Compiled) -> None:
    path = compiled(features.metrics_again)
    first, second, other = (world.run(path, {"number": number}) for number in (5, 5, 6))
    assert [ran.task("measured").state for ran in (first, second, other)] == [
        TaskState.SUCCEEDED, TaskState.CACHED, TaskState.SUCCEEDED,
    ]  # fmt: skip
    assert second.task("measured").outputs == first.task("measured").outputs
    assert second.task("measured").outputs.artifacts["metrics"][0].metadata == {"number": 5}


def test_independent_branches_run_side_by_side(world: PipelineWorld, compiled: Compiled, gate: Gate) -> None:
    run_id = world.submit(compiled(features.side_by_side), {"gate": gate.url}, caching=False)
    gate.until_waiting(2)  # the second waits although the first has not ended
    gate.open.set()
    assert world.wait(run_id).outputs == {"a": "open", "b": "open"}


def test_a_loop_has_more_than_two_workers(world: PipelineWorld, compiled: Compiled, gate: Gate) -> None:
    items = [f"{gate.url}/{number}" for number in range(WORKERS + 2)]
    run_id = world.submit(compiled(features.wide_loop), {"gate": gate.url, "items": items}, caching=False)
    gate.until_waiting(WORKERS)
    gate.open.set()
    assert world.wait(run_id).outputs == {"Output": ["open"] * len(items)}


def test_memory_is_limited(world: PipelineWorld, compiled: Compiled) -> None:
    path = compiled(features.within_memory)
    assert world.run(path, {"megabytes": 16}).outputs == {"Output": 16}
    too_much = world.run(path, {"megabytes": 160})
    assert too_much.states() == {"hungry": "FAILED"}
    assert "MemoryError" in too_much.task("hungry").error


def test_cores_are_limited(world: PipelineWorld, compiled: Compiled) -> None:
    ran = world.run(compiled(features.one_core))
    assert ran.outputs == {"one": 1, "all": len(os.sched_getaffinity(0))}


def test_time_is_limited(world: PipelineWorld, compiled: Compiled) -> None:
    ran = world.run(compiled(features.too_long))
    assert ran.states() == {"sleeper": "FAILED"}
    assert ran.task("sleeper").error == "The task did not end within the 1 s that it may take"


def test_runs_are_recorded(world: PipelineWorld, compiled: Compiled) -> None:
    ran = world.run(compiled(features.caching_by_task), {"word": "kept"}, caching=False)
    for task in ran.tasks[1:]:
        assert None not in (times := (task.created_at, task.started_at, task.ended_at))
        assert list(times) == sorted(times)
        assert world.metadata("kubeflow").executions.get(task.execution_id).state == "COMPLETE"
    assert [task.inputs.parameters for task in ran.tasks if task.name == "echo"] == [{"text": "kept"}]
    assert world.metadata("kubeflow").executions.get(ran.tasks[0].execution_id).state == "COMPLETE"
