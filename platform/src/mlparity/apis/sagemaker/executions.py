"""Pipeline executions: start, stop, retry, update, describe, list."""

from __future__ import annotations

import json
from typing import Any

from mlparity.apis.sagemaker import idempotency, mlflow_resources, pipeline_versions, pipelines, selective_execution
from mlparity.apis.sagemaker.arns import execution_id_of
from mlparity.apis.sagemaker.context import API, Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.definition.experiments import experiment_of
from mlparity.apis.sagemaker.definition.mlflow import mlflow_of
from mlparity.apis.sagemaker.definition.parameters import effective
from mlparity.apis.sagemaker.definition.reader import read_steps
from mlparity.apis.sagemaker.errors import not_found, validation
from mlparity.apis.sagemaker.listing import page_request, times, with_token
from mlparity.apis.sagemaker.operation import Operation
from mlparity.apis.sagemaker.run_status import RUN_STATUS
from mlparity.apis.sagemaker.selective_execution import Selection
from mlparity.engine.run_repository import NewRun
from mlparity.engine.runs import Run, RunPlan, RunStatus
from mlparity.errors import NotFoundError
from mlparity.state.documents import Document
from mlparity.wire.json_values import jsonable

_ID_LENGTH = 12


def start(api: SageMaker, request: Request, caller: Caller) -> Response:
    """StartPipelineExecution."""
    return idempotency.once(
        api, "StartPipelineExecution", request["ClientRequestToken"], lambda: _start(api, request, caller)
    )


def _start(api: SageMaker, request: Request, caller: Caller) -> Response:
    pipeline = pipelines.find(api, request["PipelineName"])
    version: int = request.get("PipelineVersionId", pipeline.body["PipelineVersionId"])
    text: str = pipeline_versions.find(api, pipeline.name, version).body["PipelineDefinition"]
    document = json.loads(text)
    execution_id = api.ids.token(_ID_LENGTH)
    parallelism = request.get("ParallelismConfiguration") or pipeline.body.get("ParallelismConfiguration") or {}
    parameters = effective(document, request.get("PipelineParameters", ()))
    context = _context(api, pipeline, execution_id)
    tracking = mlflow_of(document, parameters, context, request.get("MlflowExperimentName"))
    if tracking:
        mlflow_resources.require(api, tracking["MlflowResourceArn"])
    plan = RunPlan(
        steps=read_steps(document),
        parameters=parameters,
        context={**context, **experiment_of(document, parameters, context), "MlflowConfig": tracking},
        max_parallel_steps=parallelism.get("MaxParallelExecutionSteps", 0),
    )
    selection = _selection(api, request, pipeline.name, plan.steps)
    stored = {
        **jsonable(dict(request)),
        "PipelineDefinition": text,
        "PipelineVersionId": version,
        "CreatedBy": caller.user_context(),
        "LastModifiedBy": caller.user_context(),
    }
    if parallelism:
        stored["ParallelismConfiguration"] = parallelism
    name = request.get("PipelineExecutionDisplayName", f"execution-{int(api.clock.now().timestamp() * 1000)}")
    api.runs.submit(
        NewRun(
            execution_id,
            API,
            pipelines.RUN_KIND,
            pipeline.name,
            name,
            stored,
            plan,
            selection.reused,
            selection.left_out,
        )
    )
    arn = api.arns.execution(pipeline.name, execution_id)
    pipeline_versions.executed(api, pipeline.name, version, arn)
    return {"PipelineExecutionArn": arn}


def _context(api: SageMaker, pipeline: Document, execution_id: str) -> dict[str, Any]:
    """What ``Execution.NAME`` stands for, and the role that the steps act as."""
    return {
        "PipelineName": pipeline.name,
        "PipelineArn": api.arns.pipeline(pipeline.name),
        "PipelineExecutionId": execution_id,
        "PipelineExecutionArn": api.arns.execution(pipeline.name, execution_id),
        "StartDateTime": api.clock.now().isoformat(),
        "RoleArn": pipeline.body["RoleArn"],
    }


