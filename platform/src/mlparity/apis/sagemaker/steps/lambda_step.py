"""Lambda steps: the function's own code, called once in a job of its own.

https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-steps-types.html#step-type-lambda
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlparity.apis.sagemaker.context import API, SageMaker
from mlparity.apis.sagemaker.definition.outputs import as_text, declared, typed
from mlparity.apis.sagemaker.steps.resolution import resolver
from mlparity.engine.functions import FunctionCode
from mlparity.engine.jobs import Instance, Job, JobSpec, LogStream, NewJob, Phase
from mlparity.engine.runs import TIMEOUT, StepContext, StepStatus, StepUpdate
from mlparity.errors import InvalidRequestError, NotFoundError

KIND = "LambdaInvocation"
MOST_SECONDS = 600  # of a Lambda step, whatever the function's own limit
_PYTHON = re.compile(r"python(3\.\d+)")
_RUNTIME = "/var/runtime"


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
        request = api.ids.uuid()
        spec = _spec(function, request, f"{api.clock.now():%Y/%m/%d}/[$LATEST]{request.replace('-', '')}")
        files = {**spec["files"], f"{_RUNTIME}/event.json": json.dumps(self._event(context))}
        return api.jobs.submit(
            NewJob(
                API,
                KIND,
                f"{function.name}-{request}",
                {"FunctionArn": arn},
                JobSpec(**{**spec, "files": files}),
                context.run.id,
                context.plan.name,
            )
        )


def _spec(function: FunctionCode, request: str, stream: str) -> dict[str, Any]:
    """The members of the job's spec."""
    python = _PYTHON.fullmatch(function.runtime)
    if python is None:
        raise InvalidRequestError(
            f"ClientError: Lambda function {function.arn} has runtime {function.runtime or '(none)'}",
            "mlparity runs functions of Python runtimes",
        )
    log = LogStream(f"/aws/lambda/{function.name}", stream)
    seconds = min(function.timeout_seconds, MOST_SECONDS)
    call = {
        "name": function.name,
        "arn": function.arn,
        "memory": str(function.memory_mb),
        "request": request,
        "group": log.group,
        "stream": log.stream,
        "timeout": str(seconds),
        "handler": function.handler,
    }
    return {
        "image": f"public.ecr.aws/lambda/python:{python.group(1)}",
        "command": ["python", f"{_RUNTIME}/bootstrap.py"],
        "environment": {
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_LOG_GROUP_NAME": log.group,
            "AWS_LAMBDA_LOG_STREAM_NAME": log.stream,
            "LAMBDA_TASK_ROOT": "/var/task",
            "_HANDLER": function.handler,
            **function.environment,
        },
        "instances": [Instance("localhost", log)],
        "roots": ["/var/task", _RUNTIME],
        "files": {
            f"{_RUNTIME}/bootstrap.py": Path(__file__).with_name("lambda_bootstrap.py").read_text("utf-8"),
            f"{_RUNTIME}/call.json": json.dumps(call),
            f"{_RUNTIME}/code.b64": base64.b64encode(function.archive).decode("ascii"),
        },
        "working_directory": "/var/task",
        "max_runtime_seconds": seconds,
        "stop_grace_seconds": 0,
        "failure_file": f"{_RUNTIME}/failure",
        "result_file": f"{_RUNTIME}/result.json",
    }


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
