"""What must be true of each run. Results are checked, not statuses alone."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlparity.scenarios import Platform
from scenarios.sagemaker_common.execution import Ended
from scenarios.sagemaker_training.artifacts import Artifacts, RawFacts, Recomputed, download
from scenarios.sagemaker_training.settings import MSE_THRESHOLD, REQUIRED_REDUCTION

JOB_STEPS = ("Preprocess", "Train", "Evaluate")
TRAINING_LOG_GROUP = "/aws/sagemaker/TrainingJobs"


def close(left: float, right: float) -> bool:
    """Equal up to the order in which floating point numbers were added."""
    return math.isclose(left, right, rel_tol=1e-5)


def steps_of_accepted(platform: Platform, ended: Ended) -> None:
    """Every step succeeded, the gate held, and the rejecting branch was never reached."""
    wanted = dict.fromkeys((*JOB_STEPS, "CheckMse", "RegisterModel"), "Succeeded")
    platform.check(ended.status == "Succeeded", f"the execution ended {ended.status}: {_reasons(ended)}")
    platform.check(ended.outcomes() == wanted, f"the steps ended as {ended.outcomes()}, not as {wanted}")
    outcome = ended.metadata("CheckMse", "Condition").get("Outcome")
    platform.check(outcome == "True", f"the condition came out as {outcome}, not True")


def data_is_the_raw_data(platform: Platform, artifacts: Artifacts, flights: Path) -> RawFacts:
    """The splits hold as many flights as the raw file has, and the trivial baseline is what the raw file makes it."""
    facts = artifacts.facts()
    raw = RawFacts.of(flights, facts["months"])
    platform.check(facts["rows"] == raw.rows, f"the job prepared {facts['rows']} rows, the raw file has {raw.rows}")
    measured = artifacts.report()["baselines"]["train_mean"]["mse"]["value"]
    platform.check(close(measured, raw.train_mean_mse), f"baseline {measured} is not the raw {raw.train_mean_mse}")
    return raw


def predictions_are_the_models(platform: Platform, artifacts: Artifacts, again: Recomputed) -> None:
    """The downloaded model predicts here what the job said it predicted, and the report is about those predictions."""
    stored = pd.read_csv(artifacts.predictions)
    same = len(stored) == again.rows and np.allclose(stored["predicted"], again.predictions, rtol=1e-4, atol=1e-3)
    platform.check(bool(same), "predictions.csv is not what the downloaded model predicts")
    platform.check(float(np.std(again.predictions)) > 1.0, "the model says the same for every flight")
    mse = artifacts.report()["regression_metrics"]["mse"]["value"]
    platform.check(close(mse, again.test_mse), f"evaluation.json says MSE {mse}, recomputed {again.test_mse}")


def model_is_worth_it(platform: Platform, report: dict[str, Any]) -> None:
    """The model passes the threshold, and the threshold asks for what it says it asks for."""
    mse = report["regression_metrics"]["mse"]["value"]
    best = report["baselines"][report["best_baseline"]]["mse"]["value"]
    platform.check(
        best * (1 - REQUIRED_REDUCTION) >= MSE_THRESHOLD,
        f"the threshold {MSE_THRESHOLD} is too easy beside the best baseline's {best:.1f}",
    )
    platform.check(mse <= MSE_THRESHOLD, f"MSE {mse:.1f} is above the threshold {MSE_THRESHOLD}")


def training_job_tells(platform: Platform, ended: Ended, again: Recomputed) -> dict[str, Any]:
    """The training job's final metrics are the ones its model has. Returns DescribeTrainingJob's answer."""
    name = ended.metadata("Train", "TrainingJob")["Arn"].rsplit("/", 1)[-1]
    job: dict[str, Any] = platform.client("sagemaker").describe_training_job(TrainingJobName=name)
    metrics = {entry["MetricName"]: float(entry["Value"]) for entry in job.get("FinalMetricDataList", [])}
    said = metrics.get("validation:mse", math.nan)
    platform.check(
        close(said, again.validation_mse), f"FinalMetricDataList has {metrics}; the model has {again.validation_mse}"
    )
    return job


def log_lines(platform: Platform, job_name: str) -> list[str]:
    """The training job's log, from CloudWatch Logs."""
    pages = platform.client("logs").get_paginator("filter_log_events")
    found = pages.paginate(logGroupName=TRAINING_LOG_GROUP, logStreamNamePrefix=job_name)
    return [event["message"] for page in found for event in page["events"]]


