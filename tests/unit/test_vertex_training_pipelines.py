"""Vertex training pipelines and tuning jobs, their programs real processes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mlparity.apis.vertex.tuning_contract import measurements
from tests.vertex_bench import PARENT
from tests.vertex_jobs_bench import JobsBench, script

CUSTOM = "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml"
SERVING = "us-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-5:latest"
PIPELINE_ENDED = ("PIPELINE_STATE_SUCCEEDED", "PIPELINE_STATE_FAILED", "PIPELINE_STATE_CANCELLED")
ENDED = ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED")
TRAINS = """
import os
folder = os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/")
os.makedirs(folder)
open(folder + "model.joblib", "w").write("model")
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobsBench]:
    with JobsBench(tmp_path_factory.mktemp("pipelines")) as made:
        yield made


def start(bench: JobsBench, program: str, output: str = "out", **pipeline: Any) -> str:
    inputs = {  # as the SDK writes them
        "worker_pool_specs": [
            {
                "container_spec": {"image_uri": "python", "command": ["python3", "-c", program], "args": []},
                "machine_spec": {"machine_type": "n1-standard-4"},
                "replica_count": 1,
            }
        ],
        "base_output_directory": {"output_uri_prefix": f"gs://staging/{output}"},
        "scheduling": {"timeout": None, "restart_job_on_worker_restart": False},
    }
    given = {"displayName": "train", "trainingTaskDefinition": CUSTOM, "trainingTaskInputs": inputs, **pipeline}
    made = bench.call("PipelineService.CreateTrainingPipeline", parent=PARENT, trainingPipeline=given)
    assert made["state"] in {"PIPELINE_STATE_PENDING", "PIPELINE_STATE_RUNNING"}
    return str(made["name"])


def pipeline(bench: JobsBench, name: str) -> dict[str, Any]:
    return bench.call("PipelineService.GetTrainingPipeline", name=name)


def test_a_pipeline_uploads_the_model_that_its_job_made(bench: JobsBench) -> None:
    model = {"displayName": "flights", "containerSpec": {"imageUri": SERVING}, "versionAliases": ["champion"]}
    name = start(bench, TRAINS, "good", modelToUpload=model, modelId="flights", labels={"team": "a"})
    done = bench.wait(partial(pipeline, bench, name), *PIPELINE_ENDED)
    assert done["state"] == "PIPELINE_STATE_SUCCEEDED", done
    uploaded = done["modelToUpload"]
    assert (uploaded["name"], uploaded["versionId"]) == (f"{PARENT}/models/flights", "1")
    found = bench.call("ModelService.GetModel", name=uploaded["name"])
    assert found["artifactUri"] == "gs://staging/good/model"
    assert found["trainingPipeline"] == name
    assert set(found["versionAliases"]) == {"champion", "default"}
    job = bench.call("JobService.GetCustomJob", name=done["trainingTaskMetadata"]["backingCustomJob"])
    assert (job["state"], job["displayName"], job["labels"]) == (
        "JOB_STATE_SUCCEEDED",
        "train-custom-job",
        {"team": "a"},
    )
    again = start(bench, TRAINS, "better", modelToUpload=model, parentModel=uploaded["name"])
    done = bench.wait(partial(pipeline, bench, again), *PIPELINE_ENDED)
    assert done["modelToUpload"]["versionId"] == "2"
    listed = bench.call("PipelineService.ListTrainingPipelines", parent=PARENT, filter="labels.team=a")
    assert [one["name"] for one in listed["trainingPipelines"]] == [name]
    assert bench.call("PipelineService.DeleteTrainingPipeline", name=name)["done"]
    assert bench.refused("PipelineService.GetTrainingPipeline", name=name).code == "NOT_FOUND"


def test_a_pipeline_fails_with_its_job_and_without_a_model(bench: JobsBench) -> None:
    model = {"displayName": "none", "containerSpec": {"imageUri": SERVING}}
    broken = start(bench, "raise SystemExit(7)", "broken", modelToUpload=model)
    done = bench.wait(partial(pipeline, bench, broken), *PIPELINE_ENDED)
    assert (done["state"], done["error"]["code"]) == ("PIPELINE_STATE_FAILED", 3)
    assert "exited with a non-zero status of 7" in done["error"]["message"]
    empty = start(bench, "pass", "empty", modelToUpload=model)
    done = bench.wait(partial(pipeline, bench, empty), *PIPELINE_ENDED)
    assert done["state"] == "PIPELINE_STATE_FAILED"
    assert "gs://staging/empty/model" in done["error"]["message"]
    assert "models" not in bench.call("ModelService.ListModels", parent=PARENT, filter="display_name=none")
    running = start(bench, "import time; time.sleep(600)", "running")
    bench.wait(partial(pipeline, bench, running), "PIPELINE_STATE_RUNNING")
    assert bench.refused("PipelineService.DeleteTrainingPipeline", name=running).code == "FAILED_PRECONDITION"
    bench.call("PipelineService.CancelTrainingPipeline", name=running)
    assert bench.wait(partial(pipeline, bench, running), *PIPELINE_ENDED)["state"] == "PIPELINE_STATE_CANCELLED"


