"""Where a dataset breaks the constraints of its baseline, in the layout of ``constraint_violations.json``.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-interpreting-violations.html. Thresholds of kinds and
domains are the share of the values that must fit, as the analyzer applies them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlparity.monitoring import drift, sketch
from mlparity.monitoring.columns import Column, Kind

_ENABLED = "Enabled"


@dataclass
class Findings:
    """``violations`` as in the file; ``distances``: feature -> its distance from the baseline."""

    violations: list[dict[str, str]] = field(default_factory=list)
    distances: dict[str, float] = field(default_factory=dict)

    def add(self, feature: str, check: str, description: str) -> None:
        """One violation."""
        self.violations.append({"feature_name": feature, "constraint_check_type": check, "description": description})


def evaluate(columns: Sequence[Column], constraints: Mapping[str, Any], baseline: Mapping[str, Any] | None) -> Findings:
    """Hold ``columns`` against a ``constraints.json`` and, where it is there, a ``statistics.json``."""
    found = Findings()
    config = constraints.get("monitoring_config", {})
    known = {feature["name"]: feature for feature in constraints.get("features", ())}
    if config.get("evaluate_constraints", _ENABLED) == _ENABLED:
        _check_presence(found, columns, known)
        for column in columns:
            if column.name in known:
                feature = known[column.name]
                _check_values(found, column, feature, {**config, **feature.get("monitoringConfigOverrides", {})})
    if baseline is not None:
        _check_drift(found, columns, {item["name"]: item for item in baseline["features"]}, known, config)
    return found


def _check_presence(found: Findings, columns: Sequence[Column], known: Mapping[str, Any]) -> None:
    here = {column.name for column in columns}
    counts = (
        f"Number of columns in current dataset: {len(columns)}, Number of columns in baseline constraints: {len(known)}"
    )
    if set(known) - here:
        text = f"There are missing columns in current dataset. {counts}"
        found.add("Missing columns", "missing_column_check", text)
    if here - set(known):
        found.add("Extra columns", "extra_column_check", f"There are extra columns in current dataset. {counts}")


def _check_values(found: Findings, column: Column, feature: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    wanted = Kind(feature.get("inferred_type", Kind.UNKNOWN))
    required, share = config.get("datatype_check_threshold", 1.0), column.share_of(wanted)
    if share < required:
        text = (
            f"Data type match requirement is not met. Expected data type: {wanted.value}, "
            f"Expected match: {_percent(required)}. Observed: Only {_percent(share)} of data is {wanted.value}."
        )
        found.add(column.name, "data_type_check", text)
    expected = feature.get("completeness")
    if expected is not None and column.completeness < expected:
        text = f"Value: {column.completeness} does not meet the constraint requirement! Expected completeness: "
        found.add(column.name, "completeness_check", f"{text}{expected}")
    domain = feature.get("string_constraints", {}).get("domains")
    if domain and column.present:
        inside = sum(column.texts.get(value, 0) for value in domain) / column.present
        if inside < config.get("domain_content_threshold", 1.0):
            text = f"Value: {inside} does not meet the constraint requirement! Values outside of the baseline's: "
            outside = sorted(set(column.texts) - set(domain))[:10]
            found.add(column.name, "categorical_values_check", text + ", ".join(outside))


def _check_drift(
    found: Findings,
    columns: Sequence[Column],
    baseline: Mapping[str, Any],
    known: Mapping[str, Any],
    config: Mapping[str, Any],
) -> None:
    for column in columns:
        own = known.get(column.name, {}).get("monitoringConfigOverrides", {})
        rules = {**config.get("distribution_constraints", {}), **own.get("distribution_constraints", {})}
        if column.name in baseline and rules.get("perform_comparison", _ENABLED) == _ENABLED:
            _compare(found, column, baseline[column.name], rules)


def _compare(found: Findings, column: Column, before: Mapping[str, Any], rules: Mapping[str, Any]) -> None:
    robust = rules.get("comparison_method", "Robust") == "Robust"
    numbers = before.get("numerical_statistics", {}).get("distribution", {}).get("kll", {}).get("sketch")
    buckets = before.get("string_statistics", {}).get("distribution", {}).get("categorical", {}).get("buckets")
    threshold = rules.get("comparison_threshold", 0.1)
    if numbers and column.kind.is_number:
        current = sketch.from_levels(sketch.levels(column.numbers))
        distance = drift.numerical(sketch.from_document(numbers), current, robust=robust)
    elif buckets and column.kind is Kind.STRING:
        counts = {item["value"]: float(item["count"]) for item in buckets}
        threshold = rules.get("categorical_comparison_threshold", threshold)
        if rules.get("categorical_drift_method", "LInfinity") == "ChiSquared":
            _chi_squared(found, column, counts, threshold)
            return
        distance = drift.categorical(counts, dict(column.texts), robust=robust)
    else:
        return
    found.distances[column.name] = distance
    if distance > threshold:
        text = f"Baseline drift distance: {distance} exceeds threshold: {threshold}"
        found.add(column.name, "baseline_drift_check", text)


def _chi_squared(found: Findings, column: Column, counts: Mapping[str, float], threshold: float) -> None:
    """By chi-squared the distance is 1 - p, so that more is farther; it drifted where p is below the threshold."""
    p_value = drift.chi_squared(counts, dict(column.texts))
    found.distances[column.name] = 1 - p_value
    if p_value < threshold:
        text = f"Baseline drift chi-squared p-value: {p_value} is below threshold: {threshold}"
        found.add(column.name, "baseline_drift_check", text)


def _percent(share: float) -> str:
    return f"{share * 100}%"
