"""Batch transform with the registered model: every flight of the test months, and the label kept beside it."""

from __future__ import annotations

import uuid

import numpy as np
import pandas as pd
from sagemaker.core.resources import Model
from sagemaker.core.shapes import ContainerDefinition
from sagemaker.core.transformer import Transformer

from scenarios.sagemaker_training.accepted import Accepted
from scenarios.sagemaker_training.artifacts import download
from scenarios.sagemaker_training.settings import TRANSFORM_INSTANCE
from scenarios.sagemaker_training.work import Work


def run(work: Work, accepted: Accepted) -> list[tuple[str, str]]:
    """Approve the version, make a model of it, predict, and compare with the model's own predictions."""
    platform = work.platform
    sagemaker = platform.client("sagemaker")
    # SageMaker makes no model of a version that nobody has approved.
    sagemaker.update_model_package(ModelPackageArn=accepted.package, ModelApprovalStatus="Approved")
    name = f"{work.case.pipeline}-{uuid.uuid4().hex[:8]}"
    model = Model.create(
        model_name=name,
        primary_container=ContainerDefinition(model_package_name=accepted.package),
        execution_role_arn=platform.role_arn,
        session=work.session.boto_session,
        region=platform.region,
    )
    try:
        output = f"{work.prefix}/predictions/{name}"
        job = transform(work, accepted, name, output)
    finally:
        model.delete()
    path = download(platform.client("s3"), f"{output}/test.csv.out", platform.workdir / name)
    table = pd.read_csv(path, header=None).to_numpy(dtype="float64")
    check(work, accepted, table)
    mse = float(np.mean((table[:, 0] - table[:, 1]) ** 2))
    platform.say(f"  {len(table):,} predictions in {output}/test.csv.out are the model's own; MSE {mse:.1f} min2")
    return [("batch transform", f"{len(table):,} flights in {job}, MSE {mse:.1f} min2")]


def transform(work: Work, accepted: Accepted, model_name: str, output: str) -> str:
    """Run the job over the execution's own test.csv; its name.

    The label in the first column is not shown to the model, and is written beside the prediction.
    """
    platform = work.platform
    transformer = Transformer(
        model_name=model_name,
        instance_count=1,
        instance_type=TRANSFORM_INSTANCE,
        strategy="MultiRecord",
        assemble_with="Line",
        accept="text/csv",
        output_path=output,
        sagemaker_session=work.plain_session(),
    )
    job = f"{model_name}-test"
    transformer.transform(
        f"{work.runs}/{accepted.ended.id}/test/test.csv",
        content_type="text/csv",
        split_type="Line",
        job_name=job,
        input_filter="$[1:]",
        join_source="Input",
        output_filter="$[0,-1]",
        wait=False,
    )
    platform.say(f"  started {job} with {accepted.package.rsplit(':', 1)[-1]}")
    every, limit = (1, 300) if platform.local else (15, 240)
    waiter = platform.client("sagemaker").get_waiter("transform_job_completed_or_stopped")
    waiter.wait(TransformJobName=job, WaiterConfig={"Delay": every, "MaxAttempts": limit})
    described = platform.client("sagemaker").describe_transform_job(TransformJobName=job)
    status = described["TransformJobStatus"]
    platform.check(status == "Completed", f"{job} ended {status}: {described.get('FailureReason', 'no reason given')}")
    return job


def check(work: Work, accepted: Accepted, table: np.ndarray) -> None:
    """Every test flight has its label and the prediction that the downloaded model makes here."""
    platform = work.platform
    rows = accepted.again.rows
    platform.check(table.shape == (rows, 2), f"the job wrote {table.shape} values, not ({rows}, 2)")
    labels = pd.read_csv(accepted.artifacts.test, header=None, usecols=[0])[0].to_numpy()
    platform.check(
        bool(np.allclose(table[:, 0], labels)), "the labels beside the predictions are not the test flights'"
    )
    difference = float(np.max(np.abs(table[:, 1] - accepted.again.predictions)))
    platform.check(difference < 1e-3, f"a prediction differs by {difference} min from the downloaded model's")
