"""SageMaker Pipelines on the flights of 2013: an accepted run, a rejected run, and an approval that is heard of."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from sagemaker.core.s3 import S3Uploader
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow.pipeline import Pipeline

from mlparity.scenarios import Platform, Report
from scenarios.flights.data import FlightsFiles, flights_files, sha256
from scenarios.sagemaker_training import checks
from scenarios.sagemaker_training.approval import DETAIL_TYPE, Approvals, approvals
from scenarios.sagemaker_training.artifacts import Artifacts, recompute
from scenarios.sagemaker_training.execution import Ended, run_to_the_end
from scenarios.sagemaker_training.pipeline import Builder, Parameters
from scenarios.sagemaker_training.settings import MSE_THRESHOLD, PACKAGE_GROUP, PIPELINE, STRICT_THRESHOLD


def run(platform: Platform) -> Report:
    """Upload, build, run twice, approve. Every result is checked; the first that does not hold ends the scenario."""
    with quiet():
        return story(platform)


def story(platform: Platform) -> Report:
    """The five parts, one after another."""
    session = PipelineSession(boto_session=boto3.Session(region_name=platform.region), default_bucket=platform.bucket)
    prefix = f"s3://{platform.bucket}/{PIPELINE}"
    files = flights_files()
    platform.say("1. The data: the flights that left New York City in 2013, with weather and planes")
    data_uri = upload(platform, session, files, f"{prefix}/data")
    platform.say("2. The pipeline: process, train, evaluate, gate, register")
    pipeline = create(platform, session, data_uri, f"{prefix}/runs")

    with approvals(platform, PACKAGE_GROUP) as queue:
        platform.say(f"3. A run whose model is accepted (MSE <= {MSE_THRESHOLD:.0f} min2)")
        accepted = run_to_the_end(platform, pipeline, "accepted", {})
        result = accept(platform, accepted, f"{prefix}/runs/{accepted.id}", files.flights)
        platform.say(f"4. The same data against a stricter gate (MSE <= {STRICT_THRESHOLD:.0f} min2)")
        before = package_arns(platform)
        refused = run_to_the_end(platform, pipeline, "rejected", {"MseThreshold": STRICT_THRESHOLD})
        message = checks.rejected(platform, refused, STRICT_THRESHOLD, result["mse"])
        platform.check(package_arns(platform) == before, "the rejected run registered a model")
        platform.say(f"  the execution failed, as it should: {message}")
        platform.say("5. A person approves the model")
        event = approve(platform, queue, result["package"])

    return summary(platform, accepted, refused, result, event)


def upload(platform: Platform, session: PipelineSession, files: FlightsFiles, uri: str) -> str:
    """Put the three raw tables under `uri`."""
    for name, path in files.named("flights", "weather", "planes").items():
        S3Uploader.upload(str(path), uri, sagemaker_session=session)
        platform.say(f"  uploaded {name} ({path.stat().st_size:,} bytes, sha256 {sha256(path)[:12]}...) to {uri}")
    return uri


def create(platform: Platform, session: PipelineSession, data_uri: str, runs: str) -> Pipeline:
    """Create the model package group and the pipeline, or update the ones that are there."""
    sagemaker = platform.client("sagemaker")
    groups = sagemaker.list_model_package_groups(NameContains=PACKAGE_GROUP)["ModelPackageGroupSummaryList"]
    if PACKAGE_GROUP not in {group["ModelPackageGroupName"] for group in groups}:
        sagemaker.create_model_package_group(
            ModelPackageGroupName=PACKAGE_GROUP,
            ModelPackageGroupDescription="Arrival delay of flights from New York City, minutes",
        )
    jobs = platform.folder / "jobs"
    parameters = Parameters.defaults(data_uri)
    pipeline = Builder(session, platform.role_arn, jobs, runs, parameters).pipeline()
    arn = pipeline.upsert(role_arn=platform.role_arn, description="Arrival delay of flights from NYC")["PipelineArn"]
    platform.say(f"  {arn}")
    return pipeline


def accept(platform: Platform, ended: Ended, prefix: str, flights: Path) -> dict[str, Any]:
    """Check the accepted run from its data to its registration; say what was found."""
    checks.steps_of_accepted(platform, ended)
    job_name = ended.metadata("Train", "TrainingJob")["Arn"].rsplit("/", 1)[-1]
    sagemaker = platform.client("sagemaker")
    model_uri = sagemaker.describe_training_job(TrainingJobName=job_name)["ModelArtifacts"]["S3ModelArtifacts"]
    artifacts = Artifacts.fetch(platform.client("s3"), prefix, model_uri, platform.workdir / ended.id)
    raw = checks.data_is_the_raw_data(platform, artifacts, flights)
    platform.say(f"  the jobs saw the real flights: {', '.join(f'{name} {rows:,}' for name, rows in raw.rows.items())}")
    again = recompute(artifacts)
    checks.predictions_are_the_models(platform, artifacts, again)
    platform.say(f"  the downloaded model predicts the same {again.rows:,} delays here as in the job")
    report = artifacts.report()
    checks.model_is_worth_it(platform, report)
    say_quality(platform, report)
    checks.training_job_tells(platform, ended, again)
    lines = checks.log_lines(platform, job_name)
    platform.check(any("final: " in line for line in lines), f"the log of {job_name} has no final line")
    run_id = checks.tracked_run(platform, lines, again)
    platform.say(
        f"  {len(lines)} log lines in {checks.TRAINING_LOG_GROUP}; "
        + (f"MLflow run {run_id}" if run_id else "no MLflow")
    )
    package = checks.registered_package(platform, ended, artifacts, model_uri)
    platform.say(f"  registered {package['ModelPackageArn']}, {package['ModelApprovalStatus']}")
    return {
        "mse": report["regression_metrics"]["mse"]["value"],
        "report": report,
        "package": package["ModelPackageArn"],
        "job": job_name,
        "run": run_id,
        "model": model_uri,
    }


def say_quality(platform: Platform, report: dict[str, Any]) -> None:
    """The model beside its baselines."""
    for name, metrics in {"model": report["regression_metrics"], **report["baselines"]}.items():
        numbers = "  ".join(f"{metric} {metrics[metric]['value']:9.3f}" for metric in ("mse", "rmse", "mae", "r2"))
        platform.say(f"    {name:18s} {numbers}")


def package_arns(platform: Platform) -> set[str]:
    """Every version in the model package group."""
    pages = platform.client("sagemaker").get_paginator("list_model_packages")
    found = pages.paginate(ModelPackageGroupName=PACKAGE_GROUP)
    return {package["ModelPackageArn"] for page in found for package in page["ModelPackageSummaryList"]}


def approve(platform: Platform, queue: Approvals, package: str) -> dict[str, Any]:
    """Approve the package and wait for EventBridge to say so."""
    sagemaker = platform.client("sagemaker")
    note = "MSE and baselines checked"
    sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved", ApprovalDescription=note)
    described = sagemaker.describe_model_package(ModelPackageName=package)
    platform.check(described["ModelApprovalStatus"] == "Approved", f"{package} is not approved")
    platform.check(described["ApprovalDescription"] == note, f"{package} lost the approval's description")
    event = queue.wait_for(package)
    platform.check(event is not None, f"no event told of the approval of {package}")
    event = event or {}
    platform.check(event["source"] == "aws.sagemaker", f"the event comes from {event['source']}")
    platform.check(event["detail-type"] == DETAIL_TYPE, f"the event is a {event['detail-type']}")
    status = event["detail"]["ModelApprovalStatus"]
    platform.check(status == "Approved", f"the event tells of {status}")
    platform.say(
        f"  {event['detail-type']}: version {event['detail']['ModelPackageVersion']} is {status} ({event['time']})"
    )
    return event


def summary(
    platform: Platform, accepted: Ended, refused: Ended, result: dict[str, Any], event: dict[str, Any]
) -> Report:
    """What came out, and where to look."""
    best = result["report"]["best_baseline"]
    baseline = result["report"]["baselines"][best]["mse"]["value"]
    facts = [
        (
            "accepted run",
            f"{accepted.seconds:.1f} s, MSE {result['mse']:.1f} min2; best baseline ({best}) {baseline:.1f}",
        ),
        ("rejected run", f"{refused.seconds:.1f} s, stopped by the gate at {STRICT_THRESHOLD:.0f} min2"),
        ("model package", f"{result['package']} (Approved)"),
        ("approval event", f"{event['id']}, received through EventBridge and SQS"),
    ]
    look = [
        f"the execution's objects: s3://{platform.bucket}/{PIPELINE}/runs/{accepted.id}/",
        f"its files on this machine: {platform.workdir / accepted.id}",
        f"the model: {result['model']}",
    ]
    if platform.local:
        look.append(f"the training job's log: mlparity logs {result['job']}")
    if result["run"]:
        look.append(f"the training run in MLflow: {platform.tracking_uri}/#/runs/{result['run']}")
    return Report("SageMaker training: everything was checked and held", facts, look)


@contextmanager
def quiet() -> Iterator[None]:
    """Leave the terminal to the scenario: errors alone are logged.

    The SDK turns the root logger to INFO when it is imported, tells of each default it applies and each name it leaves
    to the service, and warns that a pipeline session starts no job, which is what a pipeline session is for.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Running within a PipelineSession", category=UserWarning)
            yield
    finally:
        logging.disable(before)
