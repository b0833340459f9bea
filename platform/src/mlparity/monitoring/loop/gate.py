"""Whether a new model is good enough: against the threshold, and against the champion."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlparity.monitoring.loop.definition import Gate


@dataclass(frozen=True)
class Judgement:
    """``passed``, in words, and the numbers that were compared."""

    passed: bool
    reason: str
    candidate: float | None = None
    champion: float | None = None


def judge(gate: Gate, candidate: Mapping[str, Any], champion: Mapping[str, Any] | None) -> Judgement:
    """Judge by the candidate's report, and the champion's (None where nothing is deployed from the registry)."""
    value = number_at(candidate, gate.metric)
    if value is None:
        return Judgement(False, f"the model's report has no finite number at {gate.metric}")
    sign = 1 if gate.better == "lower" else -1
    words = "at most" if gate.better == "lower" else "at least"
    if sign * value > sign * gate.threshold:
        return Judgement(False, f"{gate.metric} {value:.6g} misses the threshold, {words} {gate.threshold:.6g}", value)
    passed = f"{gate.metric} {value:.6g} keeps the threshold ({words} {gate.threshold:.6g})"
    if champion is None:
        return Judgement(True, f"{passed}; there is no champion to compare with", value)
    theirs, source = _of_champion(gate, candidate, champion)
    if theirs is None:
        return Judgement(False, f"{passed}, but no report says what the champion's is ({source})", value)
    limit = theirs - sign * gate.margin * abs(theirs)
    better = sign * value < sign * limit
    compared = f"champion {theirs:.6g} ({source}" + (f", margin {gate.margin:.0%})" if gate.margin else ")")
    verdict = "beats the" if better else "does not beat the"
    return Judgement(better, f"{passed} and {verdict} {compared}", value, theirs)


def number_at(document: Mapping[str, Any], path: str) -> float | None:
    """The finite number at a dotted path; None where there is none."""
    value: Any = document
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _of_champion(gate: Gate, candidate: Mapping[str, Any], champion: Mapping[str, Any]) -> tuple[float | None, str]:
    if gate.champion_metric:
        return number_at(candidate, gate.champion_metric), f"on the same data, {gate.champion_metric}"
    return number_at(champion, gate.metric), "from its own report"
