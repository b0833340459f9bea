"""SageMaker's ``sagemaker-model-monitor-analyzer`` image as a local program.

Reads what its environment names, writes statistics.json, constraints.json and (with a baseline)
constraint_violations.json, the metrics for CloudWatch, and the exit message. 0 also where there are violations; 255
where it failed. https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-byoc-contract-inputs.html
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlparity.monitoring import captured, constraints, container, datasets, metrics_file, scripts, violations
from mlparity.monitoring.columns import read_columns
from mlparity.monitoring.errors import CustomerError
from mlparity.monitoring.statistics import statistics

__all__ = ["main", "run"]

_MODEL_QUALITY = "MODEL_QUALITY"
_SEED = 0  # of the samples for the standard deviations: the same data gives the same file
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Findings:
    statistics: dict[str, Any]
    constraints: dict[str, Any]
    violations: list[dict[str, str]] | None  # None: there was no baseline
    metrics: list[metrics_file.Metric]


def main() -> None:
    """Run as the container would, and exit."""
    sys.exit(run(os.environ, Path("/opt/ml")))


def run(environment: Mapping[str, str], root: Path) -> int:
    """Analyse what ``environment`` names; ``root`` stands for /opt/ml where the message and the metrics go."""
    return container.run(lambda: _work(environment, root), root)


def _work(environment: Mapping[str, str], root: Path) -> str:
    findings = _analyse(environment)
    _write(environment, findings, root)
    if script := environment.get("post_analytics_processor_script"):
        scripts.postprocess(Path(script))
    count = len(findings.violations or ())
    if count:
        return f"CompletedWithViolations: Job completed successfully with {count} violations."
    return "Completed: Job completed successfully with no violations."


def _analyse(environment: Mapping[str, str]) -> _Findings:
    container.required(environment, "dataset_format", "dataset_source", "output_path")
    try:
        form = json.loads(environment["dataset_format"])
    except ValueError as error:
        raise CustomerError(f"dataset_format is no JSON: {error}") from error
    if environment.get("analysis_type") == _MODEL_QUALITY:
        return _model_quality(environment, form)
    return _data_quality(environment, form)


def _data_quality(environment: Mapping[str, str], form: Mapping[str, Any]) -> _Findings:
    limits = _baseline(environment, "baseline_constraints")
    before = _baseline(environment, "baseline_statistics")
    names = [feature["name"] for feature in (limits or before or {}).get("features", ())]
    config = (limits or {}).get("monitoring_config", {})
    frame = _frame(environment, form, names, output_first=config.get(constraints.OUTPUT_POSITION) != "END")
    if exclude := environment.get("exclude_features_attribute"):
        frame = frame.drop(columns=[frame.columns[i] for i in _indices(exclude, frame.columns)])
    columns = read_columns(frame)
    _log.info("%d rows, %d columns", len(frame), len(columns))
    method = environment.get("categorical_drift_method") or "LInfinity"
    found = violations.evaluate(columns, limits or {}, before) if limits is not None or before is not None else None
    emit = config.get("emit_metrics", "Enabled") == "Enabled"
    told = (form.get("csv") or {}).get("output_columns_position", config.get(constraints.OUTPUT_POSITION, "START"))
    return _Findings(
        statistics(columns, len(frame)),
        constraints.suggest(columns, method, output_first=told != "END"),
        None if found is None else found.violations,
        metrics_file.of_data(columns, found.distances if found else {}) if emit else [],
    )


def _frame(environment: Mapping[str, str], form: Mapping[str, Any], names: list[str], *, output_first: bool) -> Any:
    source = Path(environment["dataset_source"])
    if datasets.CAPTURE not in form:
        return datasets.named(datasets.read_table(source, form), names)
    sides = form[datasets.CAPTURE].get("captureIndexNames") or ["endpointInput", "endpointOutput"]
    captures = [
        captured.Capture(
            item.record,
            item.input if "endpointInput" in sides else None,
            item.output if "endpointOutput" in sides else None,
            item.truth,
        )
        for item in datasets.in_window(captured.read(source), container.window(environment))
    ]
    script = environment.get("record_preprocessor_script")
    rows = datasets.capture_rows(captures, Path(script) if script else None, output_first=output_first)
    if not rows:
        raise CustomerError("There is no captured data in the window of the analysis")
    return datasets.capture_frame(rows, names)


def _indices(text: str, columns: Any) -> list[int]:
    """Of "2,5" or "name": the columns' positions."""
    known = [str(name) for name in columns]
    found = []
    for item in (part.strip() for part in text.split(",")):
        if item in known:
            found.append(known.index(item))
        elif item.isdigit() and int(item) < len(known):
            found.append(int(item))
    return found


def _model_quality(environment: Mapping[str, str], form: Mapping[str, Any]) -> _Findings:
    import numpy as np

    from mlparity.monitoring.model_quality import constraints as limits
    from mlparity.monitoring.model_quality import metrics, reading

    problem = environment.get("problem_type") or ""
    threshold = environment.get("probability_threshold_attribute")
    attributes = reading.Attributes(
        problem,
        environment.get("inference_attribute"),
        environment.get("probability_attribute"),
        environment.get("ground_truth_attribute"),
        float(threshold) if threshold else None,
    )
    source = Path(environment["dataset_source"])
    if datasets.CAPTURE in form:
        captures = datasets.in_window(captured.read(source), container.window(environment))
        predictions = reading.from_captures(captures, attributes)
    else:
        predictions = reading.from_table(datasets.read_table(source, form), attributes)
    found = metrics.evaluate(problem, predictions, np.random.default_rng(_SEED))
    baseline = _baseline(environment, "baseline_constraints")
    dataset: dict[str, Any] = {"item_count": len(predictions)}
    dataset |= {name: environment[name] for name in ("start_time", "end_time") if name in environment}
    return _Findings(
        {
            "version": 0.0,
            "dataset": {**dataset, "evaluation_time": _timestamp(datetime.now(UTC))},
            f"{metrics.SECTION[problem]}_metrics": found,
        },
        limits.suggest(problem, found),
        None if baseline is None else limits.violations(problem, found, baseline),
        metrics_file.of_model(found),
    )


def _baseline(environment: Mapping[str, str], name: str) -> dict[str, Any] | None:
    path = environment.get(name)
    if not path:
        return None
    try:
        content: dict[str, Any] = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CustomerError(f"{name} cannot be read: {error}") from error
    return content


def _write(environment: Mapping[str, str], findings: _Findings, root: Path) -> None:
    folder = Path(environment["output_path"])
    folder.mkdir(parents=True, exist_ok=True)
    files = {"statistics.json": findings.statistics, "constraints.json": findings.constraints}
    if findings.violations is not None:
        files["constraint_violations.json"] = {"violations": findings.violations}
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2), "utf-8")
    if environment.get("publish_cloudwatch_metrics") == "Enabled":
        names = {"Endpoint": "sagemaker_endpoint_name", "MonitoringSchedule": "sagemaker_monitoring_schedule_name"}
        dimensions = {name: environment[variable] for name, variable in names.items() if environment.get(variable)}
        at = environment.get("end_time") or _timestamp(datetime.now(UTC))
        metrics_file.write(root / "output" / "metrics" / "cloudwatch", findings.metrics, dimensions, at)


def _timestamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    main()
