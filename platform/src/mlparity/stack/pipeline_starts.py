"""The seam between EventBridge and SageMaker: neither knows the other, and rules and schedules start pipelines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mlparity.apis.aws.message import AwsError
from mlparity.apis.aws.targets import PipelineStarter, Principal
from mlparity.apis.sagemaker import own_calls
from mlparity.apis.sagemaker.context import Caller, SageMaker
from mlparity.apis.sagemaker.errors import SageMakerError, not_found


def pipeline_starter(api: Callable[[], SageMaker]) -> PipelineStarter:
    """Start executions as SageMaker's own front door would: checked by the model, once a token."""

    def start(request: Mapping[str, Any], token: str, caller: Principal) -> str:
        try:
            _require_ours(api(), str(request.get("PipelineName", "")))
            answer = own_calls.call(
                api(),
                "StartPipelineExecution",
                {**request, "ClientRequestToken": token},
                Caller(caller.arn, caller.user_id),
            )
        except SageMakerError as error:
            raise AwsError(error.code, error.message, error.status) from error
        return str(answer["PipelineExecutionArn"])

    return start


def _require_ours(api: SageMaker, name: str) -> None:
    """An ARN may name another region or account."""
    if name.startswith("arn:") and name != api.arns.pipeline(name.rpartition("/")[2]):
        raise not_found(f"Pipeline '{name}' does not exist.")
