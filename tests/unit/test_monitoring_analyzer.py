"""The analyzer's and the merger's programs, on files as their containers find them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from mlparity.monitoring import analyzer, merger

CAPTURE = json.dumps({"sagemakerCaptureJson": {"captureIndexNames": ["endpointInput", "endpointOutput"]}})
PREPROCESSOR = """
import json

def preprocess_handler(inference_record):
    sent = json.loads(inference_record.endpoint_input.data)["instances"]
    answered = json.loads(inference_record.event_data.endpointOutput.data)["predictions"]
    return [{"p": p, "x": row[0]} for row, p in zip(sent, answered)]
"""


def capture(
    sent: str, answered: str, encoding: str = "CSV", at: str = "2013-07-01T12:00:00Z", **metadata: str
) -> dict[str, Any]:
    kind = {"CSV": "text/csv", "JSON": "application/json"}.get(encoding, "application/octet-stream")
    sides = {
        "endpointInput": {"observedContentType": kind, "mode": "INPUT", "data": sent, "encoding": encoding},
        "endpointOutput": {"observedContentType": kind, "mode": "OUTPUT", "data": answered, "encoding": encoding},
    }
    return {"captureData": sides, "eventMetadata": {"inferenceTime": at, **metadata}, "eventVersion": "0"}


def lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


class Container:
    """An analysis: its folders, and what it left behind."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.data.mkdir()
        self.root = folder / "ml"
        self.output = folder / "output"

    def run(self, form: str, **environment: str) -> int:
        given = {"dataset_format": form, "dataset_source": str(self.data), "output_path": str(self.output)}
        return analyzer.run({**given, **environment}, self.root)

    def read(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.output / name).read_text())
        return content

    @property
    def message(self) -> str:
        return (self.root / "output" / "message").read_text()


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path)


def baseline(container: Container, table: str, **options: str) -> dict[str, str]:
    (container.data / "train.csv").write_text(table)
    assert container.run(json.dumps({"csv": {"header": True, **options}})) == 0
    (container.data / "train.csv").unlink()
    kept = container.output.with_name("baseline")
    container.output.rename(kept)
    assert not (kept / "constraint_violations.json").exists()
    names = {"baseline_constraints": "constraints.json", "baseline_statistics": "statistics.json"}
    return {variable: str(kept / name) for variable, name in names.items()}


def test_captured_csv_takes_the_baselines_names_and_only_its_window(container: Container) -> None:
    rows = "".join(f"{i % 2},{i % 50},{i / 7}\n" for i in range(400))
    environment = baseline(container, f"late,hour,delay\n{rows}")
    calls = [capture(f"{i % 50},{i / 7}\n{i % 50},{i / 7}", f"{i % 2}\n{i % 2}") for i in range(200)]
    calls.append(capture("7,broken", "1", at="2013-07-01T13:00:00Z"))  # after the window
    lines(container.data / "e" / "v" / "2013" / "07" / "01" / "12" / "a.jsonl", calls)
    environment |= {
        "start_time": "2013-07-01T12:00:00Z", "end_time": "2013-07-01T13:00:00Z",
        "publish_cloudwatch_metrics": "Enabled", "sagemaker_endpoint_name": "e",
        "sagemaker_monitoring_schedule_name": "s",
    }  # fmt: skip
    assert container.run(CAPTURE, **environment) == 0
    assert container.message == "CompletedWithViolations: Job completed successfully with 1 violations."
    (found,) = container.read("constraint_violations.json")["violations"]
    assert (found["feature_name"], found["constraint_check_type"]) == ("delay", "baseline_drift_check")
    assert container.read("statistics.json")["dataset"] == {"item_count": 400}
    written = (container.root / "output" / "metrics" / "cloudwatch" / "cloudwatch_metrics.jsonl").read_text()
    published = {item["MetricName"]: item for item in map(json.loads, written.splitlines())}
    assert published["feature_data_hour"]["StatisticValues"]["Maximum"] == 49
    assert published["feature_non_null_hour"]["Value"] == 1.0
    assert published["feature_baseline_drift_delay"]["Value"] > 0.1
    assert published["feature_data_late"]["Timestamp"] == "2013-07-01T13:00:00Z"
    assert published["feature_data_late"]["Dimensions"] == [
        {"Name": "Endpoint", "Value": "e"}, {"Name": "MonitoringSchedule", "Value": "s"}
    ]  # fmt: skip


