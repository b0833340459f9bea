"""Vertex's schedules on a clock by hand: when runs begin, when they are left out, queued or caught up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mlparity.apis.vertex import schedule_timer
from mlparity.apis.vertex.schedule_timer import ScheduleTimer
from mlparity.apis.vertex.schedules_cron import parse
from mlparity.engine.jobs import Phase
from mlparity.engine.runs import RunStatus
from mlparity.engine.scheduling import TimerService
from mlparity.metadata import NewNode
from tests.vertex_bench import PARENT, Twins, VertexBench
from tests.vertex_ir import create as create_job
from tests.vertex_ir import job, pipeline, until_begun, until_ended

MINUTE, HOUR = 60, 3600


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[VertexBench]:
    with VertexBench(tmp_path) as found:
        yield found


def schedule(cron: str = "*/10 * * * *", **fields: Any) -> dict[str, Any]:
    request = {"parent": PARENT, "pipelineJob": job()}
    return {
        "displayName": "nightly",
        "cron": cron,
        "maxConcurrentRunCount": "1",
        "createPipelineJobRequest": request,
        **fields,
    }


def service(at: VertexBench | Twins, method: str, **request: Any) -> dict[str, Any]:
    return at.call(f"ScheduleService.{method}", **request)


def create(at: VertexBench | Twins, cron: str = "*/10 * * * *", **fields: Any) -> str:
    return str(service(at, "CreateSchedule", parent=PARENT, schedule=schedule(cron, **fields))["name"])


def begun(bench: VertexBench, *, after: float = 0) -> list[str]:
    """The ids of all pipeline jobs, the oldest first, once the clock has moved and what is due is done."""
    bench.clock.advance(after)
    timers = TimerService(bench.clock)  # a new one each time: nothing may be kept in memory
    timers.add(ScheduleTimer(bench.vertex))
    timers.run_due()
    timers.run_due()
    found = bench.call("PipelineService.ListPipelineJobs", parent=PARENT, orderBy="create_time")
    return sorted(item["name"].rpartition("/")[2] for item in found.get("pipelineJobs", []))


def finish(bench: VertexBench, job_id: str) -> None:
    until_begun(bench, job_id, "count", "report")
    for task in ("count", "fit", "report"):
        bench.piped.end(job_id, task, Phase.COMPLETED)
    until_ended(bench, job_id, RunStatus.SUCCEEDED)


def test_runs_begin_when_they_are_due_and_once(bench: VertexBench) -> None:
    name = create(bench, maxRunCount="3")
    assert begun(bench, after=9 * MINUTE + 59) == []
    assert begun(bench, after=1) == ["train-20260101001000"]
    assert begun(bench) == ["train-20260101001000"]
    found = service(bench, "GetSchedule", name=name)
    assert found["lastScheduledRunResponse"] == {
        "scheduledRunTime": "2026-01-01T00:10:00Z",
        "runResponse": "OK",
    }
    assert (found["startedRunCount"], found["nextRunTime"]) == ("1", "2026-01-01T00:20:00Z")
    # The stack was down for an hour: the last of what was missed begins, and no more.
    assert begun(bench, after=HOUR)[1:] == ["train-20260101011000"]
    assert begun(bench, after=9 * MINUTE + 59)[2:] == []
    assert begun(bench, after=1)[2:] == ["train-20260101012000"]
    found = service(bench, "GetSchedule", name=name)
    assert (found["state"], found["startedRunCount"]) == ("COMPLETED", "3")
    assert "nextRunTime" not in found
    assert len(begun(bench, after=HOUR)) == 3
    jobs = bench.call("PipelineService.ListPipelineJobs", parent=PARENT, filter=f"schedule_name={name}")
    assert {item["scheduleName"] for item in jobs["pipelineJobs"]} == {name}
    assert len(jobs["pipelineJobs"]) == 3


def test_a_crash_between_the_run_and_its_record_leaves_neither(
    bench: VertexBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = create(bench)
    with monkeypatch.context() as patched:
        patched.setattr(schedule_timer, "save", _dies)
        assert begun(bench, after=10 * MINUTE) == []
        assert "startedRunCount" not in service(bench, "GetSchedule", name=name)
    assert begun(bench) == ["train-20260101001000"]


def _dies(*_: object) -> None:
    raise SystemError("as if the process had died here")


@pytest.mark.parametrize("queueing", [False, True])
def test_unfinished_runs_hold_the_next_ones_back(bench: VertexBench, *, queueing: bool) -> None:
    name = create(bench, maxConcurrentActiveRunCount="1", allowQueueing=queueing)
    first, second = "train-20260101001000", "train-20260101002000"
    assert begun(bench, after=10 * MINUTE) == [first]
    assert begun(bench, after=10 * MINUTE) == [first]
    found = service(bench, "GetSchedule", name=name)
    timer = ScheduleTimer(bench.vertex)
    if queueing:
        assert found["nextRunTime"] == "2026-01-01T00:20:00Z"  # behind schedule
        assert timer.next_due() is None
    else:
        assert found["nextRunTime"] == "2026-01-01T00:30:00Z"
        assert found["lastScheduledRunResponse"]["runResponse"].startswith("Skipped")
    assert found["startedRunCount"] == "1"
    finish(bench, first)
    assert begun(bench) == ([first, second] if queueing else [first])
    assert begun(bench, after=10 * MINUTE)[1:] == ([second] if queueing else ["train-20260101003000"])


@pytest.mark.parametrize("catch_up", [False, True])
def test_a_paused_schedule_begins_nothing_and_may_catch_up(bench: VertexBench, *, catch_up: bool) -> None:
    name = create(bench, maxConcurrentActiveRunCount="2")
    service(bench, "PauseSchedule", name=name)
    assert begun(bench, after=35 * MINUTE) == []
    assert bench.refused("ScheduleService.PauseSchedule", name=name).code == "FAILED_PRECONDITION"
    service(bench, "ResumeSchedule", name=name, catchUp=catch_up)
    assert bench.refused("ScheduleService.ResumeSchedule", name=name).code == "FAILED_PRECONDITION"
    found = service(bench, "GetSchedule", name=name)
    assert (found["state"], found.get("catchUp", False)) == ("ACTIVE", catch_up)
    assert found["lastPauseTime"] < found["lastResumeTime"]
    if not catch_up:
        assert begun(bench) == []
        assert begun(bench, after=5 * MINUTE) == ["train-20260101004000"]
        return
    missed = ["train-20260101001000", "train-20260101002000", "train-20260101003000"]
    assert begun(bench) == missed[:2]  # as many as may go on at a time
    finish(bench, missed[0])
    assert begun(bench) == missed


def test_the_end_time_completes_a_schedule(bench: VertexBench) -> None:
    name = create(bench, startTime="2026-01-01T00:15:00Z", endTime="2026-01-01T00:35:00Z")
    assert begun(bench, after=30 * MINUTE) == ["train-20260101003000"]
    assert service(bench, "GetSchedule", name=name)["state"] == "ACTIVE"
    assert len(begun(bench, after=5 * MINUTE)) == 1
    assert service(bench, "GetSchedule", name=name)["state"] == "COMPLETED"
    for method in ("PauseSchedule", "ResumeSchedule"):
        assert bench.refused(f"ScheduleService.{method}", name=name).code == "FAILED_PRECONDITION"


def test_a_run_that_cannot_begin_is_told_and_passed_over(bench: VertexBench) -> None:
    name = create(bench)
    create_job(bench, "train-20260101001000")
    other = begun(bench, after=10 * MINUTE)
    assert len(other) == 2  # under another id
    assert other[1] == f"train-20260101001000-{name[-8:]}"
    # A pipeline that asks for what is gone meanwhile: an artifact.
    store = bench.vertex.metadata.of("vertex/test-project/us-central1/default")
    store.artifacts.create(NewNode("a1", "data", "system.Dataset", "0.0.1", uri="gs://bucket/data"))
    needy = job(runtimeConfig={"inputArtifacts": {"data": {"artifactId": "a1"}}})
    declared = {"data": {"artifactType": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"}}}
    needy["pipelineSpec"]["root"]["inputDefinitions"]["artifacts"] = declared
    failing = create(bench, createPipelineJobRequest={"parent": PARENT, "pipelineJob": needy})
    service(bench, "DeleteSchedule", name=name)
    store.artifacts.delete("a1")
    assert len(begun(bench, after=10 * MINUTE)) == 2
    found = service(bench, "GetSchedule", name=failing)
    assert (found["state"], found["nextRunTime"]) == ("ACTIVE", "2026-01-01T00:30:00Z")
    assert "artifacts/a1` is not found" in found["lastScheduledRunResponse"]["runResponse"]
    assert "startedRunCount" not in found


def test_times_follow_the_clock_of_the_zone() -> None:
    def times(text: str, start: str, count: int) -> list[str]:
        cron, at, found = parse(text), datetime.fromisoformat(start).replace(tzinfo=UTC), []
        for _ in range(count):
            following = cron.after(at)
            assert following is not None
            at = following
            found.append(f"{at:%m-%d %H:%M}")
        return found

    # New York goes from UTC-5 to UTC-4 on 8 March, and back on 1 November.
    for prefix in ("TZ", "CRON_TZ"):
        assert times(f"{prefix}=America/New_York 0 9 * * *", "2026-03-07", 3) == [
            "03-07 14:00", "03-08 13:00", "03-09 13:00",
        ]  # fmt: skip
    assert times("TZ=America/New_York 30 2 * * *", "2026-03-07", 3) == ["03-07 07:30", "03-09 06:30", "03-10 06:30"]
    assert times("TZ=America/New_York 30 1 * * *", "2026-10-31T12:00", 2) == ["11-01 05:30", "11-02 06:30"]
    assert times("0 9 * * 1", "2026-01-01", 2) == ["01-05 09:00", "01-12 09:00"]
    cron, due, now = parse("0 3 * * *"), datetime(2026, 1, 1, 3, tzinfo=UTC), datetime(2026, 5, 1, 2, tzinfo=UTC)
    assert cron.latest(due, now) == datetime(2026, 4, 30, 3, tzinfo=UTC)
    assert cron.latest(due, due) == due


def test_changes_and_refusals_are_the_same_over_both_wires(tmp_path: Path) -> None:
    with Twins(tmp_path) as twins:
        name = create(twins, "TZ=Europe/Berlin 0 3 * * *")
        found = service(twins, "GetSchedule", name=name)
        assert (found["state"], found["nextRunTime"]) == ("ACTIVE", "2026-01-01T02:00:00Z")
        assert found["startTime"] == found["createTime"]
        assert found["createPipelineJobRequest"]["pipelineJob"]["pipelineSpec"] == pipeline()
        changed = service(
            twins,
            "UpdateSchedule",
            schedule={"name": name, "cron": "0 5 * * *", "displayName": "ignored", "maxRunCount": "4"},
            updateMask="cron,maxRunCount",
        )
        assert (changed["displayName"], changed["cron"], changed["maxRunCount"]) == ("nightly", "0 5 * * *", "4")
        assert changed["nextRunTime"] == "2026-01-01T05:00:00Z"
        paused = create(twins, displayName="other", endTime="2027-01-01T00:00:00Z")
        service(twins, "PauseSchedule", name=paused)

        def listed(text: str) -> list[str]:
            answer = service(twins, "ListSchedules", parent=PARENT, filter=text)
            return [item["displayName"] for item in answer.get("schedules", [])]

        assert listed('state="ACTIVE" AND display_name:"night*"') == ["nightly"]
        assert listed("NOT end_time:* OR create_notebook_execution_job_request:*") == ["nightly"]
        assert sorted(listed("create_pipeline_job_request:*")) == ["nightly", "other"]
        assert service(twins, "DeleteSchedule", name=paused)["done"]

        def code(method: str, **request: Any) -> str:
            return twins.refused(f"ScheduleService.{method}", **request).code

        wrong: list[dict[str, Any]] = [
            schedule("every day"),
            schedule("0 0 30 2 *"),
            schedule("TZ=Mars/Olympus 0 3 * * *"),
            schedule(maxConcurrentRunCount="0"),
            schedule(endTime="2020-01-01T00:00:00Z"),
            schedule(createPipelineJobRequest={"parent": "projects/p/locations/l", "pipelineJob": job()}),
            schedule(createPipelineJobRequest={"parent": PARENT, "pipelineJob": job(pipeline(image="unknown:9"))}),
        ]
        for item in wrong:
            assert code("CreateSchedule", parent=PARENT, schedule=item) == "INVALID_ARGUMENT", item
        unset = {"schedule": {"name": name}, "updateMask": "maxRunCount"}
        assert code("UpdateSchedule", **unset) == "INVALID_ARGUMENT"
        assert code("GetSchedule", name=paused) == "NOT_FOUND"
