"""Schedule expressions, by the vendor's own examples."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from mlparity.wire.aws_cron import Cron
from mlparity.wire.aws_schedule import ScheduleExpressionError, is_strict_rule_expression, read_expression, read_zone
from mlparity.wire.cron_field import CronError

START = datetime(2022, 11, 15, 8, 0, tzinfo=UTC)


def times(expression: str, count: int, *, after: datetime = START, zone: str = "UTC") -> list[str]:
    recurrence = read_expression(expression, ZoneInfo(zone), after)
    found: list[str] = []
    moment = after
    while len(found) < count:
        following = recurrence.next_after(moment)
        if following is None:
            break
        moment = following
        found.append(moment.astimezone(ZoneInfo(zone)).strftime("%a %Y-%m-%d %H:%M"))
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
        ("cron(15 10 ? * 6L 2022-2023)", ["Fri 2022-11-25 10:15", "Fri 2022-12-30 10:15", "Fri 2023-01-27 10:15"]),
        # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cron-expressions.html
        ("cron(0 10 * * ? *)", ["Tue 2022-11-15 10:00", "Wed 2022-11-16 10:00"]),
        ("cron(15 12 * * ? *)", ["Tue 2022-11-15 12:15", "Wed 2022-11-16 12:15"]),
        ("cron(0 18 ? * MON-FRI *)", ["Tue 2022-11-15 18:00", "Wed 2022-11-16 18:00", "Thu 2022-11-17 18:00",
                                      "Fri 2022-11-18 18:00", "Mon 2022-11-21 18:00"]),
        ("cron(0 8 1 * ? *)", ["Thu 2022-12-01 08:00", "Sun 2023-01-01 08:00"]),
        ("cron(0/15 * * * ? *)", ["Tue 2022-11-15 08:15", "Tue 2022-11-15 08:30", "Tue 2022-11-15 08:45",
                                  "Tue 2022-11-15 09:00"]),
        ("cron(0/10 * ? * MON-FRI *)", ["Tue 2022-11-15 08:10", "Tue 2022-11-15 08:20"]),
        ("cron(0/5 8-17 ? * MON-FRI *)", ["Tue 2022-11-15 08:05", "Tue 2022-11-15 08:10"]),
        ("cron(0/30 20-2 ? * MON-FRI *)", ["Tue 2022-11-15 20:00", "Tue 2022-11-15 20:30", "Tue 2022-11-15 21:00"]),
        ("cron(0 9 ? * 2#1 *)", ["Mon 2022-12-05 09:00", "Mon 2023-01-02 09:00"]),
        ("cron(0 12 L * ? *)", ["Wed 2022-11-30 12:00", "Sat 2022-12-31 12:00"]),
        ("cron(0 12 L FEB ? *)", ["Tue 2023-02-28 12:00", "Thu 2024-02-29 12:00"]),
        ("cron(0 0 3W * ? *)", ["Fri 2022-12-02 00:00", "Tue 2023-01-03 00:00"]),
        ("cron(0 0 LW * ? *)", ["Wed 2022-11-30 00:00", "Fri 2022-12-30 00:00"]),
        ("cron(0 0 1W JAN ? *)", ["Mon 2023-01-02 00:00", "Mon 2024-01-01 00:00"]),
        ("cron(0 0 ? * L *)", ["Sat 2022-11-19 00:00", "Sat 2022-11-26 00:00"]),
        ("cron(0 0 ? * FRI-SUN *)", ["Fri 2022-11-18 00:00", "Sat 2022-11-19 00:00", "Sun 2022-11-20 00:00"]),
        ("cron(0 0 29 2 ? *)", ["Thu 2024-02-29 00:00", "Tue 2028-02-29 00:00"]),
        ("cron(0 0 31 * ? 2022)", ["Sat 2022-12-31 00:00"]),
        ("cron(0 12 1 1 ? 2021)", []),
        ("rate(1 hour)", ["Tue 2022-11-15 09:00", "Tue 2022-11-15 10:00"]),
        ("rate(5 minutes)", ["Tue 2022-11-15 08:05", "Tue 2022-11-15 08:10"]),
        ("rate(1 day)", ["Wed 2022-11-16 08:00", "Thu 2022-11-17 08:00"]),
        ("at(2022-11-20T13:00:00)", ["Sun 2022-11-20 13:00"]),
        ("at(2022-11-15T07:59:59)", []),
    ],
)  # fmt: skip
def test_the_vendors_examples(expression: str, expected: list[str]) -> None:
    assert times(expression, max(len(expected), 1)) == expected


def test_times_of_day_follow_the_time_zone_through_both_changes() -> None:
    zone = "America/New_York"
    spring = datetime(2026, 3, 7, 12, tzinfo=UTC)  # clocks go from 02:00 to 03:00 on 8 March
    assert times("cron(30 2 * * ? *)", 2, after=spring, zone=zone) == ["Mon 2026-03-09 02:30", "Tue 2026-03-10 02:30"]
    autumn = datetime(2026, 10, 31, 12, tzinfo=UTC)  # 01:30 comes twice on 1 November
    assert times("cron(30 1 * * ? *)", 2, after=autumn, zone=zone) == ["Sun 2026-11-01 01:30", "Mon 2026-11-02 01:30"]
    found = read_expression("at(2026-07-01T09:00:00)", ZoneInfo("Europe/Berlin"), START).next_after(START)
    assert found == datetime(2026, 7, 1, 7, tzinfo=UTC)


def test_a_rate_counts_from_its_anchor() -> None:
    anchor = START + timedelta(minutes=7)
    recurrence = read_expression("rate(10 minutes)", UTC, anchor)
    assert recurrence.next_after(START) == anchor
    assert recurrence.next_after(anchor) == anchor + timedelta(minutes=10)
    assert recurrence.next_after(anchor + timedelta(minutes=29)) == anchor + timedelta(minutes=30)


@pytest.mark.parametrize(
    "expression",
    ["cron(* * * * * *)", "cron(0 0 ? * ? *)", "cron(0 12 * *)", "cron(60 0 * * ? *)", "cron(0 0 0 * ? *)",
     "cron(0 0 ? * 8 *)", "cron(0 0 ? * MON#6 *)", "cron(0/0 * * * ? *)", "cron(0 0 ? FOO MON *)", "cron()",
     "cron(0 0 32W * ? *)", "cron(0 0 * * ? 1969)", "rate(0 minutes)", "rate(5 weeks)", "rate(5)", "rate(-1 hour)",
     "at(2022-13-01T00:00:00)", "at(2022-11-20)", "daily", "rate(99999999999999 days)",
     "cron(\u0661 0 * * ? *)", "cron(0 0 1 * ? 2030-2020)"],
)  # fmt: skip
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(ScheduleExpressionError):
        read_expression(expression, UTC, START)


def test_rules_are_strict_about_plurals() -> None:
    strict = is_strict_rule_expression
    assert strict("rate(1 minute)")
    assert strict("rate(2 minutes)")
    assert strict("cron(0 0 * * ? *)")
    assert not strict("rate(1 minutes)")
    assert not strict("rate(2 minute)")
    assert not strict("at(2022-11-20T13:00:00)")


def test_zones_and_fields_say_what_is_wrong() -> None:
    for name in ("Mars/Olympus", "../etc/passwd", ""):
        with pytest.raises(ScheduleExpressionError, match="time zone"):
            read_zone(name)
    with pytest.raises(CronError, match="must be"):
        Cron.parse("0 0 1 * MON *")
