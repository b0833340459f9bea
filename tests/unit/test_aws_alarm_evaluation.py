"""An alarm's state from its data points: the vendor's own tables."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlparity.apis.aws.alarms_evaluation import Point, evaluate
from mlparity.apis.aws.metrics_statistics import floored, is_known, periods
from mlparity.apis.aws.metrics_store import Datum

NOW = datetime(2026, 10, 2, 17, 4, 40, tzinfo=UTC)
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
KEPT = "kept"


def points(shown: str) -> list[Point]:
    """ "0 - X" is oldest first: within, missing, breaching."""
    values = {"0": 1.0, "X": 99.0, "-": None}
    newest_first = [values[each] for each in reversed(shown.split())]
    return [Point(NOW - timedelta(minutes=index + 1), value) for index, value in enumerate(newest_first)]


def alarm(periods: int, needed: int, treatment: str) -> dict[str, Any]:
    return {
        "EvaluationPeriods": periods, "DatapointsToAlarm": needed, "TreatMissingData": treatment, "Threshold": 50.0,
        "ComparisonOperator": "GreaterThanThreshold", "Statistic": "Average", "Period": 60,
    }  # fmt: skip


# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
@pytest.mark.parametrize(
    ("shown", "needed", "expected"),
    [
        ("0 - X - X", 3, ("OK", "OK", "OK", "OK")),
        ("0 - - - -", 3, ("OK", "OK", "OK", "OK")),
        ("- - - - -", 3, ("INSUFFICIENT_DATA", KEPT, "ALARM", "OK")),
        ("0 X X - X", 3, ("ALARM", "ALARM", "ALARM", "ALARM")),
        ("- - X - -", 3, ("ALARM", KEPT, "ALARM", "OK")),
        ("0 - X - X", 2, ("ALARM", "ALARM", "ALARM", "ALARM")),
        ("0 0 X 0 X", 2, ("ALARM", "ALARM", "ALARM", "ALARM")),
        ("0 - X - -", 2, ("OK", "OK", "ALARM", "OK")),
        ("- - - - 0", 2, ("OK", "OK", "ALARM", "OK")),
        ("- - - X -", 2, ("ALARM", KEPT, "ALARM", "OK")),
    ],
)
def test_the_vendors_tables(shown: str, needed: int, expected: tuple[str, ...]) -> None:
    for treatment, wanted in zip(TREATMENTS, expected, strict=True):
        for before in ("OK", "ALARM", "INSUFFICIENT_DATA"):
            verdict = evaluate(alarm(3, needed, treatment), points(shown), before, NOW)
            assert (before if verdict is None else verdict.state) == (before if wanted == KEPT else wanted), treatment


def test_reasons_are_in_the_vendors_words() -> None:
    found = evaluate(alarm(1, 1, "missing"), points("X"), "OK", NOW)
    assert found is not None
    assert found.reason == (
        "Threshold Crossed: 1 out of the last 1 datapoint [99.0 (02/10/26 17:03:40)] was greater than the threshold "
        "(50.0) (minimum 1 datapoint for OK -> ALARM transition)."
    )
    assert json.loads(found.data) == {
        "version": "1.0", "queryDate": "2026-10-02T17:04:40.000+0000", "startDate": "2026-10-02T17:03:40.000+0000",
        "statistic": "Average", "period": 60, "recentDatapoints": [99.0], "threshold": 50.0,
    }  # fmt: skip
    back = evaluate(alarm(2, 1, "missing"), points("0 0"), "ALARM", NOW)
    assert back is not None
    assert "were not greater than the threshold (50.0) (minimum 2 datapoints for ALARM -> OK transition)" in back.reason
    gone = evaluate(alarm(3, 3, "missing"), points("- - -"), "OK", NOW)
    assert gone is not None
    assert gone.reason == "Insufficient Data: 3 datapoints were unknown."
    quiet = evaluate(alarm(1, 1, "notBreaching"), points("- - -"), "ALARM", NOW)
    assert quiet is not None
    assert quiet.reason == (
        "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as "
        "[NonBreaching]."
    )


def test_statistics_of_values_counts_and_summaries() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    data = [
        Datum.of(start, [(1.0, 1.0), (2.0, 3.0)]),
        Datum.of(start + timedelta(seconds=59), [(9.0, 1.0)]),
        Datum(start + timedelta(seconds=60), 4, 40.0, 1.0, 30.0),
    ]
    first, second = periods(data, start, 60)
    values = {name: first.statistic(name) for name in ("SampleCount", "Sum", "Average", "Minimum", "Maximum")}
    assert values == {"SampleCount": 5, "Sum": 16, "Average": 3.2, "Minimum": 1, "Maximum": 9}
    assert [first.statistic(name) for name in ("p0", "p25", "p50", "p100")] == [1, 2, 2, 9]
    assert first.statistic("p90") == pytest.approx(6.2)
    assert second.statistic("Average") == 10
    assert second.statistic("p90") is None
    assert is_known("p99.9")
    assert not is_known("p101")
    assert not is_known("tm90")
    assert floored(datetime(2026, 1, 1, 0, 7, 31, 5, tzinfo=UTC), 300) == datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
