"""Lambda steps: the function's own code, called once in a job of its own.

https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-steps-types.html#step-type-lambda
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mlparity.apis.sagemaker.context import SageMaker
from mlparity.apis.sagemaker.definition.outputs import as_text, declared, typed
from mlparity.apis.sagemaker.steps import lambda_calls
from mlparity.apis.sagemaker.steps.resolution import resolver
from mlparity.engine.jobs import Job, Phase
from mlparity.engine.runs import TIMEOUT, StepContext, StepStatus, StepUpdate
from mlparity.errors import InvalidRequestError, NotFoundError

MOST_SECONDS = 600  # of a Lambda step, whatever the function's own limit


@dataclass(frozen=True)
class LambdaStep:
    """Calls a function and keeps what it returns."""

    api: Callable[[], SageMaker]

    def start(self, context: StepContext) -> StepUpdate:
        """Call the function; after a crash, find the call made before."""
        api = self.api()
        earlier = api.jobs.repository.of_run(context.run.id, context.plan.name)
        mine = [job for job in earlier if job.id not in context.step.past_jobs]
        arn = self._arn(context)
        job = mine[-1] if mine else self._call(api, context, arn)
        if job.phase.is_final:
            return self.on_job(context, job)
        return StepUpdate(StepStatus.EXECUTING, job_id=job.id, details={"Lambda": {"Arn": arn}})

    def on_job(self, context: StepContext, job: Job) -> StepUpdate:
        """The step ends as the call did."""
        arn = self._arn(context)
        if job.phase is Phase.COMPLETED:
            values = _outputs(context.plan.body, str(job.results.get("result", "")))
            shown = [{"Name": name, "Value": as_text(value)} for name, value in values.items()]
            return StepUpdate(
                StepStatus.SUCCEEDED,
                outputs={"OutputParameters": values},
                details={"Lambda": {"Arn": arn, "OutputParameters": shown}},
                job_id=job.id,
            )
        late = bool(job.results.get("timed_out"))
        if late:
            reason = f"ClientError: Lambda function timed out after {job.spec.max_runtime_seconds} seconds"
        else:
            reason = f"ClientError: Lambda function failed: {job.failure_reason or job.phase.value}"
        return StepUpdate(StepStatus.FAILED, failure_reason=reason, fault=TIMEOUT if late else None, job_id=job.id)

    def stop(self, context: StepContext) -> None:
        """A function that runs cannot be stopped: the execution waits for it."""

    def cache_inputs(self, context: StepContext) -> Mapping[str, Any]:
        """The function's ARN, the arguments and the declared outputs."""
        return {
            "FunctionArn": self._arn(context),
            "Arguments": self._event(context),
            "OutputParameters": context.plan.body.get("OutputParameters") or [],
        }

    def _arn(self, context: StepContext) -> str:
        return str(resolver(self.api(), context).resolve(context.plan.body["FunctionArn"]))

    def _event(self, context: StepContext) -> dict[str, Any]:
        event: dict[str, Any] = resolver(self.api(), context).resolve(context.plan.body["Arguments"])
        return event

    def _call(self, api: SageMaker, context: StepContext, arn: str) -> Job:
        try:
            function = api.function(arn)
        except NotFoundError as error:
            raise InvalidRequestError(
                "ClientError: Failed to invoke lambda:InvokeFunction. Error Details: " + ". ".join(error.lines())
            ) from error
        call = lambda_calls.new(
            function, json.dumps(self._event(context)), api.ids.uuid(), api.clock.now(), MOST_SECONDS
        )
        return api.jobs.submit(replace(call, run_id=context.run.id, step=context.plan.name))


def _outputs(step: Mapping[str, Any], result: str) -> dict[str, Any]:
    """The declared output parameters, from the object that the function returned."""
    kinds = declared(step)
    if not kinds:
        return {}
    answer = json.loads(result or "null")
    if not isinstance(answer, dict):
        raise InvalidRequestError(
            f"ClientError: Lambda function of step {step['Name']} must return an object with {', '.join(kinds)}",
            f"it returned {result[:100]}",
        )
    missing = sorted(kinds.keys() - answer.keys())
    if missing:
        raise InvalidRequestError(
            f"ClientError: Lambda function of step {step['Name']} returned no {', '.join(missing)}"
        )
    return {name: typed(name, kind, answer[name]) for name, kind in kinds.items()}
