"""The seam between EventBridge and SageMaker: neither knows the other, and rules and schedules start pipelines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mlparity.apis.aws.message import AwsError
from mlparity.apis.aws.targets import PipelineStarter, Principal
from mlparity.apis.sagemaker import executions
from mlparity.apis.sagemaker.context import Caller, SageMaker
from mlparity.apis.sagemaker.errors import SageMakerError, from_mlparity
from mlparity.errors import InvalidRequestError, MlparityError
from mlparity.wire.aws_model import SerializationError, message

_OPERATION = "StartPipelineExecution"


def pipeline_starter(api: Callable[[], SageMaker]) -> PipelineStarter:
    """Start executions as SageMaker's own front door would: checked by the model, once a token."""

    def start(request: Mapping[str, Any], token: str, caller: Principal) -> str:
        try:
            checked = _checked(api(), {**request, "ClientRequestToken": token})
            answer = executions.start(api(), checked, Caller(caller.arn, caller.user_id))
        except SageMakerError as error:
            raise AwsError(error.code, error.message, error.status) from error
        except InvalidRequestError as error:
            raise AwsError("ValidationException", ". ".join(error.lines())) from error
        except MlparityError as error:
            translated = from_mlparity(error)
            raise AwsError(translated.code, translated.message, translated.status) from error
        return str(answer["PipelineExecutionArn"])

    return start


def _checked(api: SageMaker, request: Mapping[str, Any]) -> dict[str, Any]:
    try:
        checked, violations = api.model.read_request(_OPERATION, request)
    except SerializationError as error:
        raise SageMakerError("SerializationException", str(error)) from error
    if violations:
        raise SageMakerError("ValidationException", message(violations))
    name: str = checked["PipelineName"]
    if name.startswith("arn:") and name != api.arns.pipeline(name.rpartition("/")[2]):
        raise SageMakerError("ResourceNotFound", f"Pipeline '{name}' does not exist.")
    return checked