def test_a_baseline_whose_output_comes_last(container: Container) -> None:
    environment = baseline(container, "x,p\n1,0.5\n3,0.25\n", output_columns_position="END")
    lines(container.data / "a.jsonl", [capture("1", "0.5"), capture("3", "0.25")])
    assert container.run(CAPTURE, **environment) == 0
    assert container.read("constraint_violations.json") == {"violations": []}
    found = {
        item["name"]: item["numerical_statistics"]["sum"] for item in container.read("statistics.json")["features"]
    }
    assert found == {"x": 4.0, "p": 0.75}


def test_captured_json_and_what_needs_a_preprocessor(container: Container, tmp_path: Path) -> None:
    environment = baseline(container, "p,x\n0.5,1\n0.25,3\n")
    lines(
        container.data / "a.jsonl",
        [capture('{"x": 1}', '{"p": 0.5}', "JSON"), capture('{"x": 3}', '{"p": 0.25}', "JSON")],
    )
    assert container.run(CAPTURE, **environment) == 0
    assert container.message == "Completed: Job completed successfully with no violations."
    assert [item["name"] for item in container.read("statistics.json")["features"]] == ["x", "p"]

    nested = capture('{"instances": [[1], [3]]}', '{"predictions": [0.5, 0.25]}', "JSON")
    lines(container.data / "a.jsonl", [nested])
    assert container.run(CAPTURE, **environment) == 255
    assert container.message.startswith("Error: CustomerError: A captured JSON payload is neither tabular nor")
    script = tmp_path / "preprocessor.py"
    script.write_text(PREPROCESSOR)
    assert container.run(CAPTURE, **environment, record_preprocessor_script=str(script)) == 0
    assert container.read("constraint_violations.json") == {"violations": []}

    mixed = capture("1", "2")
    mixed["captureData"]["endpointOutput"] |= {"encoding": "BASE64", "data": base64.b64encode(b"2").decode()}
    lines(container.data / "a.jsonl", [mixed])
    assert container.run(CAPTURE, **environment) == 255
    assert "Encoding is CSV for endpointInput, but Encoding is BASE64 for endpointOutput" in container.message


def test_a_postprocessor_runs_and_its_failure_counts(container: Container, tmp_path: Path) -> None:
    (container.data / "a.csv").write_text("a\n1\n")
    form = json.dumps({"csv": {"header": True}})
    script = tmp_path / "post.py"
    script.write_text(f"def postprocess_handler():\n    open({str(tmp_path / 'made')!r}, 'w').close()\n")
    assert container.run(form, post_analytics_processor_script=str(script)) == 0
    assert (tmp_path / "made").exists()
    script.write_text("def postprocess_handler():\n    raise RuntimeError('no')\n")
    assert container.run(form, post_analytics_processor_script=str(script)) == 255
    assert container.message == "Error: CustomerError: postprocess_handler failed: RuntimeError('no')"


