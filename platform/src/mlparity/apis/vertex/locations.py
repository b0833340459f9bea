"""google.cloud.location: where Vertex is served. Here it is served wherever it is asked for."""

from __future__ import annotations

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.names import id_of
from mlparity.apis.vertex.operation import Call, Operation
from mlparity.wire.google.descriptors import Message
from mlparity.wire.google.page_token import page_size, read_token


def get(_vertex: Vertex, request: Message, call: Call) -> Message:
    """The location that is named."""
    return _location(request.name, call)


def list_(vertex: Vertex, request: Message, call: Call) -> Message:
    """The default location; others are served, too, when they are named."""
    page_size(request, 1, 1)
    if read_token(request) is not None:
        return call.response()
    return call.response(locations=[_location(f"{request.name}/locations/{vertex.project.location}", call)])


def _location(name: str, call: Call) -> Message:
    labels = {"cloud.googleapis.com/region": id_of(name)}
    return call.new("google.cloud.location.Location", name=name, location_id=id_of(name), labels=labels)


OPERATIONS = (
    Operation("Locations.GetLocation", get),
    Operation("Locations.ListLocations", list_),
)
