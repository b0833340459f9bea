"""Long-running operations (AIP-151): durable, done at once or finished later by whoever does the work."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict

from mlparity.apis.vertex.names import new_id
from mlparity.apis.vertex.operation import Call
from mlparity.clock import Clock
from mlparity.errors import NotFoundError
from mlparity.ids import IdSource
from mlparity.state.documents import Document, DocumentFilter, DocumentRepository
from mlparity.state.paging import PageRequest
from mlparity.wire.google.descriptors import ApiVersion, Message
from mlparity.wire.google.status import Code, GoogleError

_KIND = "Operation"
_TYPES = "type.googleapis.com/"
_OWN_TYPE = re.compile(r"google\.cloud\.aiplatform\.v1(beta1)?\.")
_SLICE = 0.5  # seconds: how often a waiting call looks again, in case another process finished the operation


@dataclass(frozen=True)
class StoredOperation:
    """One operation. ``metadata`` and ``response`` are JSON with "@type"; ``error`` is google.rpc.Status in JSON."""

    name: str
    method: str  # "EndpointService.DeployModel"
    response_type: str
    metadata: Mapping[str, Any]
    done: bool = False
    response: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None

    @property
    def version(self) -> str:
        """The version of the API that it was started in."""
        return "v1beta1" if ".aiplatform.v1beta1." in self.metadata["@type"] else "v1"

    def message(self, api: ApiVersion) -> Message:
        """google.longrunning.Operation with the types of the version."""
        document: dict[str, Any] = {"name": self.name, "metadata": self.metadata}
        if self.done:
            document |= {"done": True, **({"error": self.error} if self.error else {"response": self.response})}
        document = _in_version(document, api.package)
        return ParseDict(
            document, api.new("google.longrunning.Operation"), ignore_unknown_fields=True, descriptor_pool=api.pool
        )


class Operations:
    """The operations, kept with the documents of the API "vertex"."""

    def __init__(self, documents: DocumentRepository, clock: Clock, ids: IdSource) -> None:
        self._documents = documents
        self._clock = clock
        self._ids = ids
        self._changed = threading.Condition()
        self._cancellers: dict[str, Callable[[str], None]] = {}

    def start(self, call: Call, resource: str, metadata: Mapping[str, Any] | None = None) -> StoredOperation:
        """A new operation of the called method, not done.

        ``metadata`` are members of the method's metadata message in JSON, beside the times. Finish it with ``finish``
        or ``fail``, by its name, in this process or after a restart.
        """
        operation = self._new(call, resource, metadata or {})
        self._documents.create(_KIND, operation.name, _body(operation))
        return operation

    def done(self, call: Call, resource: str, response: Message, metadata: Mapping[str, Any] | None = None) -> Message:
        """An operation that is done already; the google.longrunning.Operation to answer."""
        operation = self._new(call, resource, metadata or {})
        operation = replace(operation, done=True, response=_packed(call.api, operation.response_type, response))
        self._documents.create(_KIND, operation.name, _body(operation))
        return operation.message(call.api)

    def finish(self, name: str, response: Mapping[str, Any] | None = None) -> None:
        """End it well. ``response`` is the method's response in JSON, {} for an empty one. Does nothing where done."""
        operation = self.get(name)
        packed = {"@type": f"{_TYPES}{operation.response_type}", **(response or {})}
        self._end(replace(operation, done=True, response=packed))

    def fail(self, name: str, error: GoogleError) -> None:
        """End it with an error. Does nothing where it is done."""
        self._end(replace(self.get(name), done=True, error=error.status_json()))

    def tell(self, name: str, metadata: Mapping[str, Any]) -> None:
        """Change members of its metadata, for instance {"deploymentStage": "STARTING_MODEL_SERVER"}."""
        operation = self.get(name)
        self._save(replace(operation, metadata=self._updated({**operation.metadata, **metadata})))

    def get(self, name: str) -> StoredOperation:
        """The operation. Raises ``GoogleError`` NOT_FOUND."""
        try:
            return _operation(self._documents.get(_KIND, name))
        except NotFoundError:
            raise GoogleError(Code.NOT_FOUND, f"The Operation {name} does not exist.") from None

    def unfinished(self, method: str = "") -> Iterator[StoredOperation]:
        """Those that are not done, of one method or of all, the oldest first: what to go on with after a restart."""
        yield from (found for found in self._all("") if not found.done and method in {"", found.method})

    def under(self, parent: str) -> Iterator[StoredOperation]:
        """Those of a resource ("projects/p/locations/l": of everything there), the oldest first."""
        yield from self._all(f"{parent}/")

    def wait(self, name: str, seconds: float) -> StoredOperation:
        """The operation when it is done, or as it is after that many seconds. Raises ``GoogleError`` NOT_FOUND."""
        until = self._clock.monotonic() + seconds
        with self._changed:
            while not (found := self.get(name)).done and (left := until - self._clock.monotonic()) > 0:
                self._changed.wait(min(left, _SLICE))
        return found

    def delete(self, name: str) -> None:
        """Forget it. Raises ``GoogleError``: NOT_FOUND, or FAILED_PRECONDITION where it is not done."""
        if not self.get(name).done:
            raise GoogleError(Code.FAILED_PRECONDITION, f"Operation `{name}` is not done.")
        self._documents.delete(_KIND, name)

    def on_cancel(self, method: str, cancel: Callable[[str], None]) -> None:
        """Who stops the work of a method's operations: it is given the name, and fails the operation when it has."""
        self._cancellers[method] = cancel

    def cancel(self, name: str) -> None:
        """Ask for its end; nothing where it is done. Raises ``GoogleError`` where its work cannot be stopped."""
        operation = self.get(name)
        if operation.done:
            return
        cancel = self._cancellers.get(operation.method)
        if cancel is None:
            raise GoogleError(Code.UNIMPLEMENTED, f"Operations of {operation.method} cannot be cancelled.")
        cancel(name)

    def _new(self, call: Call, resource: str, metadata: Mapping[str, Any]) -> StoredOperation:
        now = _written(self._clock.now())
        told: dict[str, Any] = {"@type": f"{_TYPES}{call.method.operation_metadata}", **metadata}
        told["genericMetadata"] = {"createTime": now, "updateTime": now, **metadata.get("genericMetadata", {})}
        name = f"{resource}/operations/{new_id(self._ids)}"
        return StoredOperation(name, call.method.key, call.method.operation_response, told)

    def _end(self, operation: StoredOperation) -> None:
        if not self.get(operation.name).done:
            self._save(replace(operation, metadata=self._updated(operation.metadata)))

    def _save(self, operation: StoredOperation) -> None:
        self._documents.merge(_KIND, operation.name, _body(operation))
        with self._changed:
            self._changed.notify_all()

    def _updated(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        generic = {**metadata.get("genericMetadata", {}), "updateTime": _written(self._clock.now())}
        return {**metadata, "genericMetadata": generic}

    def _all(self, prefix: str) -> Iterator[StoredOperation]:
        token: str | None = None
        while True:
            page = self._documents.list(
                _KIND, DocumentFilter(name_prefix=prefix or None), PageRequest("created_at", False, 200, token)
            )
            yield from map(_operation, page.items)
            token = page.next_token
            if token is None:
                return


def _body(operation: StoredOperation) -> dict[str, Any]:
    return {
        "method": operation.method,
        "response_type": operation.response_type,
        "metadata": dict(operation.metadata),
        "done": operation.done,
        "response": operation.response,
        "error": operation.error,
    }


def _operation(document: Document) -> StoredOperation:
    return StoredOperation(document.name, **document.body)


def _packed(api: ApiVersion, kind: str, response: Message) -> dict[str, Any]:
    return {"@type": f"{_TYPES}{kind}", **MessageToDict(response, descriptor_pool=api.pool)}


def _in_version(value: Any, package: str) -> Any:
    """The document with every "@type" of the API's own in the given version."""
    if isinstance(value, Mapping):
        return {
            name: _OWN_TYPE.sub(f"{package}.", item) if name == "@type" else _in_version(item, package)
            for name, item in value.items()
        }
    return [_in_version(item, package) for item in value] if isinstance(value, list) else value


def _written(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
