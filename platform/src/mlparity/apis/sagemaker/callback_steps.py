"""SendPipelineExecutionStepSuccess and -Failure: the answers that end callback steps."""

from __future__ import annotations

from typing import Any

from mlparity.apis.sagemaker import callback_tokens, idempotency
from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.definition.outputs import as_text, declared, typed
from mlparity.apis.sagemaker.errors import not_found, validation
from mlparity.apis.sagemaker.operation import Operation
from mlparity.engine.runs import Run, Step, StepPlan, StepStatus, StepUpdate
from mlparity.errors import NotFoundError


def success(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """SendPipelineExecutionStepSuccess."""
    return idempotency.once(
        api, "SendPipelineExecutionStepSuccess", request.get("ClientRequestToken"), lambda: _success(api, request)
    )


def _success(api: SageMaker, request: Request) -> Response:
    run, plan, step = _waiting(api, request["CallbackToken"])
    values = _values(plan, request.get("OutputParameters", ()))
    shown = [{"Name": name, "Value": as_text(value)} for name, value in values.items()]
    details = {"Callback": {**step.details.get("Callback", {}), "OutputParameters": shown}}
    change = StepUpdate(StepStatus.SUCCEEDED, outputs={"OutputParameters": values}, details=details)
    api.runs.report(run.id, step.name, change)
    return {"PipelineExecutionArn": api.arns.execution(run.parent, run.id)}


def failure(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """SendPipelineExecutionStepFailure."""
    return idempotency.once(
        api, "SendPipelineExecutionStepFailure", request.get("ClientRequestToken"), lambda: _failure(api, request)
    )


def _failure(api: SageMaker, request: Request) -> Response:
    run, _, step = _waiting(api, request["CallbackToken"])
    reason = request.get("FailureReason", "")
    api.runs.report(run.id, step.name, StepUpdate(StepStatus.FAILED, failure_reason=reason))
    return {"PipelineExecutionArn": api.arns.execution(run.parent, run.id)}


def _waiting(api: SageMaker, token: str) -> tuple[Run, StepPlan, Step]:
    """The step that waits for this token's answer."""
    try:
        run_id, name, began = callback_tokens.step_of(api, token)
        run = api.runs.repository.get(run_id)
    except NotFoundError:
        raise not_found(f"Callback token {token} does not exist.") from None
    step = api.runs.repository.steps(run_id)[name]
    if step.started_at != began or not step.status.is_active:
        raise validation(f"The step {name} of callback token {token} is not waiting for an answer.")
    return run, next(plan for plan in run.plan.steps if plan.name == name), step


def _values(plan: StepPlan, given: Any) -> dict[str, Any]:
    """The output parameters in their declared types. Raises ``ValidationException`` for what is not declared."""
    kinds = declared(plan.body)
    values: dict[str, Any] = {}
    for item in given:
        name = item["Name"]
        if name not in kinds:
            raise validation(f"Output parameter {name} is not declared by step {plan.name}.")
        if name in values:
            raise validation(f"Output parameter {name} is given twice.")
        values[name] = typed(name, kinds[name], item["Value"])
    missing = sorted(kinds.keys() - values.keys())
    if missing:
        raise validation(f"Output parameters of step {plan.name} are missing: {', '.join(missing)}.")
    return values


OPERATIONS = (
    Operation("SendPipelineExecutionStepSuccess", success),
    Operation("SendPipelineExecutionStepFailure", failure),
)
