"""The steps and the parameters of pipeline executions."""

from __future__ import annotations

import json
from typing import Any

from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import validation
from mlparity.apis.sagemaker.executions import find
from mlparity.apis.sagemaker.operation import Operation
from mlparity.apis.sagemaker.run_status import STEP_STATUS
from mlparity.engine.runs import Reuse, Run, Step, StepStatus

_STEPS_PAGE = 10
_PARAMETERS_PAGE = 50


def steps(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListPipelineExecutionSteps: those that have begun, newest first unless asked otherwise."""
    if "PipelineExecutionArn" not in request:
        raise validation("PipelineExecutionArn is required")
    run = find(api, request["PipelineExecutionArn"])
    shown = [step for step in api.runs.repository.steps(run.id).values() if step.status in STEP_STATUS]
    shown.sort(key=lambda step: (step.started_at or run.created_at, step.position))
    if request.get("SortOrder", "Descending") == "Descending":
        shown.reverse()
    items, token = _slice(shown, request, _STEPS_PAGE)
    response: Response = {"PipelineExecutionSteps": [_step(api, run, step) for step in items]}
    if token:
        response["NextToken"] = token
    return response


def _step(api: SageMaker, run: Run, step: Step) -> Response:
    body: dict[str, Any] = next(dict(plan.body) for plan in run.plan.steps if plan.name == step.name)
    rendered: Response = {
        "StepName": step.name,
        "StartTime": step.started_at or run.created_at,
        "StepStatus": STEP_STATUS[step.status],
        "AttemptCount": step.attempt,
        "Metadata": dict(step.details),
    }
    for member, source in (("StepDisplayName", "DisplayName"), ("StepDescription", "Description")):
        if body.get(source):
            rendered[member] = body[source]
    if step.ended_at is not None:
        rendered["EndTime"] = step.ended_at
    if step.status is StepStatus.FAILED and step.failure_reason:
        rendered["FailureReason"] = step.failure_reason[:1024]
    if step.reuse is not Reuse.NONE and step.reused_from:
        member = "CacheHitResult" if step.reuse is Reuse.CACHE else "SelectiveExecutionResult"
        rendered[member] = {"SourcePipelineExecutionArn": api.arns.execution(run.parent, step.reused_from)}
    return rendered


def parameters(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListPipelineParametersForExecution: every effective value, as text."""
    run = find(api, request["PipelineExecutionArn"])
    values = [{"Name": name, "Value": _text(value)} for name, value in run.plan.parameters.items()]
    items, token = _slice(values, request, _PARAMETERS_PAGE)
    response: Response = {"PipelineParameters": items}
    if token:
        response["NextToken"] = token
    return response


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _slice(items: list[Any], request: Request, size: int) -> tuple[list[Any], str | None]:
    token = request.get("NextToken", "0")
    if not token.isdigit():
        raise validation("Invalid pagination token")
    begin = int(token)
    end = begin + request.get("MaxResults", size)
    return items[begin:end], str(end) if end < len(items) else None


OPERATIONS = (
    Operation("ListPipelineExecutionSteps", steps),
    Operation("ListPipelineParametersForExecution", parameters),
)
