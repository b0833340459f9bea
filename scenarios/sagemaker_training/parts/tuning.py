"""A search over the settings that were chosen by hand: the pipeline's own train.py, by the SDK's tuner."""

from __future__ import annotations

import math
import time
import uuid
from typing import Any

from sagemaker.core.parameter import CategoricalParameter
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, OutputDataConfig, SourceCode, StoppingCondition
from sagemaker.train.tuner import HyperparameterTuner

from scenarios.sagemaker_training import checks
from scenarios.sagemaker_training.accepted import Accepted
from scenarios.sagemaker_training.artifacts import download, model_mse
from scenarios.sagemaker_training.pipeline import HYPERPARAMETERS, XGBOOST, metric_regex
from scenarios.sagemaker_training.settings import TRAINING_INSTANCE, TUNED, TUNING_AT_ONCE, TUNING_JOBS
from scenarios.sagemaker_training.work import Work

OBJECTIVE = "validation:mse"  # of October, min2
ENDED = ("Completed", "Failed", "Stopped")


def run(work: Work, accepted: Accepted) -> list[tuple[str, str]]:
    """Search, check each of the jobs, and compare the best with the settings of the pipeline."""
    platform = work.platform
    tuner = build(work)
    name = f"{TUNING_JOBS}-{uuid.uuid4().hex[:8]}"
    began = time.monotonic()
    tuner.tune(inputs=channels(work, accepted), job_name=name, wait=False)
    described = follow(work, name, began)
    jobs = training_jobs(work, name)
    platform.check(
        described["HyperParameterTuningJobStatus"] == "Completed",
        f"the search ended {described['HyperParameterTuningJobStatus']}: {described.get('FailureReason', '')}",
    )
    wanted = math.prod(len(values) for values in TUNED.values())
    tried = {settings(job) for job in jobs}
    platform.check(len(jobs) == len(tried) == wanted, f"the search tried {len(tried)} of {wanted} combinations")
    for job in sorted(jobs, key=objective):
        mark = "  chosen by hand" if settings(job) == by_hand() else ""
        platform.say(f"    {OBJECTIVE} {objective(job):9.4f}  {shown(settings(job))}{mark}")
    best, hand = compare(work, accepted, tuner, described, jobs)
    text = (
        f"{OBJECTIVE} {objective(best):.4f} ({shown(settings(best))}), "
        f"by hand {objective(hand):.4f} ({shown(settings(hand))})"
    )
    return [("best of the search", f"{text}; {len(jobs)} jobs in {time.monotonic() - began:.1f} s")]


def build(work: Work) -> HyperparameterTuner:
    """Every combination of ``TUNED``; what is not searched is as in the pipeline."""
    trainer = ModelTrainer(
        training_image=work.builder.image("xgboost", XGBOOST),
        source_code=SourceCode(source_dir=str(work.builder.jobs), entry_script="train.py"),
        hyperparameters={name: value for name, value in HYPERPARAMETERS.items() if name not in TUNED},
        compute=Compute(instance_type=TRAINING_INSTANCE, instance_count=1, volume_size_in_gb=30),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=3600),
        output_data_config=OutputDataConfig(s3_output_path=f"{work.prefix}/tuning"),
        role=work.platform.role_arn,
        base_job_name=TUNING_JOBS,
        sagemaker_session=work.plain_session(),
    )
    return HyperparameterTuner(
        model_trainer=trainer,
        objective_metric_name=OBJECTIVE,
        objective_type="Minimize",
        metric_definitions=[{"Name": OBJECTIVE, "Regex": metric_regex("validation")}],
        hyperparameter_ranges={name: CategoricalParameter(list(values)) for name, values in TUNED.items()},
        strategy="Grid",
        max_jobs=math.prod(len(values) for values in TUNED.values()),
        max_parallel_jobs=TUNING_AT_ONCE,
    )


