"""Recurring runs of the Kubeflow API on a clock that the test moves; and a control plane that dies in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mlparity.testing import TestClock
from tests.conformance.kfp_pipelines import compiled, two_steps
from tests.conformance.kfp_world import KfpWorld, kfp_world, refused

START = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)  # a Monday


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> str:
    return compiled(two_steps, tmp_path_factory.mktemp("package") / "two_steps.yaml")


class Calendar:
    """A served world, its clock moved with everything that is due on the way."""

    def __init__(self, world: KfpWorld, client: Any, package: str) -> None:
        self.world, self.client, self.package = world, client, package
        self.experiment = client.get_experiment(experiment_name="Default").experiment_id

    def create(self, name: str = "job", **more: Any) -> str:
        more.setdefault("pipeline_package_path", self.package)
        return str(self.client.create_recurring_run(self.experiment, name, **more).recurring_run_id)

    def advance(self, seconds: float) -> None:
        self.world.clock.advance(seconds)
        self.world.timers.run_due()

    def runs(self, recurring: str) -> list[Any]:
        mine = {"key": "recurring_run_id", "operation": "EQUALS", "stringValue": recurring}
        found = self.client.list_runs(page_size=100, sort_by="scheduled_at", filter=json.dumps({"predicates": [mine]}))
        return list(found.runs)

    def times(self, recurring: str) -> list[str]:
        return [run.scheduled_at.astimezone(UTC).strftime("%d %H:%M:%S") for run in self.runs(recurring)]

    def finish(self, run_id: str) -> None:
        self.world.end(run_id, "count")
        self.world.end(run_id, "fit")
        self.world.wait(run_id, "SUCCEEDED")


@pytest.fixture
def calendar(tmp_path: Path, package: str) -> Iterator[Calendar]:
    with kfp_world(tmp_path / "world", TestClock(START)) as (world, client):
        yield Calendar(world, client, package)


def test_cron_interval_and_bounds(calendar: Calendar) -> None:
    weekdays = calendar.create("Weekdays!", cron_expression="0 0 9 ? * 2-3", max_concurrency=10)
    interval = calendar.create(
        "hourly",
        interval_second=3600,
        start_time="2026-01-05T09:00:00Z",
        end_time="2026-01-05T12:30:00Z",
        max_concurrency=10,
    )
    calendar.advance(1800)
    assert calendar.times(weekdays) == calendar.times(interval) == []
    for _ in range(72):
        calendar.advance(3600)
    assert calendar.times(weekdays) == ["06 09:00:00", "07 09:00:00"]
    assert calendar.times(interval) == ["05 10:00:00", "05 11:00:00", "05 12:00:00"]
    shown = calendar.client.get_recurring_run(weekdays)
    assert (shown.status, shown.mode, shown.max_concurrency, shown.no_catchup) == ("ENABLED", "ENABLE", "10", False)
    assert (shown.trigger.cron_schedule.cron, shown.trigger.periodic_schedule) == ("0 0 9 ? * 2-3", None)
    assert shown.pipeline_spec["pipelineInfo"]["name"] == "two-steps"
    bounds = calendar.client.get_recurring_run(interval).trigger.periodic_schedule
    assert (bounds.interval_second, bounds.end_time) == ("3600", datetime(2026, 1, 5, 12, 30, tzinfo=UTC))
    run = calendar.runs(weekdays)[0]
    assert run.display_name.startswith("weekdays")
    assert run.display_name.split("-")[1] == "1"


def test_parameters_are_filled_in_at_every_run(calendar: Calendar) -> None:
    label = "[[ScheduledTime]] [[ScheduledTime.2006-01-02T15:04:05]] [[CurrentTime.Jan _2]] [[Index]] [[RunUUID]] [[x]]"
    recurring = calendar.create(interval_second=60, params={"label": label, "rows": 4}, max_concurrency=2)
    calendar.advance(60)
    calendar.advance(75)
    first, second = calendar.runs(recurring)
    assert first.runtime_config.parameters == {
        "label": f"20260105083100 2026-01-05T08:31:00 Jan  5 1 {first.run_id} [[x]]",
        "rows": 4,
    }
    assert second.runtime_config.parameters["label"].startswith("20260105083200 2026-01-05T08:32:00 Jan  5 2 ")
    assert calendar.world.pipelines.requests[second.run_id].parameters == second.runtime_config.parameters


def test_missed_times_follow_one_by_one_or_only_the_newest(calendar: Calendar) -> None:
    every = calendar.create("all", cron_expression="0 0 * * * *", max_concurrency=10)
    newest = calendar.create("newest", cron_expression="0 0 * * * *", max_concurrency=10, no_catchup=True)
    spaced = calendar.create("spaced", interval_second=3600, max_concurrency=10, no_catchup=True)
    calendar.advance(4 * 3600)
    assert calendar.times(every) == ["05 09:00:00", "05 10:00:00", "05 11:00:00", "05 12:00:00"]
    assert calendar.times(newest) == ["05 12:00:00"]
    assert calendar.times(spaced) == ["05 12:30:00"]
    calendar.advance(1800)
    assert calendar.times(newest) == ["05 12:00:00", "05 13:00:00"]


def test_only_so_many_run_at_once(calendar: Calendar) -> None:
    recurring = calendar.create(interval_second=60, max_concurrency=2)
    calendar.advance(300)
    first, second = calendar.runs(recurring)
    assert calendar.world.timers._work[0].next_due() is None
    calendar.finish(first.run_id)
    calendar.world.timers.run_due()
    assert calendar.times(recurring) == ["05 08:31:00", "05 08:32:00", "05 08:33:00"]
    calendar.client.delete_recurring_run(recurring)
    assert refused(lambda: calendar.client.get_recurring_run(recurring))[0] == 404
    assert calendar.client.get_run(second.run_id).state == "CANCELING"
    assert calendar.client.get_run(first.run_id).state == "SUCCEEDED"


def test_a_disabled_one_waits_and_the_newest_version_is_run(calendar: Calendar) -> None:
    import kfp_server_api as api

    client = calendar.client
    pipeline = client.upload_pipeline(calendar.package, "recurring")
    recurring = client.recurring_runs.recurring_run_service_create_recurring_run(
        api.V2beta1RecurringRun(
            display_name="newest version",
            max_concurrency="10",
            no_catchup=True,
            mode="DISABLE",
            trigger=api.V2beta1Trigger(periodic_schedule=api.V2beta1PeriodicSchedule(interval_second="60")),
            pipeline_version_reference=api.V2beta1PipelineVersionReference(pipeline_id=pipeline.pipeline_id),
        )
    )
    assert (recurring.status, recurring.pipeline_version_reference.pipeline_version_id) == ("DISABLED", "")
    calendar.advance(600)
    client.enable_recurring_run(recurring.recurring_run_id)
    calendar.advance(30)
    version = client.upload_pipeline_version(calendar.package, "newer", pipeline.pipeline_id)
    calendar.advance(60)
    runs = calendar.runs(recurring.recurring_run_id)
    assert runs[-1].pipeline_version_reference.pipeline_version_id == version.pipeline_version_id
    assert runs[0].pipeline_version_reference.pipeline_version_id != version.pipeline_version_id
    client.disable_recurring_run(recurring.recurring_run_id)
    calendar.advance(600)
    assert len(calendar.runs(recurring.recurring_run_id)) == len(runs) == 2
    client.pipelines.pipeline_service_delete_pipeline(pipeline.pipeline_id, cascade=True)
    client.enable_recurring_run(recurring.recurring_run_id)
    calendar.advance(60)
    shown = client.get_recurring_run(recurring.recurring_run_id)
    assert f"Pipeline {pipeline.pipeline_id} not found" in shown.error.message
    listed = client.list_recurring_runs(sort_by="created_at desc", experiment_id=calendar.experiment)
    assert [item.recurring_run_id for item in listed.recurring_runs] == [recurring.recurring_run_id]


def test_an_archived_experiment_disables_its_recurring_runs(calendar: Calendar) -> None:
    calendar.experiment = calendar.client.create_experiment("archived").experiment_id
    recurring = calendar.create(interval_second=60)
    calendar.client.archive_experiment(calendar.experiment)
    calendar.advance(600)
    assert (calendar.client.get_recurring_run(recurring).status, calendar.runs(recurring)) == ("DISABLED", [])


def test_a_restart_goes_on_where_the_last_ended(tmp_path: Path, package: str) -> None:
    clock = TestClock(START)
    with kfp_world(tmp_path / "world", clock) as (world, client):
        calendar = Calendar(world, client, package)
        recurring = calendar.create(interval_second=60, max_concurrency=10)
        calendar.advance(60)
        run_id = calendar.runs(recurring)[0].run_id
        world.until(lambda: world.runs.steps(run_id)["count"].job_id is not None)
    clock.advance(120)
    with kfp_world(tmp_path / "world", clock) as (world, client):
        calendar = Calendar(world, client, package)
        calendar.finish(run_id)
        world.timers.run_due()
        assert calendar.times(recurring) == ["05 08:31:00", "05 08:32:00", "05 08:33:00"]
        first = calendar.runs(recurring)[0]
        assert (first.run_id, first.state) == (run_id, "SUCCEEDED")
        assert [entry.state for entry in first.state_history] == ["PENDING", "RUNNING", "SUCCEEDED"]


def test_what_cannot_recur_is_refused(calendar: Calendar) -> None:
    for more, message in (
        ({"cron_expression": "0 9 * *"}, "Schedule cron is not a supported format"),
        ({"cron_expression": "0 0 25 * * *"}, "not between 0 and 23"),
        ({"interval_second": -5}, "Found invalid interval schedule interval -5"),
        ({"interval_second": 60, "max_concurrency": 11}, "Support 1-10. Received 11"),
        ({"interval_second": 60, "params": {"colour": "red"}}, "parameter colour is unknown"),
        ({"interval_second": 60, "start_time": "tomorrow"}, "invalid google.protobuf.Timestamp value"),
    ):
        status, told = refused(lambda more=more: calendar.create(**more))
        assert (status, told.startswith("Failed to create a recurring run: Invalid input error: ")) == (400, True)
        assert message in told
    assert calendar.client.list_recurring_runs().total_size == 0