# What cloudml-hypertune does.
REPORTS = """
import json, os, sys, time
values = dict(word[2:].split("=") for word in sys.argv[1:])
score = -abs(float(values["rate"]) - 0.1) + (0.5 if values["kind"] == "good" else 0) + int(values["depth"]) / 100
lines = []
for step, share in enumerate((0.5, 1.5, 1.0)):
    lines.append({"timestamp": time.time(), "trial": os.environ["CLOUD_ML_TRIAL_ID"], "score": str(score * share),
                  "global_step": str(step), "checkpoint_path": ""})
    with open(os.environ["CLOUD_ML_HP_METRIC_FILE"], "w") as file:
        file.write("".join(json.dumps(line) + "\\n" for line in lines))
folder = os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/")
os.makedirs(folder, exist_ok=True)
open(folder + "score.txt", "w").write(str(score))
"""
PARAMETERS = [
    {"parameterId": "rate", "doubleValueSpec": {"minValue": 0.001, "maxValue": 1.0}, "scaleType": "UNIT_LOG_SCALE"},
    {"parameterId": "depth", "integerValueSpec": {"minValue": "2", "maxValue": "4"}, "scaleType": "UNIT_LINEAR_SCALE"},
    {"parameterId": "kind", "categoricalValueSpec": {"values": ["good", "bad"]}},
]


def tune(bench: JobsBench, program: str, study: dict[str, Any], **job: Any) -> str:
    metrics = [{"metricId": "score", "goal": "MAXIMIZE"}]
    given = {
        "displayName": "search",
        "studySpec": {"metrics": metrics, "parameters": PARAMETERS, **study},
        "maxTrialCount": 4,
        "parallelTrialCount": 2,
        "trialJobSpec": {
            "workerPoolSpecs": [script(program)],
            "baseOutputDirectory": {"outputUriPrefix": "gs://staging/tuned"},
        },
        **job,
    }
    made = bench.call("JobService.CreateHyperparameterTuningJob", parent=PARENT, hyperparameterTuningJob=given)
    return str(made["name"])


def tuning(bench: JobsBench, name: str) -> dict[str, Any]:
    return bench.call("JobService.GetHyperparameterTuningJob", name=name)


