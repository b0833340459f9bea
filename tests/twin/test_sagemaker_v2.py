"""SDK 2.x against the stack: what its flows leave behind is what the same code makes here."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from typing import Any

import joblib
import numpy as np
import pytest
import xgboost
from sklearn.linear_model import Ridge

from mlparity.testing.stack import RunningStack
from tests.twin.conftest import Flow


def table(rows: int, seed: int) -> Any:
    """The same as the flows'."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, 3))
    return np.column_stack([features @ [2.0, -1.0, 0.5] + random.normal(scale=0.1, size=rows), features])


def ridge(alpha: float, rows: Any) -> Ridge:
    return Ridge(alpha=alpha).fit(rows[:, 1:], rows[:, 0])


def error(model: Ridge, rows: Any) -> float:
    return float(np.mean((model.predict(rows[:, 1:]) - rows[:, 0]) ** 2))


class Bucket:
    """Objects by their URI."""

    def __init__(self, s3: Any) -> None:
        self._s3 = s3

    def get(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        body: bytes = self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def file(self, uri: str, name: str) -> bytes:
        """A file of a .tar.gz object."""
        with tarfile.open(fileobj=io.BytesIO(self.get(uri)), mode="r:gz") as archive:
            member = archive.extractfile(name)
            assert member is not None
            return member.read()

    def model(self, uri: str) -> Ridge:
        model: Ridge = joblib.load(io.BytesIO(self.file(uri, "model.joblib")))
        return model


@pytest.fixture(scope="session")
def bucket(twin_stack: RunningStack) -> Bucket:
    return Bucket(twin_stack.client("s3"))


def test_script_mode_estimators_train_what_the_scripts_train_here(flows: Mapping[str, Flow], bucket: Bucket) -> None:
    found = flows["jobs"].result()
    rows = table(200, 1)
    first, here = found["sklearn"], ridge(0.5, rows)
    np.testing.assert_allclose(bucket.model(first["model"]).coef_, here.coef_, rtol=1e-12)
    assert [item["metric_name"] for item in first["metrics"]] == ["train:mse"]
    assert first["metrics"][0]["value"] == pytest.approx(error(here, rows), abs=1e-6)
    assert f"train_mse={error(here, rows):.6f};" in flows["jobs"].shown()
    assert "Training - Training image download completed. Training in progress" in flows["jobs"].shown()
    seen = json.loads(bucket.file(first["model"].replace("model.tar.gz", "output.tar.gz"), "seen.json"))
    assert seen["note"] == "it's 2 words"
    expected = {
        "SM_MODULE_NAME": "train_sklearn",
        "SM_USER_ENTRY_POINT": "train_sklearn.py",
        "SM_CHANNEL_TRAIN": "/opt/ml/input/data/train",
        "SM_HP_ALPHA": "0.5",
        "SM_HPS": '{"alpha":0.5,"note":"it\'s 2 words"}',
        "SM_CURRENT_HOST": "algo-1",
    }
    assert {name: seen["told"].get(name) for name in expected} == expected
    assert seen["told"]["SM_MODULE_DIR"].endswith("/source/sourcedir.tar.gz")
    booster = xgboost.Booster()
    booster.load_model(bytearray(bucket.file(found["xgboost"]["model"], "model.json")))
    data = xgboost.DMatrix(rows[:, 1:], label=rows[:, 0])
    same = xgboost.train({"max_depth": 3, "seed": 1}, data, 5)
    np.testing.assert_allclose(booster.predict(data), same.predict(data), rtol=1e-6)


def test_what_fails_tells_the_sdk_why(flows: Mapping[str, Flow]) -> None:
    found = flows["jobs"].result()
    assert sorted(found["refused"]) == ["broken", "broken_processor", "torch"]
    said = found["refused"]["broken"]
    assert "AlgorithmError: ExecuteUserScriptError:\nExitCode 1\n" in said
    assert 'ErrorMessage "ValueError: alpha must not be negative: -1.0"' in said
    assert 'train_sklearn.py --alpha -1.0", exit code: 1' in said
    assert "AlgorithmError: See job logs for more information, exit code: 1" in found["refused"]["broken_processor"]
    assert "the Python package torch is not installed" in found["refused"]["torch"]


def test_the_built_in_algorithm_transforms_what_it_predicts(flows: Mapping[str, Flow], bucket: Bucket) -> None:
    found = flows["jobs"].result()
    booster = xgboost.Booster()
    booster.load_model(bytearray(bucket.file(found["builtin"]["model"], "xgboost-model")))
    rows = table(20, 3)[:, 1:]
    prefix = found["builtin"]["model"].split("/", 3)[2]
    lines = bucket.get(f"s3://{prefix}/twin/transformed/part.csv.out").decode().split()
    np.testing.assert_allclose([float(line) for line in lines], booster.predict(xgboost.DMatrix(rows)), rtol=1e-5)


def test_the_tuner_finds_the_best_of_its_jobs(flows: Mapping[str, Flow], bucket: Bucket) -> None:
    tuner = flows["jobs"].result()["tuner"]
    trials = tuner["trials"]
    assert len(trials) == 4
    best = min(trials, key=lambda trial: trial["FinalObjectiveValue"])
    assert tuner["best"] == best["TrainingJobName"]
    assert best["alpha"] == min(trial["alpha"] for trial in trials)  # the least regularised fits its own data best
    here = ridge(best["alpha"], table(200, 1))
    assert best["FinalObjectiveValue"] == pytest.approx(error(here, table(200, 1)), abs=1e-6)
    np.testing.assert_allclose(bucket.model(tuner["best_model"]).coef_, here.coef_, rtol=1e-6)


def test_a_run_logs_parameters_and_metrics(flows: Mapping[str, Flow], twin_stack: RunningStack) -> None:
    logged = flows["jobs"].result()["experiment"]
    assert [(row["alpha"], row["loss - Count"], row["loss - Last"]) for row in logged] == [
        (0.5, 3, pytest.approx(1 / 3))
    ]
    client = twin_stack.client("sagemaker")
    filters = [{"Name": "Parents.ExperimentName", "Operator": "Equals", "Value": "twin-experiment"}]
    found = client.search(Resource="ExperimentTrialComponent", SearchExpression={"Filters": filters})["Results"]
    runs = [item["TrialComponent"] for item in found if item["TrialComponent"].get("Parameters")]
    assert [run["Parameters"]["alpha"] for run in runs] == [{"NumberValue": 0.5}]
    loss = runs[0]["Metrics"][0]
    assert (loss["MetricName"], loss["Count"], loss["Max"]) == ("loss", 3, 1.0)
    assert loss["Last"] == pytest.approx(1 / 3)
    assert runs[0]["Status"]["PrimaryStatus"] == "Completed"


def test_processors_run_the_script_wherever_it_comes_from(flows: Mapping[str, Flow]) -> None:
    found = flows["jobs"].result()
    rows = table(100, 1)
    for name, processed in found["processors"].items():
        assert processed["status"] == "Completed", name
        np.testing.assert_array_equal(processed["rows"]["train"], rows[:80])
        np.testing.assert_array_equal(processed["rows"]["test"], rows[80:])
    assert found["processors"]["script"]["environment"] == {"MINE": "yes"}
    assert "split 100 rows at 80" in flows["jobs"].shown()


def test_a_pipeline_trains_gates_and_registers(
    flows: Mapping[str, Flow], bucket: Bucket, twin_stack: RunningStack
) -> None:
    found = flows["pipeline"].result()
    good, cached, bad = found["good"], found["cached"], found["bad"]
    ran = ["Evaluate", "Gate", "Legacy-RegisterModel", "Model-RegisterModel", "Split", "Train"]
    assert (good["status"], sorted(good["steps"])) == ("Succeeded", ran)
    assert good["steps"]["Gate"]["Metadata"] == {"Condition": {"Outcome": "True"}}
    client = twin_stack.client("sagemaker")
    rows, evaluated = table(300, 1), {}
    for group, step in (("twin-models", "Model-RegisterModel"), ("twin-legacy", "Legacy-RegisterModel")):
        arn = good["steps"][step]["Metadata"]["RegisterModel"]["Arn"]
        package = client.describe_model_package(ModelPackageName=arn)
        assert package["ModelPackageGroupName"] == group
        assert package["ModelApprovalStatus"] == "Approved"
        statistics = package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]
        evaluated[group] = json.loads(bucket.get(statistics))["regression"]["mse"]["value"]
        container = package["InferenceSpecification"]["Containers"][0]
        model = bucket.model(container["ModelDataUrl"])
        np.testing.assert_allclose(model.coef_, ridge(0.25, rows[:240]).coef_, rtol=1e-12)
    held_out = error(ridge(0.25, rows[:240]), rows[240:])
    assert evaluated == {group: pytest.approx(held_out, rel=1e-9) for group in evaluated}
    job = good["steps"]["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    assert client.describe_training_job(TrainingJobName=job)["HyperParameters"]["alpha"] == "0.25"

    hits = {name for name, step in cached["steps"].items() if "CacheHitResult" in step}
    assert (cached["status"], hits) == ("Succeeded", {"Split", "Train", "Evaluate"})
    assert bad["status"] == "Failed"
    assert bad["steps"]["TooBad"]["FailureReason"] == "the error is above 1e-09"
    assert "terminal failure state" in bad["failed"]
    assert {item["Name"]: item["Value"] for item in found["parameters"]}["Alpha"] == "0.25"
    assert (found["executions"], found["description"]) == (3, "again")


def test_functions_run_as_jobs_and_as_steps(flows: Mapping[str, Flow]) -> None:
    found = flows["functions"].result()
    assert found["answers"]["direct"]["sum"] == 12
    assert found["answers"]["direct"]["job"].startswith("summed-")
    assert found["answers"]["square"] == 9
    assert found["refused"] == {"broken": "KeyError: 'mine'"}
    assert found["total"] == 6
    assert found["steps"] == dict.fromkeys(("prepare", "enough", "total"), "Succeeded")
