"""A call of a Lambda function as a job: the function's own code, behind a small program in the place of Lambda's.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

from __future__ import annotations

import base64
import json
import re
from datetime import datetime
from pathlib import Path

from mlparity.apis.sagemaker.context import API
from mlparity.engine.functions import FunctionCode
from mlparity.engine.jobs import Instance, JobSpec, LogStream, NewJob
from mlparity.errors import InvalidRequestError

KIND = "LambdaInvocation"
_PYTHON = re.compile(r"python(3\.\d+)")
_RUNTIME = "/var/runtime"


def new(function: FunctionCode, event: str, request: str, now: datetime, most_seconds: int) -> NewJob:
    """The job that calls ``function`` once with the JSON text ``event``; ``request`` names the call.

    Raises ``InvalidRequestError`` for a runtime that is not Python.
    """
    python = _PYTHON.fullmatch(function.runtime)
    if python is None:
        raise InvalidRequestError(
            f"ClientError: Lambda function {function.arn} has runtime {function.runtime or '(none)'}",
            "mlparity runs functions of Python runtimes",
        )
    stream = f"{now:%Y/%m/%d}/[$LATEST]{request.replace('-', '')}"
    log = LogStream(f"/aws/lambda/{function.name}", stream)
    seconds = min(function.timeout_seconds, most_seconds)
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
    spec = JobSpec(
        image=f"public.ecr.aws/lambda/python:{python.group(1)}",
        command=["python", f"{_RUNTIME}/bootstrap.py"],
        environment={
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_LOG_GROUP_NAME": log.group,
            "AWS_LAMBDA_LOG_STREAM_NAME": log.stream,
            "LAMBDA_TASK_ROOT": "/var/task",
            "_HANDLER": function.handler,
            **function.environment,
        },
        instances=[Instance("localhost", log)],
        role=function.role,
        roots=["/var/task", _RUNTIME],
        files={
            f"{_RUNTIME}/bootstrap.py": Path(__file__).with_name("lambda_bootstrap.py").read_text("utf-8"),
            f"{_RUNTIME}/call.json": json.dumps(call),
            f"{_RUNTIME}/event.json": event,
            f"{_RUNTIME}/code.b64": base64.b64encode(function.archive).decode("ascii"),
        },
        working_directory="/var/task",
        max_runtime_seconds=seconds,
        stop_grace_seconds=0,
        failure_file=f"{_RUNTIME}/failure",
        result_file=f"{_RUNTIME}/result.json",
    )
    return NewJob(API, KIND, f"{function.name}-{request}", {"FunctionArn": function.arn}, spec)
