"""The requests of asynchronous inference that wait or are under way: a row each, gone when it has been answered."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlparity.errors import NotFoundError
from mlparity.state.documents import Document, DocumentFilter, DocumentRepository
from mlparity.state.paging import PageRequest

_KIND = "AsyncInvocation"
_CHUNK = 100


@dataclass(frozen=True)
class AsyncRequest:
    """One request. ``body`` has the members of InvokeEndpointAsync and the locations of its answer."""

    id: str
    endpoint: str
    body: Mapping[str, Any]
    received_at: datetime

    @property
    def inference_id(self) -> str:
        """The caller's id, or the one that he was given."""
        return str(self.body["InferenceId"])


class AsyncQueue:
    """First come, first served, for each endpoint. One method a question."""

    def __init__(self, documents: DocumentRepository) -> None:
        self._documents = documents

    def add(self, endpoint: str, request_id: str, body: Mapping[str, Any]) -> AsyncRequest:
        """Keep a request."""
        return _read(self._documents.create(_KIND, f"{endpoint}/{request_id}", body))

    def waiting(self, endpoint: str, count: int, besides: Collection[str] = ()) -> list[AsyncRequest]:
        """The oldest ``count`` requests that are not among ``besides`` (ids)."""
        found: list[AsyncRequest] = []
        for request in self._walk(f"{endpoint}/", count + len(besides)):
            if len(found) >= count:
                break
            if request.id not in besides:
                found.append(request)
        return found

    def size(self, endpoint: str) -> int:
        """How many there are."""
        return sum(1 for _ in self._walk(f"{endpoint}/", _CHUNK))

    def endpoints(self) -> set[str]:
        """Those that have requests."""
        return {request.endpoint for request in self._walk(None, _CHUNK)}

    def done(self, request: AsyncRequest) -> None:
        """Forget it."""
        try:
            self._documents.delete(_KIND, f"{request.endpoint}/{request.id}")
        except NotFoundError:
            return  # its endpoint was deleted meanwhile

    def clear(self, endpoint: str) -> None:
        """Forget all requests of an endpoint that is no more."""
        for request in list(self._walk(f"{endpoint}/", _CHUNK)):
            self.done(request)

    def _walk(self, prefix: str | None, chunk: int) -> Iterator[AsyncRequest]:
        token: str | None = None
        while True:
            page = PageRequest("created_at", descending=False, limit=chunk, token=token)
            found = self._documents.list(_KIND, DocumentFilter(name_prefix=prefix), page)
            yield from map(_read, found.items)
            token = found.next_token
            if token is None:
                return


def _read(document: Document) -> AsyncRequest:
    endpoint, _, request_id = document.name.rpartition("/")
    return AsyncRequest(request_id, endpoint, document.body, document.created_at)
