"""Pipeline executions: start, stop, describe, list, their steps and parameters."""

from __future__ import annotations

import json
from typing import Any

from mlparity.apis.sagemaker import idempotency, pipelines
from mlparity.apis.sagemaker.arns import execution_id_of
from mlparity.apis.sagemaker.context import API, Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.definition.parameters import effective
from mlparity.apis.sagemaker.definition.reader import read_steps
from mlparity.apis.sagemaker.errors import not_found, not_served, validation
from mlparity.apis.sagemaker.listing import page_request, times, with_token
from mlparity.apis.sagemaker.operation import Operation
from mlparity.apis.sagemaker.run_status import RUN_STATUS, STEP_STATUS
from mlparity.engine.run_repository import NewRun
from mlparity.engine.runs import Run, RunPlan, Step, StepStatus
from mlparity.errors import NotFoundError
from mlparity.wire.json_values import jsonable

_ID_LENGTH = 12
_STEPS_PAGE = 10
_PARAMETERS_PAGE = 50


def start(api: SageMaker, request: Request, caller: Caller) -> Response:
    """StartPipelineExecution."""
    for feature in ("SelectiveExecutionConfig", "PipelineVersionId", "MlflowExperimentName"):
        if feature in request:
            raise not_served(feature)
    return idempotency.once(
        api, "StartPipelineExecution", request["ClientRequestToken"], lambda: _start(api, request, caller)
    )


def _start(api: SageMaker, request: Request, caller: Caller) -> Response:
    pipeline = pipelines.find(api, request["PipelineName"])
    document = json.loads(pipeline.body["PipelineDefinition"])
    execution_id = api.ids.token(_ID_LENGTH)
    parallelism = request.get("ParallelismConfiguration") or pipeline.body.get("ParallelismConfiguration") or {}
    started = api.clock.now()
    arn = api.arns.execution(pipeline.name, execution_id)
    context = {
        "PipelineName": pipeline.name,
        "PipelineArn": api.arns.pipeline(pipeline.name),
        "PipelineExecutionId": execution_id,
        "PipelineExecutionArn": arn,
        "StartDateTime": started.isoformat(),
        "RoleArn": pipeline.body["RoleArn"],
        "ExperimentName": pipeline.name,
    }
    plan = RunPlan(
        steps=read_steps(document),
        parameters=effective(document, request.get("PipelineParameters", ())),
        context=context,
        max_parallel_steps=parallelism.get("MaxParallelExecutionSteps", 0),
    )
    stored = {
        **jsonable(dict(request)),
        "PipelineDefinition": pipeline.body["PipelineDefinition"],
        "CreatedBy": caller.user_context(),
    }
    if parallelism:
        stored["ParallelismConfiguration"] = parallelism
    name = request.get("PipelineExecutionDisplayName", f"execution-{int(started.timestamp() * 1000)}")
    api.runs.submit(NewRun(execution_id, API, pipelines.RUN_KIND, pipeline.name, name, stored, plan))
    return {"PipelineExecutionArn": arn}


def find(api: SageMaker, arn: str) -> Run:
    """The execution, or SageMaker's error for its absence."""
    pipeline, execution_id = execution_id_of(arn)
    try:
        run = api.runs.repository.get(execution_id)
    except NotFoundError:
        run = None
    if run is None or run.parent != pipeline:
        raise not_found(f"Pipeline execution with ARN {arn} does not exist.")
    return run


def describe(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DescribePipelineExecution."""
    run = find(api, request["PipelineExecutionArn"])
    response: Response = {
        "PipelineArn": api.arns.pipeline(run.parent),
        "PipelineExecutionArn": api.arns.execution(run.parent, run.id),
        "PipelineExecutionDisplayName": run.name,
        "PipelineExecutionStatus": RUN_STATUS[run.status],
        "PipelineExperimentConfig": {"ExperimentName": run.parent, "TrialName": run.id},
        "CreationTime": run.created_at,
        "LastModifiedTime": run.modified_at,
        "CreatedBy": run.request["CreatedBy"],
        "LastModifiedBy": run.request["CreatedBy"],
    }
    for member in ("PipelineExecutionDescription", "ParallelismConfiguration"):
        if member in run.request:
            response[member] = run.request[member]
    if run.failure_reason:
        response["FailureReason"] = run.failure_reason
    return response


def definition(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DescribePipelineDefinitionForExecution: the definition as it was when the execution began."""
    run = find(api, request["PipelineExecutionArn"])
    return {"PipelineDefinition": run.request["PipelineDefinition"], "CreationTime": run.created_at}


def list_(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListPipelineExecutions of one pipeline."""
    pipeline = pipelines.find(api, request["PipelineName"])
    columns = {"CreationTime": "created_at", "PipelineExecutionArn": "id"}
    page = api.runs.repository.list(
        API,
        pipelines.RUN_KIND,
        pipeline.name,
        page_request(request, columns, default_sort="CreationTime", default_order="Descending"),
        **times(request),
    )
    return with_token({"PipelineExecutionSummaries": [_summary(api, run) for run in page.items]}, page)


def _summary(api: SageMaker, run: Run) -> Response:
    summary: Response = {
        "PipelineExecutionArn": api.arns.execution(run.parent, run.id),
        "StartTime": run.started_at or run.created_at,
        "PipelineExecutionStatus": RUN_STATUS[run.status],
        "PipelineExecutionDisplayName": run.name,
    }
    if "PipelineExecutionDescription" in run.request:
        summary["PipelineExecutionDescription"] = run.request["PipelineExecutionDescription"]
    if run.failure_reason:
        summary["PipelineExecutionFailureReason"] = run.failure_reason
    return summary


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
    response: Response = {"PipelineExecutionSteps": [_step(run, step) for step in items]}
    if token:
        response["NextToken"] = token
    return response


def _step(run: Run, step: Step) -> Response:
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


def stop(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """StopPipelineExecution."""
    run = find(api, request["PipelineExecutionArn"])
    if run.status.is_final:
        raise validation(
            f"Only pipeline executions that are executing can be stopped. Its status is {RUN_STATUS[run.status]}."
        )
    api.runs.stop(run.id)
    return {"PipelineExecutionArn": api.arns.execution(run.parent, run.id)}


OPERATIONS = (
    Operation("StartPipelineExecution", start, "no selective execution, no versions"),
    Operation("StopPipelineExecution", stop),
    Operation("DescribePipelineExecution", describe),
    Operation("DescribePipelineDefinitionForExecution", definition),
    Operation("ListPipelineExecutions", list_),
    Operation("ListPipelineExecutionSteps", steps),
    Operation("ListPipelineParametersForExecution", parameters),
)
