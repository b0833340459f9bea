"""The same pipeline with step caching: the second execution runs no job, and its model is the first one's."""

from __future__ import annotations

import uuid

from sagemaker.mlops.workflow.steps import CacheConfig

from scenarios.sagemaker_common.execution import Ended, run_to_the_end
from scenarios.sagemaker_training import checks
from scenarios.sagemaker_training.accepted import Accepted
from scenarios.sagemaker_training.work import Work

EXPIRES = "PT1H"


def run(work: Work, _accepted: Accepted) -> list[tuple[str, str]]:
    """Two executions of a pipeline with a CacheConfig. Its name is new, so that the first one finds nothing."""
    platform = work.platform
    name = f"{work.case.pipeline}-cached-{uuid.uuid4().hex[:8]}"
    pipeline = work.cached_pipeline(name, CacheConfig(enable_caching=True, expire_after=EXPIRES))
    pipeline.upsert(role_arn=platform.role_arn, description="The same pipeline with step caching")
    try:
        first = run_to_the_end(platform, pipeline, "first", {})
        again = run_to_the_end(platform, pipeline, "again", {})
        check(work, first, again)
    finally:
        pipeline.delete()
        delete_scripts(work, name)
    saved = f"{first.seconds:.1f} s, then {again.seconds:.1f} s with every job's results from the cache"
    platform.say(f"  {saved}")
    for step in checks.JOB_STEPS:
        platform.say(f"    {step:12s} {seconds_of(first, step):5.1f} s  then {seconds_of(again, step):5.1f} s")
    platform.say(f"  the second registered the first one's model; the pipeline {name} is deleted again")
    return [("cached run", saved)]


def delete_scripts(work: Work, name: str) -> None:
    """Remove what the SDK uploaded for the pipeline: its scripts, under its own name."""
    s3 = work.platform.client("s3")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=work.platform.bucket, Prefix=f"{name}/"):
        for entry in page.get("Contents", []):
            s3.delete_object(Bucket=work.platform.bucket, Key=entry["Key"])


def check(work: Work, first: Ended, again: Ended) -> None:
    """The first did the work; the second says whose results it has, ran no job, and came to the same end."""
    platform = work.platform
    checks.steps_of_accepted(platform, first)
    checks.steps_of_accepted(platform, again)
    for step in checks.JOB_STEPS:
        platform.check("CacheHitResult" not in first.steps[step], f"{step} of the first execution is a cache hit")
        source = again.steps[step].get("CacheHitResult", {}).get("SourcePipelineExecutionArn")
        platform.check(source == first.arn, f"{step} was not taken from {first.arn} but from {source}")
        same = again.steps[step]["Metadata"] == first.steps[step]["Metadata"]
        platform.check(same, f"{step} names another job than the one whose results it has")
    jobs = jobs_of(work, again)
    platform.check(not jobs, f"the cached execution ran {', '.join(jobs)}")
    platform.check(len(jobs_of(work, first)) == len(checks.JOB_STEPS), "the first execution did not run its three jobs")
    platform.check(again.seconds < first.seconds, f"it took {again.seconds:.1f} s, the first {first.seconds:.1f} s")
    models = [model_of(work, ended) for ended in (first, again)]
    platform.check(models[0] == models[1], f"the second registered {models[1]}, not the cached {models[0]}")


def jobs_of(work: Work, ended: Ended) -> list[str]:
    """The processing and training jobs that an execution started: SageMaker names them after it."""
    sagemaker = work.platform.client("sagemaker")
    found = []
    for kind in ("processing", "training"):
        pages = sagemaker.get_paginator(f"list_{kind}_jobs").paginate(NameContains=ended.id)
        member = f"{kind.capitalize()}Job"
        found += [job[f"{member}Name"] for page in pages for job in page[f"{member}Summaries"]]
    return found


def model_of(work: Work, ended: Ended) -> tuple[str, str]:
    """The (model's, evaluation's) S3 URI of the version that an execution registered."""
    arn = ended.metadata("RegisterModel", "RegisterModel")["Arn"]
    package = work.platform.client("sagemaker").describe_model_package(ModelPackageName=arn)
    statistics = package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]
    return package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"], statistics


def seconds_of(ended: Ended, step: str) -> float:
    """How long a step took."""
    times = ended.steps[step]
    return float((times["EndTime"] - times["StartTime"]).total_seconds())
