"""Endpoints: created, read, listed, updated (their traffic, too), deleted.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints
"""

from __future__ import annotations

import re

from mlparity.apis.vertex import traffic
from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.errors import already_exists, failed_precondition, invalid, unimplemented
from mlparity.apis.vertex.listing import Listing
from mlparity.apis.vertex.names import id_of, new_id, region_of
from mlparity.apis.vertex.operation import Call, Operation
from mlparity.apis.vertex.resources import ResourceKind
from mlparity.apis.vertex.runtime.paths import API, endpoint_name
from mlparity.apis.vertex.serving_containers import number_of
from mlparity.errors import NotFoundError
from mlparity.serving.endpoints.errors import EndpointBusyError, EndpointExistsError
from mlparity.serving.endpoints.plans import Revision
from mlparity.wire.aip160 import Language, text, text_map
from mlparity.wire.google.descriptors import Message
from mlparity.wire.google.field_mask import ALL
from mlparity.wire.google.status import GoogleError

ENDPOINTS = ResourceKind("Endpoint", "endpoints", immutable=frozenset({"dedicated_endpoint_enabled"}))
LOG_GROUP = "/vertex/endpoints"
_LISTING = Listing(
    ENDPOINTS,
    "endpoints",
    Language(
        {
            "endpoint": text(("=", "!=")),
            "display_name": text(("=", "!=")),
            "labels": text_map(),
            "base_model_name": text(("=",)),
        }
    ),
    computed={"endpoint": lambda name, _resource: id_of(name), "base_model_name": lambda *_: None},
)
_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?|[1-9][0-9]{0,8}")
_REFUSED = ("network", "enable_private_service_connect", "private_service_connect_config",
            "gen_ai_advanced_features_config", "private_model_server_enabled")  # fmt: skip
_SETTLE_SECONDS = 30.0


def create(vertex: Vertex, request: Message, call: Call) -> Message:
    """CreateEndpoint: without models."""
    if request.endpoint_id and not _ID.fullmatch(request.endpoint_id):
        raise invalid({"endpoint_id": f"Invalid endpoint ID {request.endpoint_id!r}."})
    endpoint = request.endpoint
    endpoint_id = request.endpoint_id or new_id(vertex.ids)
    endpoint.name = f"{request.parent}/endpoints/{endpoint_id}"
    _refuse_unsupported(endpoint)
    traffic.check_split(endpoint.traffic_split, ())
    region = region_of(endpoint.name)
    if endpoint.dedicated_endpoint_enabled:
        number = number_of(vertex.project, endpoint.name)
        endpoint.dedicated_endpoint_dns = f"{endpoint_id}.{region}-{number}.prediction.vertexai.goog"
    serves = Revision("no deployed models", (), traffic.logged(endpoint, vertex.hosting.logging_bucket))
    with vertex.transaction():
        created = ENDPOINTS.create(vertex, call.api, endpoint)
        name, log_group = endpoint_name(region, endpoint_id), f"{LOG_GROUP}/{region}/{endpoint_id}"
        try:
            vertex.hosting.endpoints.create(API, name, serves, {"name": created.name}, log_group=log_group)
        except EndpointExistsError:  # an id is taken for all projects of the stack
            raise already_exists("Endpoint", created.name) from None
        return vertex.operations.done(call, created.name, created)


def get(vertex: Vertex, request: Message, call: Call) -> Message:
    """GetEndpoint."""
    return ENDPOINTS.get(vertex, call.api, request.name)


def list_(vertex: Vertex, request: Message, call: Call) -> Message:
    """ListEndpoints: of a location."""
    return _LISTING.respond(vertex, request, call)