def _selection(api: SageMaker, request: Request, pipeline: str, plans: Any) -> Selection:
    config = request.get("SelectiveExecutionConfig")
    if config is None:
        return Selection({}, ())
    selected = selective_execution.names(config, plans)
    source, arn = None, config.get("SourcePipelineExecutionArn")
    if arn is not None:
        source = find(api, arn)
        if source.parent != pipeline:
            raise validation(f"Invalid SourcePipelineExecutionArn: {arn} is not an execution of pipeline {pipeline}.")
        if not source.status.is_final:
            raise validation(
                f"Invalid SourcePipelineExecutionArn: {arn}. Its status is {RUN_STATUS[source.status]}; "
                "it must be Stopped, Failed or Succeeded."
            )
    done = api.runs.repository.steps(source.id) if source else {}
    return selective_execution.select(selected, plans, source, done)


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
        "CreationTime": run.created_at,
        "LastModifiedTime": run.modified_at,
        "CreatedBy": run.request["CreatedBy"],
        "LastModifiedBy": run.request["LastModifiedBy"],
        "PipelineVersionId": run.request["PipelineVersionId"],
    }
    for member in ("PipelineExecutionDescription", "ParallelismConfiguration", "SelectiveExecutionConfig"):
        if member in run.request:
            response[member] = run.request[member]
    experiment = {
        name: run.plan.context[name] for name in ("ExperimentName", "TrialName") if run.plan.context.get(name)
    }
    if experiment:
        response["PipelineExperimentConfig"] = experiment
    if tracking := run.plan.context.get("MlflowConfig"):
        response["MLflowConfig"] = tracking
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


def stop(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """StopPipelineExecution."""
    run = find(api, request["PipelineExecutionArn"])
    if run.status.is_final:
        raise validation(
            f"Only pipeline executions that are executing can be stopped. Its status is {RUN_STATUS[run.status]}."
        )
    api.runs.stop(run.id)
    return {"PipelineExecutionArn": api.arns.execution(run.parent, run.id)}


def retry(api: SageMaker, request: Request, caller: Caller) -> Response:
    """RetryPipelineExecution: the steps that failed or were stopped run again, in the same execution."""
    return idempotency.once(
        api, "RetryPipelineExecution", request["ClientRequestToken"], lambda: _retry(api, request, caller)
    )


def _retry(api: SageMaker, request: Request, caller: Caller) -> Response:
    run = find(api, request["PipelineExecutionArn"])
    if run.status not in {RunStatus.FAILED, RunStatus.STOPPED}:
        raise validation(
            "Only pipeline executions with status Failed or Stopped can be retried. "
            f"Its status is {RUN_STATUS[run.status]}."
        )
    _amend(api, run, request, caller)
    api.runs.reopen(run.id)
    return {"PipelineExecutionArn": api.arns.execution(run.parent, run.id)}


def update(api: SageMaker, request: Request, caller: Caller) -> Response:
    """UpdatePipelineExecution: its display name, description and parallelism."""
    run = find(api, request["PipelineExecutionArn"])
    _amend(api, run, request, caller)
    api.runs.wake(run.id)
    return {"PipelineExecutionArn": api.arns.execution(run.parent, run.id)}


def _amend(api: SageMaker, run: Run, request: Request, caller: Caller) -> None:
    members = ("PipelineExecutionDescription", "ParallelismConfiguration")
    changes = {name: request[name] for name in members if name in request}
    api.runs.repository.amend(
        run.id,
        name=request.get("PipelineExecutionDisplayName"),
        request={**changes, "LastModifiedBy": caller.user_context()},
        max_parallel_steps=request.get("ParallelismConfiguration", {}).get("MaxParallelExecutionSteps"),
    )


OPERATIONS = (
    Operation("StartPipelineExecution", start),
    Operation("StopPipelineExecution", stop),
    Operation("RetryPipelineExecution", retry),
    Operation("UpdatePipelineExecution", update),
    Operation("DescribePipelineExecution", describe),
    Operation("DescribePipelineDefinitionForExecution", definition),
    Operation("ListPipelineExecutions", list_),
)
