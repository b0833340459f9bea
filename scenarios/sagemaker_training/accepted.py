"""An execution whose model is accepted, checked from its data to its registration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlparity.scenarios import Platform
from scenarios.sagemaker_common.execution import Ended, run_to_the_end
from scenarios.sagemaker_training import checks
from scenarios.sagemaker_training.artifacts import Artifacts, Recomputed, recompute
from scenarios.sagemaker_training.work import Work


@dataclass(frozen=True)
class Accepted:
    """The execution, its files on this machine, and what was worked out from them again."""

    ended: Ended
    artifacts: Artifacts
    again: Recomputed
    report: dict[str, Any]  # evaluation.json
    package: str  # ARN
    model_uri: str
    job: str  # the training job's name
    run: str  # the MLflow run; "" without tracking

    @property
    def mse(self) -> float:
        """On the test months, min2."""
        return float(self.report["regression_metrics"]["mse"]["value"])


def accepted_run(work: Work) -> Accepted:
    """Run the pipeline, and check it; say what was found."""
    return accept(work, run_to_the_end(work.platform, work.pipeline, "accepted", {}))


def accept(work: Work, ended: Ended) -> Accepted:
    """Check an accepted execution; the first result that does not hold ends the scenario."""
    platform = work.platform
    checks.steps_of_accepted(platform, ended)
    job_name = ended.metadata("Train", "TrainingJob")["Arn"].rsplit("/", 1)[-1]
    sagemaker = platform.client("sagemaker")
    model_uri = sagemaker.describe_training_job(TrainingJobName=job_name)["ModelArtifacts"]["S3ModelArtifacts"]
    prefix = f"{work.runs}/{ended.id}"
    artifacts = Artifacts.fetch(platform.client("s3"), prefix, model_uri, platform.workdir / ended.id)
    raw = checks.data_is_the_raw_data(platform, artifacts, work.files.flights)
    platform.say(f"  the jobs saw the real flights: {', '.join(f'{name} {rows:,}' for name, rows in raw.rows.items())}")
    again = recompute(artifacts)
    checks.predictions_are_the_models(platform, artifacts, again)
    platform.say(f"  the downloaded model predicts the same {again.rows:,} delays here as in the job")
    report = artifacts.report()
    if work.case.full:
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
    package = checks.registered_package(platform, ended, artifacts, model_uri, work.case.package_group)
    platform.say(f"  registered {package['ModelPackageArn']}, {package['ModelApprovalStatus']}")
    return Accepted(ended, artifacts, again, report, package["ModelPackageArn"], model_uri, job_name, run_id)


def say_quality(platform: Platform, report: dict[str, Any]) -> None:
    """The model beside its baselines."""
    for name, metrics in {"model": report["regression_metrics"], **report["baselines"]}.items():
        numbers = "  ".join(f"{metric} {metrics[metric]['value']:9.3f}" for metric in ("mse", "rmse", "mae", "r2"))
        platform.say(f"    {name:18s} {numbers}")
