"""Wires the retraining loop to each vendor's operations, to events and to the clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mlparity.apis.aws.event_pattern import matches
from mlparity.apis.sagemaker import own_calls
from mlparity.apis.sagemaker.context import API, Caller, SageMaker
from mlparity.apis.sagemaker.errors import SageMakerError
from mlparity.apis.sagemaker.loop_actions import SageMakerLoopActions
from mlparity.apis.vertex.context import API as VERTEX
from mlparity.apis.vertex.loop_actions import VertexLoopActions
from mlparity.apis.vertex.loop_traffic import TrafficMeter
from mlparity.apis.vertex.operation import Call
from mlparity.clock import Clock
from mlparity.monitoring.loop.actions import LoopActionError
from mlparity.monitoring.loop.repository import LoopRepository
from mlparity.monitoring.loop.service import LoopService
from mlparity.state import Database
from mlparity.storage.base import ObjectStore
from mlparity.storage.uris import parse_uri
from mlparity.wire.google.status import GoogleError

if TYPE_CHECKING:
    from mlparity.apis.vertex.context import Vertex
    from mlparity.apis.vertex.dispatch import Dispatch

_SERVER_FAULT = 500
_ROLE = "MlparityRetrainingLoop"  # whom the loop's own decisions are written down for
_PASSING = {"ThrottlingException", "ServiceUnavailable", "ResourceLimitExceeded"}
_GOOGLE_PASSING = {"UNAVAILABLE", "ABORTED", "DEADLINE_EXCEEDED", "INTERNAL", "RESOURCE_EXHAUSTED"}
_GOOGLE_BUSY = "other operations running"  # of FAILED_PRECONDITION


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


def vertex_loop(
    vertex: Vertex, dispatch: Dispatch, database: Database, meter: TrafficMeter, bucket: str
) -> LoopService:
    """The service of Vertex AI's loops. ``bucket`` is where pipelines keep their artifacts by default."""
    project = vertex.project
    parent = f"projects/{project.id}/locations/{project.location}"
    actions = VertexLoopActions(
        vertex_calls(dispatch),
        lambda uri: vertex.store.get_bytes(*parse_uri(uri)),
        meter.seen,
        vertex.clock,
        parent,
        f"gs://{bucket}/pipelines",
    )
    return LoopService(
        LoopRepository(database, vertex.clock, VERTEX), actions, matches, vertex.clock, vertex.wake_timers
    )


def vertex_calls(dispatch: Dispatch) -> Callable[[str, Mapping[str, Any]], dict[str, Any]]:
    """Vertex's operations by name, requests and responses in JSON. What it gives raises ``LoopActionError``."""

    def call(operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        from google.protobuf.json_format import MessageToDict, ParseDict

        try:
            api = dispatch.api("v1")
            method = api.methods[operation]
            message = ParseDict(request, api.new(method.request), descriptor_pool=api.pool)
            answer = dispatch.call(Call(api, method), message)
        except GoogleError as error:
            transient = error.code.name in _GOOGLE_PASSING or _GOOGLE_BUSY in error.message
            raise LoopActionError(f"{operation}: {error.code.name}", error.message, transient=transient) from error
        return dict(MessageToDict(answer, descriptor_pool=api.pool))

    return call
