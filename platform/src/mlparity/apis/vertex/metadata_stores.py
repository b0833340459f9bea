"""Metadata stores: created, read, listed, deleted."""

from __future__ import annotations

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.listing import Listing
from mlparity.apis.vertex.metadata_naming import STORES, checked_id, exists, open_store, scope_of, store_name
from mlparity.apis.vertex.metadata_system_schemas import SCHEMAS, add_system_schemas, schemas_of
from mlparity.apis.vertex.operation import Call, Operation
from mlparity.errors import NotFoundError
from mlparity.wire.aip160 import Language
from mlparity.wire.google.descriptors import Message

_LISTING = Listing(STORES, "metadata_stores", Language({}), page_size=100)


def create(vertex: Vertex, request: Message, call: Call) -> Message:
    """A new store."""
    store_id = checked_id("metadata_store_id", request.metadata_store_id) or vertex.ids.uuid()
    store = request.metadata_store
    store.name = f"{request.parent}/metadataStores/{store_id}"
    with vertex.transaction():
        made = _made(vertex, call, store)
        return vertex.operations.done(call, made.name, made)


def get(vertex: Vertex, request: Message, call: Call) -> Message:
    """One store."""
    with vertex.transaction():
        _materialise(vertex, call, request.name)
        return STORES.get(vertex, call.api, request.name)


def list_(vertex: Vertex, request: Message, call: Call) -> Message:
    """The stores of a location."""
    with vertex.transaction():
        _materialise(vertex, call, f"{request.parent}/metadataStores/default")
    return _LISTING.respond(vertex, request, call)


def delete(vertex: Vertex, request: Message, call: Call) -> Message:
    """Delete a store with all that is in it."""
    with vertex.transaction():
        _materialise(vertex, call, request.name)
        STORES.delete(vertex, request.name)
        for schema in list(schemas_of(vertex, request.name)):
            SCHEMAS.delete(vertex, schema)
        vertex.metadata.of(scope_of(request.name)).clear()
        return vertex.operations.done(call, request.name, call.new("google.protobuf.Empty"))


def _materialise(vertex: Vertex, call: Call, name: str) -> None:
    """Give the default store its record where it was written to before it was created."""
    try:
        vertex.documents.get(STORES.message, name)
    except NotFoundError:
        if exists(vertex, name):
            _made(vertex, call, call.new(STORES.message, name=name))


def opened(vertex: Vertex, call: Call, name: str) -> None:
    """Raises ``GoogleError`` NOT_FOUND unless the store that a resource lies in exists; its record is there then."""
    _materialise(vertex, call, store_name(name))
    open_store(vertex, name)


def _made(vertex: Vertex, call: Call, store: Message) -> Message:
    made = STORES.create(vertex, call.api, store)
    add_system_schemas(vertex, call, made.name)
    return made


OPERATIONS = (
    Operation("MetadataService.CreateMetadataStore", create),
    Operation("MetadataService.GetMetadataStore", get),
    Operation("MetadataService.ListMetadataStores", list_),
    Operation("MetadataService.DeleteMetadataStore", delete),
)
