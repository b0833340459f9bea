"""What the story and the parts work with: the data in S3, the pipeline, and the names that go with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import boto3
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.s3 import S3Uploader
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.steps import CacheConfig

from mlparity.scenarios import Platform
from scenarios.flights.data import FlightsFiles, every_nth, flights_files, sha256
from scenarios.sagemaker_training.artifacts import RawFacts
from scenarios.sagemaker_training.jobs import preprocess
from scenarios.sagemaker_training.pipeline import Builder, Parameters
from scenarios.sagemaker_training.settings import MSE_THRESHOLD, STRICT_THRESHOLD, Case


@dataclass(frozen=True)
class Work:
    """The data is uploaded and the pipeline is there."""

    platform: Platform
    case: Case
    session: PipelineSession
    files: FlightsFiles
    builder: Builder
    pipeline: Pipeline
    threshold: float  # min2: the pipeline's gate
    strict: float  # min2: what no model of this data reaches

    @property
    def prefix(self) -> str:
        """s3://bucket/prefix of everything that is kept."""
        return f"s3://{self.platform.bucket}/{self.case.pipeline}"

    @property
    def runs(self) -> str:
        """Below it each execution has a folder of its own."""
        return f"{self.prefix}/runs"

    def cached_pipeline(self, name: str, cache: CacheConfig) -> Pipeline:
        """The pipeline under another name, with step caching, and without an experiment that would outlive it."""
        return replace(self.builder, name=name, cache=cache, options={"pipeline_experiment_config": None}).pipeline()

    def plain_session(self) -> Session:
        """A session that starts jobs, where the pipeline's only writes them down."""
        return Session(boto_session=self.session.boto_session, default_bucket=self.platform.bucket)

    def package_arns(self) -> set[str]:
        """Every version in the model package group."""
        pages = self.platform.client("sagemaker").get_paginator("list_model_packages")
        found = pages.paginate(ModelPackageGroupName=self.case.package_group)
        return {package["ModelPackageArn"] for page in found for package in page["ModelPackageSummaryList"]}


def prepare(platform: Platform, case: Case) -> Work:
    """Upload the raw tables, create the group and the pipeline, or update what is there; say so."""
    boto = boto3.Session(region_name=platform.region)
    session = PipelineSession(boto_session=boto, default_bucket=platform.bucket)
    files = flights_files()
    platform.say("1. The data: the flights that left New York City in 2013, with weather and planes")
    if not case.full:
        files = every_nth(files, case.every, platform.workdir / f"sample-{case.every}")
        platform.say(f"  a sample: one flight in {case.every}")
    threshold, strict = thresholds(case, files)
    _upload(platform, session, files, f"s3://{platform.bucket}/{case.pipeline}/data")
    platform.say("2. The pipeline: process, train, evaluate, gate, register")
    _create_group(platform.client("sagemaker"), case.package_group)
    prefix = f"s3://{platform.bucket}/{case.pipeline}"
    builder = Builder(
        session=session,
        role_arn=platform.role_arn,
        jobs=platform.folder / "jobs",
        prefix=f"{prefix}/runs",
        parameters=Parameters.defaults(f"{prefix}/data", threshold),
        name=case.pipeline,
        package_group=case.package_group,
    )
    pipeline = builder.pipeline()
    answer = pipeline.upsert(role_arn=platform.role_arn, description="Arrival delay of flights from NYC")
    platform.say(f"  {answer['PipelineArn']}")
    return Work(platform, case, session, files, builder, pipeline, threshold, strict)


def thresholds(case: Case, files: FlightsFiles) -> tuple[float, float]:
    """The gate, and a gate that no model of this data passes (min2).

    A sample's gate is the error of always saying the training mean, from the raw file: there is no better one that a
    reader could check.
    """
    if case.full:
        return MSE_THRESHOLD, STRICT_THRESHOLD
    months = {"train": preprocess.TRAIN_MONTHS, "test": preprocess.TEST_MONTHS}
    trivial = RawFacts.of(files.flights, {name: list(wanted) for name, wanted in months.items()}).train_mean_mse
    return round(trivial, 3), round(trivial / 2, 3)


def _upload(platform: Platform, session: PipelineSession, files: FlightsFiles, uri: str) -> None:
    """Put the three raw tables under `uri`."""
    for name, path in files.named("flights", "weather", "planes").items():
        S3Uploader.upload(str(path), uri, sagemaker_session=session)
        platform.say(f"  uploaded {name} ({path.stat().st_size:,} bytes, sha256 {sha256(path)[:12]}...) to {uri}")


def _create_group(sagemaker: Any, name: str) -> None:
    groups = sagemaker.list_model_package_groups(NameContains=name)["ModelPackageGroupSummaryList"]
    if name not in {group["ModelPackageGroupName"] for group in groups}:
        sagemaker.create_model_package_group(
            ModelPackageGroupName=name,
            ModelPackageGroupDescription="Arrival delay of flights from New York City, minutes",
        )