def update(vertex: Vertex, request: Message, call: Call) -> Message:
    """UpdateEndpoint: what the mask names. A new traffic split or logging is in force when this returns."""
    _refuse_unsupported(request.endpoint)
    region, endpoint_id = region_of(request.endpoint.name), id_of(request.endpoint.name)
    with vertex.transaction():
        before = ENDPOINTS.get(vertex, call.api, request.endpoint.name)
        paths = list(request.update_mask.paths)
        if not paths or ALL in paths:
            paths = ["display_name", "description", "labels", "traffic_split"]
            paths.append("predict_request_response_logging_config")

        def check(after: Message) -> None:
            traffic.check_split(after.traffic_split, {one.id for one in after.deployed_models})

        after = ENDPOINTS.update(vertex, call.api, request.endpoint, paths, check)
        capture = traffic.logged(after, vertex.hosting.logging_bucket)
        same = dict(before.traffic_split) == dict(after.traffic_split)
        if same and capture == traffic.logged(before, vertex.hosting.logging_bucket):
            return after
        serving = vertex.hosting.find(region, endpoint_id)
        reshape(vertex, after.name, traffic.revision(serving, after.traffic_split, capture))
    vertex.hosting.settle(region, endpoint_id, _SETTLE_SECONDS)
    return after


def update_long_running(vertex: Vertex, request: Message, call: Call) -> Message:
    """UpdateEndpointLongRunning: the client connection's time limit, of models that are deployed from now on."""
    after = ENDPOINTS.update(vertex, call.api, request.endpoint, ["client_connection_config"])
    return vertex.operations.done(call, after.name, after)


def delete(vertex: Vertex, request: Message, call: Call) -> Message:
    """DeleteEndpoint: one that has no models deployed."""
    region, endpoint_id = region_of(request.name), id_of(request.name)
    with vertex.transaction():
        endpoint = ENDPOINTS.get(vertex, call.api, request.name)
        if endpoint.deployed_models:
            deployed = ", ".join(model.id for model in endpoint.deployed_models)
            raise failed_precondition(
                f"Endpoint `{endpoint.name}` has deployed or being-deployed DeployedModel(s) with id(s): {deployed}. "
                "Undeploy them first."
            )
        try:
            vertex.hosting.endpoints.delete(API, endpoint_name(region, endpoint_id))
        except EndpointBusyError as error:
            raise busy(endpoint.name) from error
        ENDPOINTS.delete(vertex, endpoint.name)
        operation = vertex.operations.done(call, endpoint.name, call.new("google.protobuf.Empty"))
    vertex.hosting.settle(region, endpoint_id, _SETTLE_SECONDS)
    return operation


def reshape(vertex: Vertex, name: str, wanted: Revision) -> None:
    """Have the endpoint serve ``wanted``. Raises ``GoogleError`` where something else is under way."""
    try:
        vertex.hosting.endpoints.reshape(API, endpoint_name(region_of(name), id_of(name)), wanted, {"name": name})
    except EndpointBusyError as error:
        raise busy(name) from error
    except NotFoundError as error:
        raise failed_precondition(f"Endpoint `{name}` is being deleted.") from error


def busy(name: str) -> GoogleError:
    """Another operation has not ended."""
    return failed_precondition(f'There are other operations running on the resource "{name}". Try again later.')


def _refuse_unsupported(endpoint: Message) -> None:
    given = [field.name for field, _ in endpoint.ListFields() if field.name in _REFUSED]
    if given:
        raise unimplemented(f"endpoint.{given[0]} is not supported by mlparity. See `mlparity parity vertex`.")


_PUBLIC = "public endpoints; rows of request-response logging go to a bucket, as there is no BigQuery"
OPERATIONS = (
    Operation("EndpointService.CreateEndpoint", create, _PUBLIC),
    Operation("EndpointService.GetEndpoint", get),
    Operation("EndpointService.ListEndpoints", list_),
    Operation("EndpointService.UpdateEndpoint", update, _PUBLIC),
    Operation(
        "EndpointService.UpdateEndpointLongRunning",
        update_long_running,
        "for models that are deployed afterwards",
        frozenset({"Endpoint.display_name"}),  # only the client connection is replaced
    ),
    Operation("EndpointService.DeleteEndpoint", delete),
)