def test_ground_truth_is_merged_and_a_regression_is_evaluated(container: Container, tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    actual = generator.normal(0, 10, 300)
    predicted = actual + generator.normal(0, 2, 300)
    calls = [
        capture("1,2", str(value), inferenceId=f"mine-{i}", eventId="x")
        if i % 2
        else capture("1,2", str(value), eventId=f"e-{i}")
        for i, value in enumerate(predicted)
    ]
    lines(container.data / "a.jsonl", calls)
    ids = [f"mine-{i}" if i % 2 else f"e-{i}" for i in range(300)]
    truth = [
        {
            "groundTruthData": {"data": str(value), "encoding": "CSV"},
            "eventMetadata": {"eventId": key},
            "eventVersion": "0",
        }
        for key, value in zip(ids[:250], actual, strict=False)
    ]
    lines(tmp_path / "truth" / "t.jsonl", truth)
    merged = {"dataset_source": str(container.data), "ground_truth_source": str(tmp_path / "truth")}
    assert merger.run({**merged, "output_path": str(tmp_path / "merged")}, container.root) == 0
    assert container.message == "Completed: 250 of 300 captured records were merged with ground truth."

    container.data = tmp_path / "merged"
    model = {"analysis_type": "MODEL_QUALITY", "problem_type": "Regression", "inference_attribute": "0"}
    assert container.run(CAPTURE, **model) == 0
    found = container.read("statistics.json")
    assert found["dataset"]["item_count"] == 250
    scores = found["regression_metrics"]
    mse = metrics.mean_squared_error(actual[:250], predicted[:250])
    assert [scores[name]["value"] for name in ("mae", "mse", "rmse", "r2")] == pytest.approx(
        [
            metrics.mean_absolute_error(actual[:250], predicted[:250]), mse, mse**0.5,
            metrics.r2_score(actual[:250], predicted[:250]),
        ]
    )  # fmt: skip
    assert 0 < scores["rmse"]["standard_deviation"] < 0.2
    limits = container.read("constraints.json")["regression_constraints"]
    assert limits["rmse"] == {"threshold": mse**0.5, "comparison_operator": "GreaterThanThreshold"}

    limits["rmse"]["threshold"] = 1.0
    (tmp_path / "limits.json").write_text(json.dumps({"version": 0.0, "regression_constraints": limits}))
    assert container.run(CAPTURE, **model, baseline_constraints=str(tmp_path / "limits.json")) == 0
    (broken,) = container.read("constraint_violations.json")["violations"]
    assert broken["metric_name"] == "rmse"
    assert broken["description"].startswith(f"Metric rmse with {mse**0.5} +/- ")
    assert broken["description"].endswith(" was GreaterThanThreshold '1.0'")


def test_classifications_are_evaluated(container: Container) -> None:
    generator = np.random.default_rng(3)
    actual = generator.integers(0, 2, 500)
    chance = np.clip(actual * 0.4 + generator.uniform(0, 0.6, 500), 0, 1)
    table = pd.DataFrame({"label": actual, "p": chance, "guess": (chance > 0.7).astype(float)})
    table.to_csv(container.data / "a.csv", index=False)
    form = json.dumps({"csv": {"header": True}})
    environment = {"analysis_type": "MODEL_QUALITY", "ground_truth_attribute": "label"}
    asked = {"problem_type": "BinaryClassification", "probability_attribute": "p", "inference_attribute": "guess"}
    assert container.run(form, **environment, **asked) == 0
    found = container.read("statistics.json")["binary_classification_metrics"]
    guess = table["guess"].astype(int)
    matrix = metrics.confusion_matrix(actual, guess)
    assert found["confusion_matrix"] == {str(a): {str(b): int(matrix[a, b]) for b in (0, 1)} for a in (0, 1)}
    expected = {
        "recall": metrics.recall_score(actual, guess), "precision": metrics.precision_score(actual, guess),
        "accuracy": metrics.accuracy_score(actual, guess), "auc": metrics.roc_auc_score(actual, chance),
        "f2": metrics.fbeta_score(actual, guess, beta=2), "true_negative_rate": matrix[0, 0] / matrix[0].sum(),
        "false_positive_rate": matrix[0, 1] / matrix[0].sum(), "recall_best_constant_classifier": 1.0,
        "precision_best_constant_classifier": actual.mean(),
    }  # fmt: skip
    assert {name: found[name]["value"] for name in expected} == pytest.approx(expected)
    by_threshold = {**asked, "probability_threshold_attribute": "0.7"}
    del by_threshold["inference_attribute"]
    assert container.run(form, **environment, **by_threshold) == 0
    again = container.read("statistics.json")["binary_classification_metrics"]
    assert again["accuracy"] == found["accuracy"]

    classes = generator.integers(0, 3, 500)
    guesses = np.where(generator.uniform(size=500) < 0.7, classes, 0)
    pd.DataFrame({"label": classes, "guess": guesses}).to_csv(container.data / "a.csv", index=False)
    asked = {"problem_type": "MulticlassClassification", "inference_attribute": "guess"}
    assert container.run(form, **environment, **asked) == 0
    found = container.read("statistics.json")["multiclass_classification_metrics"]
    assert found["weighted_f1"]["value"] == pytest.approx(metrics.f1_score(classes, guesses, average="weighted"))
    assert found["weighted_precision"]["value"] == pytest.approx(
        metrics.precision_score(classes, guesses, average="weighted")
    )
    assert container.run(form, **environment, problem_type="Guessing", inference_attribute="guess") == 255