def test_a_search_runs_trials_as_custom_jobs_and_reads_what_they_report(bench: JobsBench) -> None:
    name = tune(bench, REPORTS, {})
    done = bench.wait(partial(tuning, bench, name), *ENDED)
    assert done["state"] == "JOB_STATE_SUCCEEDED", (done, bench.all_logs())
    assert done["startTime"]
    assert [trial["id"] for trial in done["trials"]] == ["1", "2", "3", "4"]
    for trial in done["trials"]:
        values = {item["parameterId"]: item["value"] for item in trial["parameters"]}
        score = -abs(values["rate"] - 0.1) + (0.5 if values["kind"] == "good" else 0) + values["depth"] / 100
        assert trial["state"] == "SUCCEEDED"
        final = trial["finalMeasurement"]
        assert (final["stepCount"], final["metrics"][0]["metricId"]) == ("2", "score")
        assert final["metrics"][0]["value"] == pytest.approx(score)
        assert [item.get("stepCount", "0") for item in trial["measurements"]] == ["0", "1", "2"]
        stored = bench.objects()[f"tuned/{trial['id']}/model/score.txt"]
        assert float(stored) == pytest.approx(score)
        job = bench.call("JobService.GetCustomJob", name=trial["customJob"])
        assert job["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["args"][1] == f"--depth={values['depth']:.0f}"
    listed = bench.call("JobService.ListHyperparameterTuningJobs", parent=PARENT, filter='state="JOB_STATE_SUCCEEDED"')
    assert done in listed["hyperparameterTuningJobs"]
    assert bench.refused("JobService.CancelHyperparameterTuningJob", name=name).code == "FAILED_PRECONDITION"
    assert bench.call("JobService.DeleteHyperparameterTuningJob", name=name)["done"]


def test_a_grid_is_searched_whole_and_the_best_measurement_may_count(bench: JobsBench) -> None:
    grid = [{"parameterId": "rate", "discreteValueSpec": {"values": [0.1, 16.0]}}, *PARAMETERS[1:]]
    study = {"algorithm": "GRID_SEARCH", "parameters": grid, "measurementSelectionType": "BEST_MEASUREMENT"}
    name = tune(bench, REPORTS, study, maxTrialCount=100, parallelTrialCount=3)
    done = bench.wait(partial(tuning, bench, name), *ENDED)
    tried = [tuple(item["value"] for item in trial["parameters"]) for trial in done["trials"]]
    assert len(set(tried)) == len(tried) == 12
    assert {rate for rate, _, _ in tried} == {0.1, 16.0}
    good = next(trial for trial in done["trials"] if trial["parameters"][0]["value"] == 0.1)
    assert good["finalMeasurement"]["stepCount"] == "1"


def test_failing_trials_fail_the_search_and_a_search_is_cancelled(bench: JobsBench) -> None:
    name = tune(bench, "raise ValueError('no rows')", {"algorithm": "RANDOM_SEARCH"}, maxFailedTrialCount=2)
    done = bench.wait(partial(tuning, bench, name), *ENDED)
    assert (done["state"], done["error"]["code"]) == ("JOB_STATE_FAILED", 3)
    assert "exited with a non-zero status of 1" in done["error"]["message"]
    assert "ValueError: no rows" in done["error"]["message"]
    assert done["trials"][0]["state"] == "INFEASIBLE"
    silent = bench.wait(partial(tuning, bench, tune(bench, "pass", {}, maxTrialCount=1)), *ENDED)
    assert "without having reported the metric score" in silent["trials"][0]["infeasibleReason"]
    name = tune(bench, "import time; time.sleep(600)", {})
    bench.wait(partial(tuning, bench, name), "JOB_STATE_RUNNING")
    bench.call("JobService.CancelHyperparameterTuningJob", name=name)
    done = bench.wait(partial(tuning, bench, name), *ENDED)
    assert done["state"] == "JOB_STATE_CANCELLED"
    assert {trial["state"] for trial in done["trials"]} == {"INFEASIBLE"}


WAITS = """
import json, os, time
if not os.path.exists("/gcs/staging/go.txt"):
    open("/gcs/staging/begun.txt", "w").write("1")
    time.sleep(600)
with open(os.environ["CLOUD_ML_HP_METRIC_FILE"], "w") as file:
    file.write(json.dumps({"score": os.environ["CLOUD_ML_TRIAL_ID"]}))
"""


def test_what_was_cut_off_goes_on_after_a_restart(tmp_path: Path) -> None:
    with JobsBench(tmp_path) as bench:
        search = tune(bench, WAITS, {}, maxTrialCount=3, parallelTrialCount=1)
        model = {"displayName": "late", "containerSpec": {"imageUri": SERVING}}
        wait = 'import os, time\nif not os.path.exists("/gcs/staging/go.txt"): time.sleep(600)\n'
        training = start(bench, wait + TRAINS, "late", modelToUpload=model)
        bench.await_object("staging", "begun.txt")
        bench.wait(partial(pipeline, bench, training), "PIPELINE_STATE_RUNNING")
        bench.stop()
        bench.bench.store.put_bytes("staging", "go.txt", b"go")
        bench.start()
        done = bench.wait(partial(tuning, bench, search), *ENDED)
        assert done["state"] == "JOB_STATE_SUCCEEDED", bench.all_logs()
        scores = [trial["finalMeasurement"]["metrics"][0]["value"] for trial in done["trials"]]
        assert scores == [1, 2, 3]
        done = bench.wait(partial(pipeline, bench, training), *PIPELINE_ENDED)
        assert (done["state"], done["modelToUpload"]["versionId"]) == ("PIPELINE_STATE_SUCCEEDED", "1")
        assert len(bench.call("JobService.ListCustomJobs", parent=PARENT)["customJobs"]) == 4


def test_reports_that_cannot_be_read_are_left_out() -> None:
    lines = [
        '{"score": "0.5", "global_step": "x", "timestamp": "never"}',
        '{"score": "nan", "global_step": "1"}',
        '{"loss": "1"}',
        "[1]",
        '{"score": "0.7", "global_step": "3", "timestamp": 12.5, "loss": 2}',
        '{"score": "0.9", "glo',
    ]
    measured = measurements("\n".join(lines), ["score"], datetime.fromtimestamp(10, UTC))
    assert measured == [
        {"stepCount": "0", "metrics": [{"metricId": "score", "value": 0.5}]},
        {"stepCount": "3", "metrics": [{"metricId": "score", "value": 0.7}], "elapsedDuration": "2.500000s"},
    ]
