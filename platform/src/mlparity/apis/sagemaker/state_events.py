"""The state-change events that SageMaker sends to EventBridge.

https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mlparity.apis.sagemaker import processing_jobs, training_jobs, transform_jobs, tuning_jobs
from mlparity.apis.sagemaker.context import API, Response, SageMaker
from mlparity.apis.sagemaker.run_status import RUN_STATUS, STEP_STATUS
from mlparity.engine.jobs import Job
from mlparity.engine.runs import Run, RunStatus, Step, StepStatus
from mlparity.engine.tuning.tunings import Tuning
from mlparity.registry import ModelVersion

SOURCE = "aws.sagemaker"


def model_package(api: SageMaker, version: ModelVersion, described: Response) -> None:
    """``SageMaker Model Package State Change``."""
    arn = api.arns.model_package(version.group_name, version.version)
    api.events.publish(SOURCE, "SageMaker Model Package State Change", detail_of(described), [arn])


def job(api: SageMaker, changed: Job) -> None:
    """``SageMaker Training Job State Change`` and its sisters; a JobService listener."""
    if changed.api != API:
        return
    if changed.kind == training_jobs.KIND:
        detail = detail_of(
            {**training_jobs.render(api, changed), "Tags": api.tags.get(api.arns.training_job(changed.name))}
        )
        api.events.publish(SOURCE, "SageMaker Training Job State Change", detail, [api.arns.training_job(changed.name)])
    elif changed.kind == processing_jobs.KIND:
        detail = detail_of(processing_jobs.render(api, changed))
        api.events.publish(
            SOURCE, "SageMaker Processing Job State Change", detail, [api.arns.processing_job(changed.name)]
        )
    elif changed.kind == transform_jobs.KIND:
        arn = transform_jobs.arn(api, changed.name)
        detail = detail_of({**transform_jobs.render(api, changed), "Tags": api.tags.get(arn)})
        api.events.publish(SOURCE, "SageMaker Transform Job State Change", detail, [arn])


def tuning(api: SageMaker, changed: Tuning) -> None:
    """``SageMaker HyperParameter Tuning Job State Change``; a TuningService listener."""
    if (changed.api, changed.kind) != (API, tuning_jobs.KIND):
        return
    arn = tuning_jobs.arn(api, changed.name)
    detail = detail_of({**tuning_jobs.render(api, changed), "Tags": api.tags.get(arn)})
    api.events.publish(SOURCE, "SageMaker HyperParameter Tuning Job State Change", detail, [arn])


def run(api: SageMaker, changed: Run, before: RunStatus | None) -> None:
    """``SageMaker Model Building Pipeline Execution Status Change``; a RunEngine listener."""
    if changed.api != API:
        return
    arn = api.arns.execution(changed.parent, changed.id)
    detail = {
        "pipelineArn": api.arns.pipeline(changed.parent),
        "pipelineExecutionArn": arn,
        "pipelineExecutionDisplayName": changed.name,
        "pipelineExecutionDescription": changed.request.get("PipelineExecutionDescription", ""),
        "currentPipelineExecutionStatus": RUN_STATUS[changed.status],
        "previousPipelineExecutionStatus": RUN_STATUS[before] if before else None,
        "executionStartTime": _iso(changed.started_at),
        "executionEndTime": _iso(changed.ended_at),
    }
    api.events.publish(
        SOURCE,
        "SageMaker Model Building Pipeline Execution Status Change",
        {key: value for key, value in detail.items() if value is not None},
        [api.arns.pipeline(changed.parent), arn],
    )


def step(api: SageMaker, of: Run, changed: Step, before: StepStatus) -> None:
    """``SageMaker Model Building Pipeline Execution Step Status Change``; a RunEngine listener."""
    if of.api != API or changed.status not in STEP_STATUS:
        return
    detail = {
        "metadata": {_camel(key): value for key, value in changed.details.items()},
        "pipelineArn": api.arns.pipeline(of.parent),
        "pipelineExecutionArn": api.arns.execution(of.parent, of.id),
        "stepName": changed.name,
        "stepType": changed.kind,
        "stepStartTime": _iso(changed.started_at),
        "stepEndTime": _iso(changed.ended_at),
        "previousStepStatus": STEP_STATUS.get(before),
        "currentStepStatus": STEP_STATUS[changed.status],
        "failureReason": changed.failure_reason or None,
    }
    api.events.publish(
        SOURCE,
        "SageMaker Model Building Pipeline Execution Step Status Change",
        {key: value for key, value in detail.items() if value is not None},
        [api.arns.pipeline(of.parent), api.arns.execution(of.parent, of.id)],
    )


def detail_of(described: Response) -> dict[str, Any]:
    """A Describe response as events carry it: times in milliseconds."""
    value = _milliseconds(described)
    assert isinstance(value, dict)  # noqa: S101 - the kind is kept
    return value


def _milliseconds(value: Any) -> Any:
    if isinstance(value, datetime):
        return int(value.timestamp() * 1000)
    if isinstance(value, dict):
        return {key: _milliseconds(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_milliseconds(item) for item in value]
    return value


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _camel(name: str) -> str:
    return name[:1].lower() + name[1:]
