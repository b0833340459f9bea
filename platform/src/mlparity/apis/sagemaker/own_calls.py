"""SageMaker's operations called from inside, as its front door would: checked by the model, and as somebody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import SageMakerError, from_mlparity, validation
from mlparity.errors import InvalidRequestError, MlparityError
from mlparity.wire.aws_model import SerializationError, message


def call(api: SageMaker, operation: str, request: Request, caller: Caller) -> Response:
    """The operation's response. Raises ``SageMakerError`` alone."""
    from mlparity.apis.sagemaker.operations import BY_NAME  # it imports every module that may call

    try:
        checked = checked_request(api, operation, request)
        return BY_NAME[operation].handler(api, checked, caller)
    except SageMakerError:
        raise
    except InvalidRequestError as error:
        raise SageMakerError("ValidationException", ". ".join(error.lines())) from error
    except MlparityError as error:
        raise from_mlparity(error) from error


def checked_request(api: SageMaker, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """``request`` as one that came over the wire is read and checked; members that are null are not there.

    Raises ``SageMakerError`` with what that one's answer would say.
    """
    try:
        value, violations = api.model.read_request(operation, _without_nulls(request))
    except SerializationError as error:
        raise SageMakerError("SerializationException", str(error)) from error
    if violations:
        raise validation(message(violations))
    return value


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
