"""List methods: filter, order, pages and read masks over stored resources."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.operation import Call
from mlparity.apis.vertex.resources import ResourceKind
from mlparity.state.documents import Document, DocumentFilter
from mlparity.state.paging import PageRequest
from mlparity.wire.aip132 import in_order, parse_order_by
from mlparity.wire.aip160 import All, Kind, Language, matches
from mlparity.wire.google.descriptors import Message
from mlparity.wire.google.field_mask import read
from mlparity.wire.google.page_token import make_token, page_size, read_token

_CHUNK = 500


@dataclass(frozen=True)
class Listing:
    """How one kind is listed: what may be filtered and sorted by, page sizes, and the field that holds the items.

    Values are looked up in the resource's JSON by their snake_case names; ``computed`` gives those that are elsewhere,
    from the resource's name and its JSON. ``nested``: a parent has few of them among many, so they are read by name.
    """

    kind: ResourceKind
    items: str  # the response's field: "endpoints"
    language: Language
    order_by: Collection[str] = ("display_name", "create_time", "update_time")
    page_size: int = 50
    most: int = 1000
    computed: Mapping[str, Callable[[str, Mapping[str, Any]], Any]] = field(default_factory=dict)
    nested: bool = False

    def respond(
        self, vertex: Vertex, request: Message, call: Call, *, where: Callable[[Document], bool] = lambda _found: True
    ) -> Message:
        """The list method's response for its request (parent, filter, order_by, page_size, page_token, read_mask).

        The newest first, unless ``order_by`` says otherwise. Raises ``GoogleError``, ``InvalidRequestError``.
        """
        size = page_size(request, self.page_size, self.most)
        position = read_token(request)
        fields = request.DESCRIPTOR.fields_by_name
        wanted = self.language.parse(request.filter) if "filter" in fields else All()
        orders = parse_order_by(request.order_by, self.order_by) if "order_by" in fields else ()
        if wanted == All() and not orders and not self.nested:
            found, after = self._page(vertex, request.parent, size, position, where)
        else:
            every = self._all(vertex, request.parent, where)
            matching = [item for item in every if self._matches(wanted, item)]
            found, after = _slice(in_order(matching, orders, self.value), size, position)
        mask = list(request.read_mask.paths) if "read_mask" in fields else []
        items = [read(self.kind.stored(call.api, document).message, mask) for document in found]
        token = make_token(request, after) if after is not None else ""
        return call.response(**{self.items: items}, next_page_token=token)

    def value(self, document: Document, name: str) -> Any:
        """What an item has under a field's name, in the type that the filter's language compares."""
        resource = document.body["resource"]
        if name in self.computed:
            return self.computed[name](document.name, resource)
        declared = self.language.fields.get(name)
        found: Any = resource
        for part in name.split("."):
            found = found.get(_camel(part)) if isinstance(found, Mapping) else None
        if found is None:
            return None
        if (declared is not None and declared.kind is Kind.TIME) or name.endswith("_time"):
            return datetime.fromisoformat(found)
        return float(found) if declared is not None and declared.kind is Kind.NUMBER else found

    def _matches(self, wanted: Any, document: Document) -> bool:
        return matches(wanted, lambda name: self.value(document, name))

    def _is_in(self, document: Document, parent: str) -> bool:
        """The database tells names apart without regard to case, and finds those of deeper resources, too."""
        prefix = self._prefix(parent)
        return document.name.startswith(prefix) and "/" not in document.name[len(prefix) :]

    def _prefix(self, parent: str) -> str:
        return f"{parent}/{self.kind.collection}/"

    def _page(
        self, vertex: Vertex, parent: str, size: int, token: Any, where: Callable[[Document], bool]
    ) -> tuple[Sequence[Document], Any]:
        found: list[Document] = []
        while True:
            asked = PageRequest("created_at", True, size - len(found), token)
            page = vertex.documents.list(self.kind.message, DocumentFilter(name_prefix=self._prefix(parent)), asked)
            found += [document for document in page.items if self._is_in(document, parent) and where(document)]
            token = page.next_token
            if token is None or len(found) == size:
                return found, token

    def _all(self, vertex: Vertex, parent: str, where: Callable[[Document], bool]) -> Iterable[Document]:
        found = (item for item in self._read(vertex, parent) if self._is_in(item, parent) and where(item))
        return sorted(found, key=lambda item: item.created_at, reverse=True) if self.nested else found

    def _read(self, vertex: Vertex, parent: str) -> Iterator[Document]:
        prefix = self._prefix(parent)
        wanted = DocumentFilter(name_under=prefix) if self.nested else DocumentFilter(name_prefix=prefix)
        sort_by, descending = ("name", False) if self.nested else ("created_at", True)
        token: str | None = None
        while True:
            asked = PageRequest(sort_by, descending, _CHUNK, token)
            page = vertex.documents.list(self.kind.message, wanted, asked)
            yield from page.items
            token = page.next_token
            if token is None:
                return


def _slice(items: Sequence[Document], size: int, position: Any) -> tuple[Sequence[Document], Any]:
    """One page of sorted items. The position is [the last item's name, how many came before]."""
    start = 0
    if position is not None:
        name, count = position
        start = next((number + 1 for number, item in enumerate(items) if item.name == name), count)
    end = start + size
    return items[start:end], [items[end - 1].name, end] if end < len(items) else None


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
