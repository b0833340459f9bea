"""Which targets a schedule may have: checked when the schedule is made, not when it fires."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlparity.apis.aws.message import AwsError
from mlparity.apis.aws.targets import SCHEDULER, START_PIPELINE, Assume, is_pipeline, is_universal, service_of

# The parameter blocks of templated targets, by the target's service.
_PARAMETERS = {
    "EcsParameters": "ecs",
    "EventBridgeParameters": "events",
    "KinesisParameters": "kinesis",
    "SageMakerPipelineParameters": "sagemaker",
    "SqsParameters": "sqs",
}


def check(target: Mapping[str, Any], schedule_arn: str, assumed: Assume) -> None:
    """Raise ``AwsError`` (ValidationException) for a target that AWS, or this service, cannot invoke."""
    arn = str(target["Arn"])
    service = service_of(arn)
    if not service:
        raise _invalid(f"Provided Arn is not in correct format: {arn}.")
    if is_universal(arn):
        _check_universal(arn, target)
    elif service not in {"sqs", "sns", "events"} and not is_pipeline(arn):
        raise _invalid(
            f"{arn} is not a supported target: mlparity's schedules invoke SageMaker pipelines, SQS queues, SNS "
            "topics, event buses and aws-sdk:sagemaker:startPipelineExecution"
        )
    for name, wanted in _PARAMETERS.items():
        if name in target and (service != wanted or is_universal(arn)):
            raise _invalid(f"{name} is not valid for target {arn}.")
    if service == "events" and "EventBridgeParameters" not in target:
        raise _invalid("EventBridgeParameters is required for an EventBridge target.")
    if service == "sqs" and arn.endswith(".fifo") and not target.get("SqsParameters", {}).get("MessageGroupId"):
        raise _invalid("SqsParameters.MessageGroupId is required for a FIFO queue.")
    try:
        assumed(target["RoleArn"], SCHEDULER, schedule_arn)
    except AwsError:
        raise _invalid(
            "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
        ) from None


def _check_universal(arn: str, target: Mapping[str, Any]) -> None:
    if arn != START_PIPELINE:
        raise _invalid(f"{arn} is not a supported target: of the universal ones mlparity has {START_PIPELINE}")
    try:
        request = json.loads(target.get("Input", ""))
    except ValueError:
        request = None
    if not isinstance(request, dict) or not isinstance(request.get("PipelineName"), str):
        raise _invalid("Invalid RequestJson provided. Reason: PipelineName is required.")


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)
