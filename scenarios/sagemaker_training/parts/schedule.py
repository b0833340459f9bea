"""A schedule that starts the pipeline: EventBridge Scheduler, through the SDK's triggers."""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError
from sagemaker.mlops.workflow.pipeline import PipelineExecution
from sagemaker.mlops.workflow.triggers import PipelineSchedule

from scenarios.sagemaker_common.execution import follow
from scenarios.sagemaker_training import checks
from scenarios.sagemaker_training.accepted import Accepted
from scenarios.sagemaker_training.work import Work


def run(work: Work, accepted: Accepted) -> list[tuple[str, str]]:
    """Put a trigger for a moment from now, follow the execution that it starts, delete the trigger."""
    platform = work.platform
    before = executions(work)
    # On AWS a schedule is taken up within a minute, so its time must not be over by then.
    at = datetime.now(UTC) + timedelta(seconds=2 if platform.local else 120)
    name = f"{work.case.pipeline}-{uuid.uuid4().hex[:8]}"
    (arn,) = work.pipeline.put_triggers([PipelineSchedule(name=name, at=at)], role_arn=platform.role_arn)
    try:
        described = work.pipeline.describe_trigger(name)
        expression = described["Schedule_Expression"]
        platform.check(expression == f"at({at:%Y-%m-%dT%H:%M:%S})", f"the schedule is {expression}")
        platform.say(f"  schedule {name}: {expression}")
        started = wait_for_a_start(work, before)
        began = time.monotonic()
        platform.say(f"  it started execution {started['PipelineExecutionArn'].rsplit('/', 1)[-1]}")
        execution = PipelineExecution(arn=started["PipelineExecutionArn"], sagemaker_session=work.session)
        ended = follow(platform, execution, "by schedule", began)
    finally:
        work.pipeline.delete_triggers([name])
    checks.steps_of_accepted(platform, ended)
    identity = ended.description["CreatedBy"].get("IamIdentity", {}).get("Arn", "")
    platform.check(":assumed-role/" in identity, f"the execution was started by {identity}, not by a role's session")
    platform.check(trigger_is_gone(work, name), f"the schedule {arn} is still there")
    found = executions(work) - before
    platform.check(found == {ended.arn}, f"the schedule started {len(found)} executions, not one")
    mse = registered_mse(work, ended.metadata("RegisterModel", "RegisterModel")["Arn"])
    platform.check(checks.close(mse, accepted.mse), f"the same data gave MSE {mse}, and {accepted.mse} before")
    platform.say(f"  started as {identity.rsplit(':', 1)[-1]}; MSE {mse:.1f} min2 again; the schedule is deleted")
    return [("scheduled run", f"execution {ended.id}, started by {expression}")]


def wait_for_a_start(work: Work, before: set[str]) -> dict[str, Any]:
    """The execution that was not there before (a minute locally, five on AWS)."""
    platform = work.platform
    every, limit = (0.25, 60.0) if platform.local else (10.0, 300.0)
    deadline = time.monotonic() + limit
    while not (new := executions(work) - before):
        platform.check(time.monotonic() < deadline, f"the schedule had started nothing after {limit:.0f} s")
        time.sleep(every)
    return {"PipelineExecutionArn": new.pop()}


def executions(work: Work) -> set[str]:
    """The ARN of every execution of the pipeline."""
    pages = work.platform.client("sagemaker").get_paginator("list_pipeline_executions")
    found = pages.paginate(PipelineName=work.case.pipeline)
    return {each["PipelineExecutionArn"] for page in found for each in page["PipelineExecutionSummaries"]}


def trigger_is_gone(work: Work, name: str) -> bool:
    """Whether EventBridge Scheduler knows the schedule no more."""
    try:
        work.platform.client("scheduler").get_schedule(Name=name)
    except ClientError as error:
        return bool(error.response["Error"]["Code"] == "ResourceNotFoundException")
    return False


def registered_mse(work: Work, package: str) -> float:
    """The MSE in the metrics of a registered version (min2)."""
    described = work.platform.client("sagemaker").describe_model_package(ModelPackageName=package)
    place = urlsplit(described["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"])
    body = work.platform.client("s3").get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))["Body"].read()
    return float(json.loads(body)["regression_metrics"]["mse"]["value"])