def channels(work: Work, accepted: Accepted) -> list[InputData]:
    """What the accepted execution's preparation left."""
    places = {name: f"{work.runs}/{accepted.ended.id}/{name}/" for name in ("train", "validation", "features")}
    return [InputData(channel_name=name, data_source=uri) for name, uri in places.items()]


def follow(work: Work, name: str, began: float) -> dict[str, Any]:
    """Describe once it has ended."""
    platform = work.platform
    every, limit = (0.5, 600.0) if platform.local else (15.0, 7200.0)
    sagemaker = platform.client("sagemaker")
    platform.say(f"  started {name}")
    while True:
        described: dict[str, Any] = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        if described["HyperParameterTuningJobStatus"] in ENDED:
            return described
        platform.check(time.monotonic() - began < limit, f"{name} had not ended after {limit:.0f} s")
        time.sleep(every)


def compare(
    work: Work, accepted: Accepted, tuner: HyperparameterTuner, described: dict[str, Any], jobs: list[dict[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The best job is the best there is, has the model it claims, and is no worse than the hand-set one."""
    platform = work.platform
    best = min(jobs, key=objective)
    named = described["BestTrainingJob"]["TrainingJobName"]
    platform.check(objective(described["BestTrainingJob"]) == objective(best), f"the best job is not {named}")
    platform.check(tuner.best_training_job() == named, f"the SDK names another best job than {named}")
    (hand,) = [job for job in jobs if settings(job) == by_hand()]
    platform.check(objective(best) <= objective(hand), f"{named} is worse than the settings chosen by hand")
    models = {label: model(work, job["TrainingJobName"]) for label, job in (("best", best), ("by hand", hand))}
    errors = {label: model_mse(path, accepted.artifacts.validation) for label, path in models.items()}
    for label, job in (("best", best), ("by hand", hand)):
        same = checks.close(errors[label], objective(job))
        platform.check(same, f"the {label} model has MSE {errors[label]}, its job says {objective(job)}")
    said = accepted.again.validation_mse
    platform.check(
        checks.close(errors["by hand"], said),
        f"the settings chosen by hand give MSE {errors['by hand']} in the search and {said} in the pipeline",
    )
    platform.say(
        f"  October: best {errors['best']:.1f} min2, by hand {errors['by hand']:.1f}, the pipeline's {said:.1f}"
    )
    test = model_mse(models["best"], accepted.artifacts.test)
    platform.say(
        f"  November and December, which the search has not seen: {test:.1f}, the pipeline's {accepted.mse:.1f}"
    )
    return best, hand


def training_jobs(work: Work, name: str) -> list[dict[str, Any]]:
    """The search's training jobs."""
    pages = work.platform.client("sagemaker").get_paginator("list_training_jobs_for_hyper_parameter_tuning_job")
    found = pages.paginate(HyperParameterTuningJobName=name)
    return [job for page in found for job in page["TrainingJobSummaries"]]


def model(work: Work, job: str) -> Any:
    """The model archive of a training job, on this machine."""
    platform = work.platform
    described = platform.client("sagemaker").describe_training_job(TrainingJobName=job)
    return download(platform.client("s3"), described["ModelArtifacts"]["S3ModelArtifacts"], platform.workdir / job)


def objective(job: dict[str, Any]) -> float:
    """A job's value of the objective."""
    return float(job["FinalHyperParameterTuningJobObjectiveMetric"]["Value"])


def settings(job: dict[str, Any]) -> tuple[str, ...]:
    """What the search set, in the order of ``TUNED``."""
    return tuple(job["TunedHyperParameters"][name] for name in TUNED)


def by_hand() -> tuple[str, ...]:
    """The pipeline's own settings of what is searched."""
    return tuple(str(HYPERPARAMETERS[name]) for name in TUNED)


def shown(values: tuple[str, ...]) -> str:
    """E.g. "max_depth 5, min_child_weight 100"."""
    return ", ".join(f"{name} {value}" for name, value in zip(TUNED, values, strict=True))
