"""Wires the retraining loop to SageMaker's operations, to the event bus and to the clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mlparity.apis.aws.event_pattern import matches
from mlparity.apis.sagemaker import own_calls
from mlparity.apis.sagemaker.context import API, Caller, SageMaker
from mlparity.apis.sagemaker.errors import SageMakerError
from mlparity.apis.sagemaker.loop_actions import SageMakerLoopActions
from mlparity.clock import Clock
from mlparity.engine.workspace import parse_uri
from mlparity.monitoring.loop.actions import LoopActionError
from mlparity.monitoring.loop.repository import LoopRepository
from mlparity.monitoring.loop.service import LoopService
from mlparity.state import Database
from mlparity.storage.base import ObjectStore

_SERVER_FAULT = 500
_ROLE = "MlparityRetrainingLoop"  # whom the loop's own decisions are written down for
_PASSING = {"ThrottlingException", "ServiceUnavailable", "ResourceLimitExceeded"}


def retraining_loop(
    api: Callable[[], SageMaker],
    database: Database,
    store: ObjectStore,
    clock: Clock,
    account_id: str,
    wake: Callable[[], None],
) -> LoopService:
    """The service. Its ``on_event`` is to be called with every event, and it is work for the timers."""
    caller = Caller(f"arn:aws:sts::{account_id}:assumed-role/{_ROLE}/loop", f"AROA{_ROLE.upper()}:loop")

    def call(operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return own_calls.call(api(), operation, request, caller)
        except SageMakerError as error:
            transient = error.status >= _SERVER_FAULT or error.code in _PASSING
            raise LoopActionError(f"{operation}: {error.code}", error.message, transient=transient) from error

    actions = SageMakerLoopActions(call, lambda uri: store.get_bytes(*parse_uri(uri)))
    return LoopService(LoopRepository(database, clock, API), actions, matches, clock, wake)
