"""Cron as KFP and Unix write it, Go's time layouts, and when triggers are due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from mlparity.apis.kubeflow.go_time import format_time
from mlparity.apis.kubeflow.triggers import Trigger
from mlparity.wire.cron_field import CronError
from mlparity.wire.unix_cron import parse_cron_with_seconds, parse_unix_cron

MONDAY = datetime(2026, 1, 5, 8, 30, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 0 9 ? * 2-6", ["2026-01-06T09:00:00", "2026-01-07T09:00:00"]),
        ("0 0 9 ? * TUE-SAT", ["2026-01-06T09:00:00", "2026-01-07T09:00:00"]),
        ("*/20 30 8 * * *", ["2026-01-05T08:30:20", "2026-01-05T08:30:40"]),
        ("0 0 0 29 2 *", ["2028-02-29T00:00:00", "2032-02-29T00:00:00"]),
        ("0 0 12 13 * 5", ["2026-01-09T12:00:00", "2026-01-13T12:00:00"]),  # the 13th, or a Friday
        ("0 0 12 */10 * 5", ["2026-05-01T12:00:00", "2026-07-31T12:00:00"]),  # a star: both must hold
        ("0 15/20 * 5 1", ["2026-01-05T08:35:00", "2026-01-05T08:55:00"]),  # without a day of week
        ("@hourly", ["2026-01-05T09:00:00", "2026-01-05T10:00:00"]),
        ("@every 1h30m", ["2026-01-05T10:00:15", "2026-01-05T11:30:15"]),
    ],
)
def test_cron_with_seconds(text: str, expected: list[str]) -> None:
    times, moment = parse_cron_with_seconds(text), MONDAY
    for wanted in expected:
        found = times.next_after(moment)
        assert found == datetime.fromisoformat(wanted).replace(tzinfo=UTC)
        moment = found


def test_unix_cron_in_a_time_zone() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    nightly = parse_unix_cron("30 2 * * *")
    assert nightly.next_after(datetime(2026, 3, 28, 12, tzinfo=UTC), berlin) == datetime(2026, 3, 30, 0, 30, tzinfo=UTC)
    autumn = nightly.next_after(datetime(2026, 10, 24, 12, tzinfo=UTC), berlin)
    assert autumn == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert nightly.next_after(autumn, berlin) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)
    assert parse_unix_cron("0 0 * * 7").next_after(MONDAY) == datetime(2026, 1, 11, tzinfo=UTC)
    assert parse_unix_cron("0 0 30 2 *").next_after(MONDAY) is None


@pytest.mark.parametrize(
    "text", ["", "* * * *", "60 * * * * *", "* * * * * 7", "a * * * * *", "5-2 * * * * *", "@often"]
)
def test_what_is_no_cron_with_seconds(text: str) -> None:
    with pytest.raises(CronError):
        parse_cron_with_seconds(text)


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("20060102150405", "20260105083015"),
        ("Monday, 2 January 2006 at 3:04 PM", "Monday, 5 January 2026 at 8:30 AM"),
        ("Mon Jan _2 15:04:05.000 MST 06 Z07:00", "Mon Jan  5 08:30:15.000 UTC 26 Z"),
        ("no parts", "no parts"),
    ],
)
def test_go_layouts(layout: str, expected: str) -> None:
    assert format_time(MONDAY, layout) == expected


def test_a_cron_that_missed_a_year_of_seconds_skips_to_the_newest_at_once() -> None:
    trigger = Trigger("* * * * * *", 0, None, None)
    now = MONDAY + timedelta(days=365)
    assert trigger.due_after(MONDAY, MONDAY, now, catch_up=False) == now
    assert trigger.due_after(MONDAY, MONDAY, now, catch_up=True) == MONDAY + timedelta(seconds=1)
    yearly = Trigger("0 0 0 1 1 *", 0, None, None)
    assert yearly.due_after(MONDAY, MONDAY, now, catch_up=False) == datetime(2027, 1, 1, tzinfo=UTC)


def test_an_end_bounds_what_is_made_up_for() -> None:
    end = MONDAY + timedelta(minutes=10)
    trigger = Trigger("0 * * * * *", 0, None, end)
    assert trigger.due_after(MONDAY, MONDAY, MONDAY + timedelta(days=1), catch_up=False) == datetime(
        2026, 1, 5, 8, 40, tzinfo=UTC
    )
    assert trigger.due_after(end, MONDAY, MONDAY + timedelta(days=1), catch_up=True) is None
