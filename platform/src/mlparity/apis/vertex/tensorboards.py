"""Tensorboards: created, read, changed, listed, deleted; one of a location may be the default."""

from __future__ import annotations

from collections.abc import Iterator

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.listing import Listing
from mlparity.apis.vertex.names import location_of, new_id
from mlparity.apis.vertex.operation import Call, Operation
from mlparity.apis.vertex.resources import ResourceKind
from mlparity.state.documents import Document, DocumentFilter
from mlparity.state.paging import PageRequest
from mlparity.wire.aip160 import Language, boolean, text, text_map, time
from mlparity.wire.google.descriptors import Message

TENSORBOARDS = ResourceKind("Tensorboard", "tensorboards")
EXPERIMENTS = ResourceKind("TensorboardExperiment", "experiments")
RUNS = ResourceKind("TensorboardRun", "runs")
SERIES = ResourceKind("TensorboardTimeSeries", "timeSeries")
_BELOW = (EXPERIMENTS, RUNS, SERIES)
_CHUNK = 500

LISTED = {
    "display_name": text(wildcards=True),
    "labels": text_map(),
    "create_time": time(),
    "update_time": time(),
}
_LISTING = Listing(
    TENSORBOARDS,
    "tensorboards",
    Language({**LISTED, "is_default": boolean()}),
    page_size=100,
    most=100,
    computed={"is_default": lambda _name, resource: resource.get("isDefault", False)},
)


def create(vertex: Vertex, request: Message, call: Call) -> Message:
    """A new tensorboard; if it is the default one, no other is any more."""
    tensorboard = request.tensorboard
    tensorboard.name = f"{request.parent}/tensorboards/{new_id(vertex.ids)}"
    with vertex.transaction():
        made = TENSORBOARDS.create(vertex, call.api, tensorboard)
        _be_the_default(vertex, call, made)
        return vertex.operations.done(call, made.name, made)


def get(vertex: Vertex, request: Message, call: Call) -> Message:
    """One tensorboard, with the number of its runs."""
    found = TENSORBOARDS.get(vertex, call.api, request.name)
    found.run_count = sum(1 for _ in documents(vertex, RUNS, found.name))
    return found


def list_(vertex: Vertex, request: Message, call: Call) -> Message:
    """The tensorboards of a location."""
    return _LISTING.respond(vertex, request, call)


def update(vertex: Vertex, request: Message, call: Call) -> Message:
    """Replace what the mask names."""
    with vertex.transaction():
        made = TENSORBOARDS.update(vertex, call.api, request.tensorboard, request.update_mask.paths)
        _be_the_default(vertex, call, made)
        return vertex.operations.done(call, made.name, made)


def delete(vertex: Vertex, request: Message, call: Call) -> Message:
    """Delete one with all that is in it."""
    with vertex.transaction():
        TENSORBOARDS.delete(vertex, request.name)
        delete_below(vertex, request.name)
        return vertex.operations.done(call, request.name, call.new("google.protobuf.Empty"))


def documents(vertex: Vertex, kind: ResourceKind, above: str) -> Iterator[Document]:
    """What is stored of a kind under a resource, by name."""
    token: str | None = None
    while True:
        asked = PageRequest("name", False, _CHUNK, token)
        page = vertex.documents.list(kind.message, DocumentFilter(name_under=f"{above}/"), asked)
        yield from page.items
        token = page.next_token
        if token is None:
            return


def delete_below(vertex: Vertex, name: str) -> None:
    """Forget everything under a resource, the points of its time series as well."""
    for kind in _BELOW:
        for document in list(documents(vertex, kind, name)):
            kind.delete(vertex, document.name)
    vertex.metadata.time_series.delete(name)


def _be_the_default(vertex: Vertex, call: Call, tensorboard: Message) -> None:
    if not tensorboard.is_default:
        return
    for document in documents(vertex, TENSORBOARDS, location_of(tensorboard.name)):
        other = TENSORBOARDS.stored(call.api, document).message
        if other.is_default and other.name != tensorboard.name:
            other.is_default = False
            TENSORBOARDS.save(vertex, call.api, other)


OPERATIONS = (
    Operation("TensorboardService.CreateTensorboard", create),
    Operation("TensorboardService.GetTensorboard", get),
    Operation("TensorboardService.ListTensorboards", list_),
    Operation("TensorboardService.UpdateTensorboard", update),
    Operation("TensorboardService.DeleteTensorboard", delete),
)
