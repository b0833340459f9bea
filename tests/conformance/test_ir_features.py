"""Failures, exit handlers, retries, caching by task, Kubernetes' settings, packages, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlparity.pipeline_ir.tasks import TaskState
from tests.conformance.ir_corpus import features, refused
from tests.conformance.ir_pipelines import compiled as compiled_into
from tests.conformance.ir_running import PipelineWorld
from tests.conformance.tally import Tally

Compiled = Callable[[Any], Path]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PipelineWorld]:
    made = PipelineWorld(tmp_path_factory.mktemp("features"))
    made.configure("secrets", "keys", "token", "top-secret\n")
    made.configure("configmaps", "settings", "ready", "yes\n")
    yield made
    made.close()


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    folder = tmp_path_factory.mktemp("compiled")
    return lambda pipeline: compiled_into(pipeline, folder)


@pytest.fixture(scope="module")
def tally() -> Iterator[Tally]:
    made = Tally()
    yield made
    made.close()


def test_an_exit_handler_is_told_of_success(world: PipelineWorld, compiled: Compiled) -> None:
    ran = world.run(compiled(features.exit_after_success))
    assert ran.ok
    assert ran.task("told").outputs.parameters == {"Output": "end: SUCCEEDED of exit-handler-1, error None None"}


def test_an_exit_handler_is_told_of_failures_deep_inside(world: PipelineWorld, compiled: Compiled) -> None:
    ran = world.run(compiled(features.exit_after_failures_in_a_loop), {"word": "given"})
    assert ran.run.status.value == "failed"
    assert (
        ran.task("told").outputs.parameters["Output"].startswith("given: FAILED of exit-handler-1, error 9 'The DAG ")
    )
    assert {task.state for task in ran.all("fail")} == {TaskState.FAILED}
    assert {task.state for task in ran.all("echo")} == {TaskState.SUCCEEDED}


def test_a_task_is_tried_again_after_its_backoff(world: PipelineWorld, compiled: Compiled, tally: Tally) -> None:
    ran = world.run(compiled(features.retries), {"url": f"{tally.url}/retries"})
    assert ran.outputs == {"Output": "3 times"}
    task = ran.task("ask")
    assert task.attempt == len(task.job_ids) == tally.counts["/retries"] == 3
    first, second, third = (world.jobs.repository.get(job) for job in task.job_ids)
    assert (second.created_at - first.ended_at).total_seconds() >= 1.0
    assert (third.created_at - second.ended_at).total_seconds() >= 0.1  # 1 s times the factor
    assert (third.created_at - second.ended_at).total_seconds() < 1.0


def test_a_pipeline_inside_is_tried_again_as_a_whole(world: PipelineWorld, compiled: Compiled, tally: Tally) -> None:
    ran = world.run(compiled(features.retried_pipeline), {"url": f"{tally.url}/pipeline"})
    assert ran.outputs == {"Output": "2 times"}
    assert tally.counts["/pipeline"] == 2


def test_a_task_is_given_up(world: PipelineWorld, compiled: Compiled, tally: Tally) -> None:
    ran = world.run(compiled(features.given_up), {"url": f"{tally.url}/given-up"})
    assert ran.states() == {"ask": "FAILED", "echo": "PENDING"}
    assert tally.counts["/given-up"] == 2
    assert "RuntimeError: only 2" in ran.task("ask").error


def test_caching_is_each_tasks_own(world: PipelineWorld, compiled: Compiled) -> None:
    path = compiled(features.caching_by_task)
    first, again, other = (world.run(path, {"word": word}) for word in ("a", "a", "b"))
    assert set(first.states().values()) == {"SUCCEEDED"}
    assert again.states() == {"echo": "CACHED", "echo-2": "SUCCEEDED", "write": "CACHED", "read": "CACHED"}
    assert set(other.states().values()) == {"SUCCEEDED"}
    assert (again.outputs, other.outputs) == ({"Output": "a"}, {"Output": "b"})
    renamed = path.read_text().replace("name: caching-by-task", "name: caching-elsewhere")
    assert set(world.run(renamed, {"word": "a"}).states().values()) == {"SUCCEEDED"}  # the cache is the pipeline's
    changed = path.read_text().replace("read(item", "read( item")  # another program
    assert world.run(changed, {"word": "a"}).states()["read"] == "SUCCEEDED"


def test_settings_of_kubernetes(world: PipelineWorld, compiled: Compiled) -> None:
    path = compiled(features.settings)
    assert world.run(path).outputs["Output"] == {
        "GIVEN": "by the task",
        "TOKEN": "top-secret",
        "READY": "yes",
        "POD": "ml",
        "NONE": "-",
        "SPACE": "-",
        "/etc/keys/token": "top-secret",
        "/etc/settings/ready": "yes",
    }
    wrong = world.run(path, {"secret": "unknown"})
    assert wrong.states() == {"surroundings": "FAILED"}
    assert wrong.task("surroundings").error.startswith("the secret 'unknown' does not exist")
    assert "'nowhere' does not exist" in world.run(compiled(features.missing_secret)).task("echo").error


@pytest.mark.parametrize("fail_slow", [False, True])
def test_what_runs_in_spite_of_failures(world: PipelineWorld, compiled: Compiled, *, fail_slow: bool) -> None:
    ran = world.run(compiled(features.in_spite_of_failures), fail_slow=fail_slow, caching=False)
    assert ran.run.status.value == "failed"
    assert ran.task("last-word").outputs.parameters == {"Output": "nothing came"}
    states = ran.states()
    assert (states["fail"], states["last-word"], states["echo-2"]) == ("FAILED", "SUCCEEDED", "PENDING")
    assert states["echo"] == "SUCCEEDED"  # it had begun, or goes on
    names = {task.name: task.display_name for task in ran.tasks[1:]}
    assert names == {"fail": "what fails", "last-word": "the last word", "echo": "besides", "echo-2": "echo-2"}


def test_packages_that_are_here_are_used(world: PipelineWorld, compiled: Compiled) -> None:
    assert world.run(compiled(features.packages)).outputs == {"Output": 10.0}


@pytest.mark.parametrize(("pipeline", "kind", "reason"), refused.CASES, ids=[case[0].name for case in refused.CASES])
def test_what_cannot_run_is_refused_before_anything_starts(
    world: PipelineWorld, compiled: Compiled, pipeline: Any, kind: type[Exception], reason: str
) -> None:
    with pytest.raises(kind, match=reason):
        world.submit(compiled(pipeline), id=pipeline.name)
    assert not world.engine.repository.exists(pipeline.name)
