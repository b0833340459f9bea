"""Artifacts, executions and contexts: created, read, changed, listed, deleted and purged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.errors import already_exists, invalid_argument, not_found
from mlparity.apis.vertex.metadata_messages import check_schema, fields, message, new_node
from mlparity.apis.vertex.metadata_naming import (
    COLLECTIONS,
    KINDS,
    checked_id,
    naming,
    open_store,
    store_name,
    store_to_write,
)
from mlparity.apis.vertex.names import id_of
from mlparity.apis.vertex.operation import Call, Operation
from mlparity.errors import ConflictError, NotFoundError
from mlparity.metadata import Family, ListRequest, MetadataStore, Node, StaleError
from mlparity.wire.google.descriptors import Message
from mlparity.wire.google.field_mask import ALL, merge
from mlparity.wire.google.page_token import make_token, page_size, read_token
from mlparity.wire.google.status import Code, GoogleError

_DEFAULT_PAGE, _LARGEST_PAGE = 100, 1000
_OUR_OWN = ("name", "etag", "create_time", "update_time", "parent_contexts")


@dataclass(frozen=True)
class NodeMethods:
    """The methods of one kind, which differ only in names."""

    family: Family

    @property
    def kind(self) -> str:
        """The message's name: "Artifact"."""
        return KINDS[self.family]

    def create(self, vertex: Vertex, request: Message, call: Call) -> Message:
        """A new one; without an id it gets a UUID."""
        field = self.kind.lower()
        node_id = checked_id(f"{field}_id", getattr(request, f"{field}_id"))
        store = store_to_write(vertex, request.parent)
        return self._create(store, request.parent, getattr(request, field), node_id, call)

    def get(self, vertex: Vertex, request: Message, call: Call) -> Message:
        """One of them."""
        store = open_store(vertex, request.name)
        return self._told(store, store_name(request.name), [self._node(store, request.name)], call)[0]

    def list_(self, vertex: Vertex, request: Message, call: Call) -> Message:
        """Those of a store that the filter selects."""
        store = open_store(vertex, request.parent)
        size = page_size(request, _DEFAULT_PAGE, _LARGEST_PAGE)
        asked = ListRequest(request.filter, request.order_by, size, read_token(request) or "")
        page = store.nodes(self.family).list(asked, naming(vertex, request.parent, self.family))
        items = self._told(store, request.parent, page.items, call)
        token = make_token(request, page.next_token) if page.next_token else ""
        return call.response(**{COLLECTIONS[self.family]: items}, next_page_token=token)

    def update(self, vertex: Vertex, request: Message, call: Call) -> Message:
        """Replace what the mask names; without a mask, every field that the request has."""
        changed = getattr(request, self.kind.lower())
        opened = store_to_write if request.allow_missing else open_store
        store, parent = opened(vertex, changed.name), store_name(changed.name)
        with vertex.transaction():
            try:
                node = self._node(store, changed.name)
            except GoogleError:
                if not request.allow_missing:
                    raise
                return self._create(store, parent, changed, checked_id("name", id_of(changed.name)), call)
            check_schema(self.family, changed)
            now = self._told(store, parent, [node], call)[0]
            merge(now, changed, self._paths(request, changed))
            try:
                made = store.nodes(self.family).update(node.id, fields(call, self.family, now), etag=changed.etag)
            except StaleError as error:
                raise GoogleError(Code.ABORTED, ". ".join(error.lines())) from error
            return self._told(store, parent, [made], call)[0]

    def delete(self, vertex: Vertex, request: Message, call: Call) -> Message:
        """Delete one with its events and memberships."""
        store = open_store(vertex, request.name)
        with vertex.transaction():
            node = self._node(store, request.name)
            store.nodes(self.family).delete(node.id, etag=request.etag)
            return vertex.operations.done(call, request.name, call.new("google.protobuf.Empty"))

    def purge(self, vertex: Vertex, request: Message, call: Call) -> Message:
        """Delete what the filter selects; without ``force``, say what that would be."""
        store = open_store(vertex, request.parent)
        if not request.filter.strip():
            raise invalid_argument("A filter is required to purge.")
        with vertex.transaction():
            purged = store.nodes(self.family).purge(
                request.filter, naming(vertex, request.parent, self.family), force=request.force
            )
            prefix = f"{request.parent}/{COLLECTIONS[self.family]}"
            sample = [] if request.force else [f"{prefix}/{node_id}" for node_id in purged.sample]
            made = call.new(f"Purge{self.kind}sResponse", purge_count=purged.count, purge_sample=sample)
            return vertex.operations.done(call, request.parent, made)

    def operations(self) -> Mapping[str, Any]:
        """The methods by their names in the service."""
        return {
            f"Create{self.kind}": self.create,
            f"Get{self.kind}": self.get,
            f"List{self.kind}s": self.list_,
            f"Update{self.kind}": self.update,
            f"Delete{self.kind}": self.delete,
            f"Purge{self.kind}s": self.purge,
        }

    def _create(self, store: MetadataStore, parent: str, made_from: Message, node_id: str, call: Call) -> Message:
        try:
            node = store.nodes(self.family).create(new_node(call, self.family, made_from, node_id))
        except ConflictError:
            raise already_exists(self.kind, f"{parent}/{COLLECTIONS[self.family]}/{node_id}") from None
        return message(call, parent, node)

    def _node(self, store: MetadataStore, name: str) -> Node:
        try:
            return store.nodes(self.family).get(id_of(name))
        except NotFoundError:
            raise not_found(self.kind, name) from None

    def _told(self, store: MetadataStore, parent: str, nodes: Sequence[Node], call: Call) -> list[Message]:
        parents = store.parents([node.id for node in nodes]) if self.family is Family.CONTEXT else {}
        return [message(call, parent, node, parents.get(node.id, ())) for node in nodes]

    @staticmethod
    def _paths(request: Message, changed: Message) -> list[str]:
        paths = list(request.update_mask.paths) or [field.name for field, _ in changed.ListFields()]
        if ALL in paths:
            paths = [field.name for field in changed.DESCRIPTOR.fields]
        return [path for path in paths if path.split(".")[0] not in _OUR_OWN]


OPERATIONS = tuple(
    Operation(f"MetadataService.{name}", handler)
    for family in Family
    for name, handler in NodeMethods(family).operations().items()
)
