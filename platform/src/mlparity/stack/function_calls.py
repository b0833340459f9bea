"""The seam between EventBridge and what runs functions: rules and schedules call Lambda functions."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from mlparity.apis.aws.targets import FunctionInvoker
from mlparity.apis.sagemaker.context import SageMaker
from mlparity.apis.sagemaker.steps import lambda_calls
from mlparity.errors import ConflictError

_MOST_SECONDS = 900  # Lambda's own
_TOKEN = 36  # characters that name a call


def function_invoker(api: Callable[[], SageMaker]) -> FunctionInvoker:
    """Call functions as jobs of their own; a call that is repeated (after a crash) is the same job."""

    def invoke(arn: str, event: str, token: str) -> None:
        function, now = api().function(arn), api().clock.now()
        with contextlib.suppress(ConflictError):
            api().jobs.submit(lambda_calls.new(function, event, token[:_TOKEN], now, _MOST_SECONDS))

    return invoke
