"""Endpoints as records: created, read, listed, updated, deleted."""

from __future__ import annotations

import re

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.errors import failed_precondition, invalid
from mlparity.apis.vertex.listing import Listing
from mlparity.apis.vertex.names import id_of, new_id, project_of, region_of
from mlparity.apis.vertex.operation import Call, Operation
from mlparity.apis.vertex.resources import ResourceKind
from mlparity.wire.aip160 import Language, text, text_map
from mlparity.wire.google.descriptors import Message

ENDPOINTS = ResourceKind("Endpoint", "endpoints")
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


def create(vertex: Vertex, request: Message, call: Call) -> Message:
    """A new endpoint without models."""
    if request.endpoint_id and not _ID.fullmatch(request.endpoint_id):
        raise invalid({"endpoint_id": f"Invalid endpoint ID {request.endpoint_id!r}."})
    endpoint = request.endpoint
    endpoint_id = request.endpoint_id or new_id(vertex.ids)
    endpoint.name = f"{request.parent}/endpoints/{endpoint_id}"
    if endpoint.dedicated_endpoint_enabled:
        region, project = region_of(endpoint.name), project_of(endpoint.name)
        endpoint.dedicated_endpoint_dns = f"{endpoint_id}.{region}-{project}.prediction.vertexai.goog"
    with vertex.transaction():
        created = ENDPOINTS.create(vertex, call.api, endpoint)
        return vertex.operations.done(call, created.name, created)


def get(vertex: Vertex, request: Message, call: Call) -> Message:
    """One endpoint."""
    return ENDPOINTS.get(vertex, call.api, request.name)


def list_(vertex: Vertex, request: Message, call: Call) -> Message:
    """The endpoints of a location."""
    return _LISTING.respond(vertex, request, call)


def update(vertex: Vertex, request: Message, call: Call) -> Message:
    """Replace what the mask names."""
    return ENDPOINTS.update(vertex, call.api, request.endpoint, request.update_mask.paths)


def delete(vertex: Vertex, request: Message, call: Call) -> Message:
    """Delete an endpoint that has no models deployed."""
    with vertex.transaction():
        endpoint = ENDPOINTS.get(vertex, call.api, request.name)
        if endpoint.deployed_models:
            deployed = ", ".join(model.id for model in endpoint.deployed_models)
            raise failed_precondition(
                f"Endpoint `{endpoint.name}` has deployed models: {deployed}. Undeploy them first."
            )
        ENDPOINTS.delete(vertex, endpoint.name)
        return vertex.operations.done(call, endpoint.name, call.new("google.protobuf.Empty"))


OPERATIONS = (
    Operation("EndpointService.CreateEndpoint", create),
    Operation("EndpointService.GetEndpoint", get),
    Operation("EndpointService.ListEndpoints", list_),
    Operation("EndpointService.UpdateEndpoint", update),
    Operation("EndpointService.DeleteEndpoint", delete),
)