def tracked_run(platform: Platform, lines: list[str], again: Recomputed) -> str:
    """The MLflow run that the job logged to holds its metrics and has finished. Returns its id; "" without tracking."""
    if not platform.tracking_uri:
        return ""
    from mlflow import MlflowClient

    found = [match[1] for line in lines if (match := re.search(r"logged to MLflow run (\w+)", line))]
    platform.check(len(found) == 1, f"the training job's log names {len(found)} MLflow runs, not one")
    run = MlflowClient(platform.tracking_uri).get_run(found[0])
    platform.check(run.info.status == "FINISHED", f"MLflow run {found[0]} is {run.info.status}")
    said = run.data.metrics.get("best_validation_mse", math.nan)
    platform.check(
        close(said, again.validation_mse), f"MLflow run {found[0]} has MSE {said}, not {again.validation_mse}"
    )
    platform.check("max_depth" in run.data.params, f"MLflow run {found[0]} has no parameters")
    return found[0]


def registered_package(
    platform: Platform, ended: Ended, artifacts: Artifacts, model_uri: str, group: str
) -> dict[str, Any]:
    """The new package awaits approval, serves this model, and its metrics are this evaluation."""
    arn = ended.metadata("RegisterModel", "RegisterModel").get("Arn", "")
    platform.check(bool(arn), "the step RegisterModel names no model package")
    package: dict[str, Any] = platform.client("sagemaker").describe_model_package(ModelPackageName=arn)
    status = package["ModelApprovalStatus"]
    platform.check(status == "PendingManualApproval", f"{arn} was registered as {status}")
    platform.check(package["ModelPackageGroupName"] == group, f"{arn} is not in the group {group}")
    data = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    platform.check(data == model_uri, f"{arn} serves {data}, not the trained {model_uri}")
    statistics = package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]
    metrics = download(platform.client("s3"), statistics, artifacts.evaluation.parent / "registered")
    platform.check(json.loads(metrics.read_text()) == artifacts.report(), f"{statistics} is not this run's evaluation")
    return package


def rejected(platform: Platform, ended: Ended, threshold: float, mse: float) -> str:
    """The execution failed because of the gate and of nothing else. Returns the FailStep's message."""
    wanted = {**dict.fromkeys((*JOB_STEPS, "CheckMse"), "Succeeded"), "RejectModel": "Failed"}
    platform.check(ended.status == "Failed", f"the execution ended {ended.status}, not Failed")
    platform.check(ended.outcomes() == wanted, f"the steps ended as {ended.outcomes()}, not as {wanted}")
    outcome = ended.metadata("CheckMse", "Condition").get("Outcome")
    platform.check(outcome == "False", f"the condition came out as {outcome}, not False")
    message = str(ended.metadata("RejectModel", "Fail").get("ErrorMessage", ""))
    numbers = re.fullmatch(r"The model was not registered: its MSE of ([\d.eE+]+) is above ([\d.eE+]+)", message)
    platform.check(numbers is not None, f"the FailStep says {message!r}")
    if numbers is not None:
        said, limit = float(numbers[1]), float(numbers[2])
        platform.check(close(said, mse), f"the FailStep names MSE {said}; the same data gave {mse} before")
        platform.check(limit == threshold, f"the FailStep names the threshold {limit}, not {threshold}")
    return message


def _reasons(ended: Ended) -> str:
    """Why the steps that failed did, in one line."""
    reasons = [f"{name}: {step['FailureReason']}" for name, step in ended.steps.items() if step.get("FailureReason")]
    return "; ".join(reasons) or str(ended.description.get("FailureReason", "no reason given"))
