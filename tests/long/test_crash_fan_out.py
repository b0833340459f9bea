"""The control plane, then all of the stack, is killed amid a loop of fifty tasks: the loop ends as if it were not."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlparity.state import Database
from mlparity.testing import faults
from mlparity.testing.stack import RunningStack, running_stack
from tests.conformance.ir_corpus.fan_out import squares
from tests.conformance.kfp_world import client
from tests.conformance.tally import Tally
from tests.crash.invariants import blobs, processes_of
from tests.crash.test_crash_kfp import ended, patiently

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning:kfp.*")
TASKS = 50
KILLS = 2


@pytest.mark.slow
def test_a_fan_out_ends_though_the_stack_is_killed_amid_it(tmp_path: Path) -> None:
    data, tally = tmp_path / "data", Tally()
    try:
        with running_stack(data, mlflow=False) as stack, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kfp = client(stack.pipelines_url)
            arguments = {"numbers": list(range(TASKS)), "url": tally.url}
            run_id = kfp.create_run_from_pipeline_func(squares, arguments, enable_caching=False).run_id
            _until(lambda: _count(tally, "end") >= TASKS // 4)
            before = _processes(stack)
            assert faults.kill(stack, faults.Part.CONTROL_PLANE) is not None
            _until(lambda: _count(tally, "end") >= TASKS // 2)
            before += _processes(stack)
            assert faults.kill(stack, faults.Part.SUPERVISOR) is not None
            started = faults.bring_up(stack)
            run = patiently(lambda: ended(kfp, run_id))
            assert run.state == "SUCCEEDED"
            _check_tasks(run)
            _check_objects(stack, run_id)
            assert not [process.pid for process in before if process.is_running()]
        if started.process is not None:
            started.process.wait()
    finally:
        tally.close()
    assert processes_of(data) == {}
    assert blobs(stack) == []
    _check_programs(stack, tally)
    _check_jobs(stack)


def _check_tasks(run: Any) -> None:
    """Every iteration is there once, and has succeeded."""
    tasks = run.run_details.task_details
    assert [task.state for task in tasks if task.display_name == "square"] == ["SUCCEEDED"] * TASKS
    assert [task.state for task in tasks if task.display_name == "total"] == ["SUCCEEDED"]


def _check_objects(stack: RunningStack, run_id: str) -> None:
    """Every task's file is stored once, in one version, by the program that ended."""
    s3, bucket = stack.client("s3"), stack.config.pipelines_bucket
    found: Counter[str] = Counter()
    prefix = f"v2/artifacts/squares/{run_id}/"
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        found.update(item["Key"] for item in page.get("Versions", []) if item["Key"].endswith("/made"))
        assert not page.get("DeleteMarkers")
    assert set(found.values()) == {1}
    texts = sorted(s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in found)
    assert sorted(int(text.split()[0]) for text in texts) == list(range(TASKS))


def _check_programs(stack: RunningStack, tally: Tally) -> None:
    """Only what was under way began again; a program may have told of its end, and not have been seen to end."""
    begun = [tally.counts[f"/begin/{number}"] for number in range(TASKS)]
    done = [tally.counts[f"/end/{number}"] for number in range(TASKS)]
    assert min(done) == 1
    assert all(ends <= begins <= 1 + KILLS for begins, ends in zip(begun, done, strict=True))
    assert sum(begun) - TASKS <= KILLS * stack.config.max_parallel_jobs


def _check_jobs(stack: RunningStack) -> None:
    """Each task has one job that came to its end."""
    from sqlalchemy import func, select

    from mlparity.state.schema.engine import jobs

    database = Database.open(stack.config.database_path)
    try:
        with database.read() as connection:
            query = select(jobs.c.run_id, jobs.c.phase, func.count()).group_by(jobs.c.run_id, jobs.c.phase)
            rows = [(row[1], row[2]) for row in connection.execute(query)]
    finally:
        database.close()
    assert rows == [("completed", 1)] * (TASKS + 1)


def _count(tally: Tally, what: str) -> int:
    return sum(path.startswith(f"/{what}/") for path in list(tally.counts))


def _processes(stack: RunningStack) -> list[psutil.Process]:
    plane = faults.find(stack, faults.Part.CONTROL_PLANE)
    return [plane, *plane.children(recursive=True)] if plane is not None else []


def _until(holds: Any) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
