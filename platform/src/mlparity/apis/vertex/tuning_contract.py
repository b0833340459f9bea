"""A ``StudySpec`` as a search of the engine, and a trial's values as parameters, arguments and measurements.

https://cloud.google.com/vertex-ai/docs/training/hyperparameter-tuning-overview
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from mlparity.apis.vertex.errors import invalid, unimplemented
from mlparity.apis.vertex.job_states import Json
from mlparity.engine.tuning.space import Choice, Parameter, Range, Scale, Space, Value, Values, checked_range
from mlparity.engine.tuning.tunings import Method, TuningPlan
from mlparity.errors import InvalidRequestError

_PATH = "hyperparameter_tuning_job"
_METHODS = {"GRID_SEARCH": Method.GRID, "RANDOM_SEARCH": Method.RANDOM}
_SCALES = {"UNIT_LOG_SCALE": Scale.LOGARITHMIC, "UNIT_REVERSE_LOG_SCALE": Scale.REVERSE_LOGARITHMIC}
_GRID_VALUES = 10_000  # of one integer parameter in a grid
_KINDS = ("doubleValueSpec", "integerValueSpec", "categoricalValueSpec", "discreteValueSpec")
_NOT_SERVED = {
    "decayCurveStoppingSpec": "decay_curve_stopping_spec",
    "medianAutomatedStoppingSpec": "median_automated_stopping_spec",
    "convexAutomatedStoppingSpec": "convex_automated_stopping_spec",
    "convexStopConfig": "convex_stop_config",
    "studyStoppingConfig": "study_stopping_config",
}


def plan(resource: Json, seed: int) -> TuningPlan:
    """The search that a ``HyperparameterTuningJob`` (JSON) asks for. Raises ``GoogleError``."""
    study = resource["studySpec"]
    for field, name in _NOT_SERVED.items():
        if field in study:
            raise unimplemented(f"{_PATH}.study_spec.{name}: mlparity ends no trial before its program does.")
    if len(study["metrics"]) != 1:
        raise unimplemented(f"{_PATH}.study_spec.metrics: mlparity tunes for one metric.")
    metric = study["metrics"][0]
    method = _METHODS.get(study.get("algorithm", ""), Method.BAYESIAN)
    return TuningPlan(
        space=Space(tuple(_parameters(study["parameters"], method))),
        method=method,
        seed=seed,
        metric=metric["metricId"],
        maximize=metric["goal"] == "MAXIMIZE",
        max_trials=_positive(resource, "maxTrialCount", "max_trial_count"),
        max_parallel=_positive(resource, "parallelTrialCount", "parallel_trial_count"),
        max_failed=int(resource.get("maxFailedTrialCount", 0)) or None,
    )


def parameters(study: Json, values: Values) -> dict[str, Value]:
    """A trial's values in their own types: numbers, and texts for categories."""
    return {item["parameterId"]: _typed(item, values[item["parameterId"]]) for item in study["parameters"]}


def arguments(study: Json, values: Values) -> list[str]:
    """What a trial's program gets behind its own arguments."""
    return [f"--{name}={_written(value)}" for name, value in parameters(study, values).items()]


def measurements(reports: str, metrics: Sequence[str], started: datetime | None) -> list[Json]:
    """``Measurement`` (JSON) for each line that cloudml-hypertune has written and that has one of the metrics."""
    found = []
    for report in _reports(reports):
        values = {name: _number(report[name]) for name in metrics if name in report}
        finite = [{"metricId": name, "value": value} for name, value in values.items() if math.isfinite(value)]
        if not finite:
            continue
        step, at = _number(report.get("global_step", 0)), _number(report.get("timestamp"))
        made: Json = {"stepCount": str(int(step) if math.isfinite(step) else 0), "metrics": finite}
        if started is not None and math.isfinite(at):
            made["elapsedDuration"] = f"{max(0.0, at - started.timestamp()):.6f}s"
        found.append(made)
    return found


def final(measured: Sequence[Json], metric: str, study: Json) -> Json | None:
    """The measurement that counts: the last that has the metric, or the best where the study selects that."""
    with_metric = [(item, each["value"]) for item in measured for each in item["metrics"] if each["metricId"] == metric]
    if not with_metric:
        return None
    if study.get("measurementSelectionType") != "BEST_MEASUREMENT":
        return with_metric[-1][0]
    best = max if study["metrics"][0]["goal"] == "MAXIMIZE" else min
    return best(with_metric, key=lambda pair: pair[1])[0]


def value_of(measurement: Json, metric: str) -> float:
    """A metric's value in a measurement that has it."""
    return next(float(each["value"]) for each in measurement["metrics"] if each["metricId"] == metric)


def _parameters(given: Sequence[Json], method: Method) -> Iterator[Parameter]:
    for number, item in enumerate(given):
        path = f"{_PATH}.study_spec.parameters[{number}]"
        if item.get("conditionalParameterSpecs"):
            raise unimplemented(f"{path}.conditional_parameter_specs: mlparity searches no conditional parameters.")
        if not any(kind in item for kind in _KINDS):
            raise invalid({f"{path}.parameter_value_spec": "Required field is not set."})
        try:
            yield _parameter(item, method, path)
        except InvalidRequestError as error:
            raise invalid({path: ". ".join(error.lines())}) from None


def _parameter(item: Json, method: Method, path: str) -> Parameter:
    name = item["parameterId"]
    if "categoricalValueSpec" in item:
        return Choice(name, tuple(item["categoricalValueSpec"]["values"]))
    if "discreteValueSpec" in item:
        return Choice(name, tuple(_written(float(value)) for value in item["discreteValueSpec"]["values"]))
    whole = "integerValueSpec" in item
    ends = item["integerValueSpec"] if whole else item["doubleValueSpec"]
    low, high = float(ends.get("minValue", 0)), float(ends.get("maxValue", 0))
    made = checked_range(Range(name, low, high, _SCALES.get(item.get("scaleType", ""), Scale.LINEAR), whole))
    if method is not Method.GRID:
        return made
    if not whole:
        told = "Grid search needs INTEGER, CATEGORICAL or DISCRETE parameters."
        raise invalid({f"{path}.double_value_spec": told})
    if high - low >= _GRID_VALUES:
        raise unimplemented(f"{path}.integer_value_spec: mlparity's grids take at most {_GRID_VALUES} values.")
    return Choice(name, tuple(str(value) for value in range(int(low), int(high) + 1)))


def _typed(item: Json, value: Value) -> Value:
    if "categoricalValueSpec" in item:
        return str(value)
    return int(value) if "integerValueSpec" in item else float(value)


def _written(value: Value) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _reports(text: str) -> Iterator[Mapping[str, object]]:
    for line in text.splitlines():
        try:
            report = json.loads(line)
        except ValueError:
            continue  # cut off by the program's end
        if isinstance(report, dict):
            yield report


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return math.nan


def _positive(resource: Json, field: str, name: str) -> int:
    value = int(resource.get(field, 0))
    if value < 1:
        raise invalid({f"{_PATH}.{name}": "It must be at least 1."})
    return value
