"""Statistics, drift and constraints of a dataset, against scipy and pandas on the same data."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlparity.monitoring import constraints, drift, sketch, violations
from mlparity.monitoring.columns import Kind, read_columns
from mlparity.monitoring.statistics import statistics

RANDOM = np.random.default_rng(7)


def frame(rows: int, shift: float = 0.0, late: float = 0.5) -> pd.DataFrame:
    """Rows as a CSV reader gives them: texts, and some missing."""
    delay = RANDOM.normal(shift, 3.0, rows)
    cells = {
        "delay": [f"{value:.6f}" for value in delay],
        "hour": [str(value) for value in RANDOM.integers(0, 24, rows)],
        "carrier": list(RANDOM.choice(["AA", "B6", "UA"], rows, p=[late, 0.9 - late, 0.1])),
        "gaps": [None if value > 2.5 else str(round(value)) for value in delay - shift],
    }
    return pd.DataFrame(cells, dtype=object)


def sketch_of(numbers: np.ndarray) -> sketch.Sketch:
    return sketch.from_levels(sketch.levels(numbers))


def test_statistics_are_those_of_pandas() -> None:
    data = frame(5000)
    document = statistics(read_columns(data), len(data))
    features = {item["name"]: item for item in document["features"]}
    assert document["dataset"] == {"item_count": 5000}
    assert [features[name]["inferred_type"] for name in data] == ["Fractional", "Integral", "String", "Integral"]
    for name in ("delay", "hour", "gaps"):
        numbers = data[name].dropna().astype(float)
        found = features[name]["numerical_statistics"]
        assert found["common"] == {"num_present": len(numbers), "num_missing": 5000 - len(numbers)}
        expected = [numbers.mean(), numbers.sum(), numbers.std(ddof=0), numbers.min(), numbers.max()]
        assert [found[key] for key in ("mean", "sum", "std_dev", "min", "max")] == pytest.approx(expected)
        counts = pd.cut(numbers, 10, include_lowest=True).value_counts(sort=False)
        buckets = found["distribution"]["kll"]["buckets"]
        assert len(buckets) == 10
        assert sum(bucket["count"] for bucket in buckets) == len(numbers)
        if name == "delay":  # no value on an edge, where the two differ
            assert [bucket["count"] for bucket in buckets] == counts.tolist()
    text = features["carrier"]["string_statistics"]
    assert text["distinct_count"] == 3
    counted = {item["value"]: item["count"] for item in text["distribution"]["categorical"]["buckets"]}
    assert counted == data["carrier"].value_counts().to_dict()


def test_sketch_keeps_every_rank_within_its_bound() -> None:
    numbers = RANDOM.lognormal(size=100_003)
    made = sketch_of(numbers)
    assert made.count == len(numbers)
    assert len(made.values) < 2 * sketch.K
    at = np.quantile(numbers, np.linspace(0, 1, 501))
    exact = np.searchsorted(np.sort(numbers), at, side="right") / len(numbers)
    assert np.abs(made.cdf(at) - exact).max() <= 1 / sketch.K
    assert sketch.from_document(json.loads(json.dumps(sketch.document(numbers)))).count == len(numbers)


def test_numerical_drift_is_the_kolmogorov_smirnov_distance() -> None:
    random = np.random.default_rng(11)  # its own: the last line holds for most small samples, not for every one
    before, after = random.normal(0, 1, 1500), random.normal(0.4, 1, 1100)
    exact = stats.ks_2samp(before, after).statistic
    assert drift.numerical(sketch_of(before), sketch_of(after), robust=False) == pytest.approx(exact)
    robust = drift.numerical(sketch_of(before), sketch_of(after), robust=True)
    assert robust == pytest.approx(exact - 1.8 * np.sqrt((1500 + 1100) / (1500 * 1100)))
    many, more = random.normal(0, 1, 60_000), random.normal(0.1, 1, 45_000)
    exact = stats.ks_2samp(many, more).statistic
    assert drift.numerical(sketch_of(many), sketch_of(more), robust=False) == pytest.approx(exact, abs=2 / sketch.K)
    assert drift.numerical(sketch_of(before[:20]), sketch_of(after[:20]), robust=True) == 0.0


def test_categorical_drift() -> None:
    before, after = {"a": 60.0, "b": 40.0}, {"a": 30.0, "b": 70.0}
    assert drift.categorical(before, after, robust=False) == pytest.approx(0.3)
    expected = stats.chisquare([30, 70], [60, 40]).pvalue
    assert drift.chi_squared(before, after) == pytest.approx(expected)
    assert drift.chi_squared(before, {"a": 60.0, "c": 40.0}) == 0.0
    assert drift.chi_squared(before, before) == 1.0


def test_a_baseline_does_not_violate_itself_and_other_data_does() -> None:
    data = frame(4000)
    columns = read_columns(data)
    limits, baseline = constraints.suggest(columns), statistics(columns, len(data))
    assert limits["features"][1]["num_constraints"] == {"is_non_negative": True}
    assert sorted(limits["features"][2]["string_constraints"]["domains"]) == ["AA", "B6", "UA"]
    assert violations.evaluate(columns, limits, baseline).violations == []

    other = frame(4000, shift=2.0, late=0.1)
    other.loc[:39, "hour"] = "7.5"
    other.loc[:399, "carrier"] = "ZZ"
    other.loc[:1999, "gaps"] = None
    other["new"] = "1"
    found = violations.evaluate(read_columns(other), limits, baseline)
    checks = {(item["feature_name"], item["constraint_check_type"]): item["description"] for item in found.violations}
    assert set(checks) == {
        ("Extra columns", "extra_column_check"),
        ("delay", "baseline_drift_check"),
        ("carrier", "baseline_drift_check"),
        ("hour", "data_type_check"),
        ("carrier", "categorical_values_check"),
        ("gaps", "completeness_check"),
    }
    assert checks["hour", "data_type_check"] == (
        "Data type match requirement is not met. Expected data type: Integral, Expected match: 100.0%. "
        "Observed: Only 99.0% of data is Integral."
    )
    assert checks["Extra columns", "extra_column_check"].endswith(
        "Number of columns in current dataset: 5, Number of columns in baseline constraints: 4"
    )
    distance = found.distances["delay"]
    before, after = (table["delay"].astype(float) for table in (data, other))
    expected = stats.ks_2samp(before, after).statistic - 1.8 * np.sqrt(2 / 4000)
    assert distance == pytest.approx(expected, abs=2 / sketch.K)
    assert checks["delay", "baseline_drift_check"] == f"Baseline drift distance: {distance} exceeds threshold: 0.1"
    assert Kind.UNKNOWN is read_columns(pd.DataFrame({"empty": [None, None]}))[0].kind

    missing = violations.evaluate(read_columns(data.drop(columns="hour")), limits, None).violations
    assert [item["constraint_check_type"] for item in missing] == ["missing_column_check"]


def test_overrides_of_the_constraints_are_honoured() -> None:
    data = frame(4000)
    other = data.assign(delay=[str(float(value) + 2.0) for value in data["delay"]])
    columns = read_columns(data)
    limits, baseline = constraints.suggest(columns), statistics(columns, len(data))
    rules = {"distribution_constraints": {"comparison_threshold": 0.9, "comparison_method": "Simple"}}
    limits["features"][0]["monitoringConfigOverrides"] = rules
    found = violations.evaluate(read_columns(other), limits, baseline)
    assert found.violations == []
    exact = stats.ks_2samp(data["delay"].astype(float), other["delay"].astype(float)).statistic
    assert found.distances["delay"] == pytest.approx(exact, abs=2 / sketch.K)
    limits["monitoring_config"]["evaluate_constraints"] = "Disabled"
    other["new"] = "1"
    assert violations.evaluate(read_columns(other), limits, baseline).violations == []
