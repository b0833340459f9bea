"""The retraining loop over SageMaker's own operations: what it needs to be there, and who may approve."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlparity.apis.sagemaker import own_calls
from mlparity.apis.sagemaker.context import Caller
from mlparity.apis.sagemaker.errors import SageMakerError
from mlparity.engine.job_repository import JobRepository
from mlparity.engine.run_engine import RunEngine
from mlparity.engine.run_repository import RunRepository
from mlparity.errors import InvalidRequestError
from mlparity.ids import SeededIds
from mlparity.monitoring.loop.definition import LoopDefinition
from mlparity.monitoring.loop.service import LoopService
from mlparity.stack.retraining import retraining_loop
from tests.unit.sagemaker_endpoint_bench import ACCOUNT, BUCKET, IMAGE, Bench

LOOP = {
    "name": "flights",
    "endpoint": "prod",
    "model_group": "flights",
    "trigger": {"alarm": "drift"},
    "retrain": {"pipeline": "train"},
    "gate": {"metric": "mse.value", "threshold": 100.0},
}


class World:
    """The operations with a loop service over them, and people who call."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder)
        self.loops: LoopService = retraining_loop(
            lambda: self.api, self.bench.database, self.bench.store, self.bench.clock, ACCOUNT, lambda: None
        )
        database, clock = self.bench.database, self.bench.clock
        jobs = JobRepository(database, clock, SeededIds(1))
        runs = RunEngine(RunRepository(database, clock), jobs, {}, clock)  # nothing is started
        self.api = replace(self.bench.api, runs=runs, needs_other_approver=self.loops.governs)

    def call(self, operation: str, role: str = "engineer", session: str = "s", **request: Any) -> Any:
        caller = Caller(f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{session}", f"AROA:{session}")
        return own_calls.call(self.api, operation, request, caller)

    def pipeline(self) -> None:
        step = {"Name": "stop", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}
        definition = json.dumps({"Version": "2020-12-01", "Steps": [step]})
        self.call(
            "CreatePipeline", PipelineName="train", PipelineDefinition=definition, ClientRequestToken="t" * 32,
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/pipeline",
        )  # fmt: skip

    def package(self, group: str) -> str:
        """The ARN of a version that the pipeline's role has registered."""
        self.bench.store.put_bytes(BUCKET, "m.tar.gz", b"archive")
        self.call("CreateModelPackageGroup", ModelPackageGroupName=group)
        specification = {
            "Containers": [{"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/m.tar.gz"}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        }
        made = self.call(
            "CreateModelPackage", "pipeline", "SageMaker", ModelPackageGroupName=group,
            InferenceSpecification=specification, ModelApprovalStatus="PendingManualApproval",
        )  # fmt: skip
        return str(made["ModelPackageArn"])

    def decide(self, package: str, status: str, role: str) -> None:
        self.call("UpdateModelPackage", role, "tuesday", ModelPackageArn=package, ModelApprovalStatus=status)

    def status(self, package: str) -> str:
        return str(self.call("DescribeModelPackage", ModelPackageName=package)["ModelApprovalStatus"])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.bench.close()


def test_a_loop_says_what_has_to_be_there_first(world: World) -> None:
    definition = LoopDefinition.read(LOOP)
    with pytest.raises(InvalidRequestError) as refused:
        world.loops.put(definition)
    what, why, hint = refused.value.lines()
    assert what == "the pipeline train, with which the loop flights is to retrain, is not there"
    assert "pipeline/train" in why
    assert hint == "create the pipeline first, or name another one under `retrain: pipeline:`"
    world.pipeline()
    with pytest.raises(InvalidRequestError, match="the endpoint prod, which the loop flights is to watch, is not"):
        world.loops.put(definition)
    world.bench.endpoint("prod")
    assert world.loops.put(definition).definition == definition


def test_nobody_approves_his_own_package_where_a_loop_looks_after_the_group(world: World) -> None:
    world.pipeline()
    world.bench.endpoint("prod")
    world.loops.put(LoopDefinition.read(LOOP))
    package = world.package("flights")
    with pytest.raises(SageMakerError) as refused:
        world.decide(package, "Approved", "pipeline")  # in another session, and still the same role
    assert (refused.value.code, refused.value.status) == ("AccessDeniedException", 400)
    assert f"sagemaker:UpdateModelPackage on resource: {package} with an explicit deny" in refused.value.message
    assert world.status(package) == "PendingManualApproval"
    world.decide(package, "Rejected", "pipeline")  # to withdraw is no approval
    assert world.status(package) == "Rejected"
    world.decide(package, "Approved", "approver")
    described = world.call("DescribeModelPackage", ModelPackageName=package)
    assert described["ModelApprovalStatus"] == "Approved"
    assert "/approver/tuesday" in described["LastModifiedBy"]["IamIdentity"]["Arn"]
    without_a_loop = world.package("others")
    world.decide(without_a_loop, "Approved", "pipeline")
    assert world.status(without_a_loop) == "Approved"
