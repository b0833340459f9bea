"""Names of the Metadata API, and the stores behind them."""

from __future__ import annotations

import re

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.errors import invalid, not_found
from mlparity.apis.vertex.names import project_of, region_of
from mlparity.apis.vertex.resources import ResourceKind
from mlparity.errors import InvalidRequestError, NotFoundError
from mlparity.metadata import Family, MetadataStore, Naming

STORES = ResourceKind("MetadataStore", "metadataStores")
COLLECTIONS = {Family.ARTIFACT: "artifacts", Family.EXECUTION: "executions", Family.CONTEXT: "contexts"}
KINDS = {Family.ARTIFACT: "Artifact", Family.EXECUTION: "Execution", Family.CONTEXT: "Context"}

_STORE = re.compile(r"projects/[^/]+/locations/[^/]+/metadataStores/[^/]+")
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")
_DEFAULT = "default"


def scope_of(name: str) -> str:
    """The scope of the store that a resource lies in: "vertex/project/location/store"."""
    return f"vertex/{project_of(name)}/{region_of(name)}/{name.split('/')[5]}"


def store_name(name: str) -> str:
    """``projects/p/locations/l/metadataStores/s`` of anything in the store."""
    found = _STORE.match(name)
    return found[0] if found else ""


def open_store(vertex: Vertex, name: str) -> MetadataStore:
    """The store that a resource lies in. Raises ``GoogleError`` NOT_FOUND where it was not created.

    The default store is there once something was written to it, as Vertex creates it then.
    """
    store = store_name(name)
    if not exists(vertex, store):
        raise not_found(STORES.message, store)
    return vertex.metadata.of(scope_of(store))


def store_to_write(vertex: Vertex, name: str) -> MetadataStore:
    """The same for what creates something: the default store need not be there yet."""
    if store_name(name).endswith(f"/{_DEFAULT}"):
        return vertex.metadata.of(scope_of(name))
    return open_store(vertex, name)


def exists(vertex: Vertex, store: str) -> bool:
    """Whether the store was created, or is the default one and was written to."""
    try:
        vertex.documents.get(STORES.message, store)
    except NotFoundError:
        return store.endswith(f"/{_DEFAULT}") and not vertex.metadata.of(scope_of(store)).is_empty()
    return True


def checked_id(field: str, value: str) -> str:
    """The id that the caller gave for a new resource. Raises ``GoogleError`` INVALID_ARGUMENT."""
    if value and not _ID.fullmatch(value):
        raise invalid({field: f"The ID {value!r} must be 1-128 characters of [a-z0-9-] and begin with [a-z0-9]."})
    return value


def node_id(vertex: Vertex, store: str, family: Family, name: str) -> str | None:
    """The id in a node's full name; None where it lies in another store.

    Raises ``InvalidRequestError`` for what is no name of such a node.
    """
    name = _by_project_id(vertex, name)
    found = re.fullmatch(rf"({_STORE.pattern})/{COLLECTIONS[family]}/([^/]+)", name)
    if found is None:
        raise InvalidRequestError(f"{name!r} is not the resource name of a {KINDS[family]}")
    return found[2] if found[1] == store else None


def naming(vertex: Vertex, store: str, family: Family) -> Naming:
    """How filters over the nodes of a store write names."""
    return Naming(f"{store}/{COLLECTIONS[family]}/", lambda name: node_id(vertex, store, Family.CONTEXT, name))


def _by_project_id(vertex: Vertex, name: str) -> str:
    number = f"projects/{vertex.project.number}/"
    return name.replace(number, f"projects/{vertex.project.id}/", 1) if name.startswith(number) else name
