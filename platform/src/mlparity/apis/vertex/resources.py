"""Resources that are stored as the API tells them: created, read, changed, listed and deleted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.errors import already_exists, invalid, not_found
from mlparity.errors import ConflictError, NotFoundError
from mlparity.state.documents import Document
from mlparity.wire.google.descriptors import ApiVersion, Message
from mlparity.wire.google.field_mask import ALL, merge, resolve
from mlparity.wire.google.status import Code, GoogleError


@dataclass(frozen=True)
class Stored:
    """A resource, and what mlparity keeps beside it (``private``: JSON, never shown)."""

    message: Message
    private: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class ResourceKind:
    """One kind of resource: its message's name ("Endpoint") and its collection's ("endpoints").

    The document of a resource is kept under ``message`` and its full resource name. Times and the etag are set where
    the message has such fields.
    """

    message: str
    collection: str
    immutable: frozenset[str] = field(default=frozenset())  # beside those that the API documents

    def create(
        self, vertex: Vertex, api: ApiVersion, message: Message, private: Mapping[str, Any] | None = None
    ) -> Message:
        """Store a new one under ``message.name``. Raises ``GoogleError`` ALREADY_EXISTS."""
        now = vertex.clock.now()
        _set_times(message, now, created=True)
        resource = _as_json(api, message)
        try:
            vertex.documents.create(self.message, message.name, {"resource": resource, "private": dict(private or {})})
        except ConflictError:
            raise already_exists(self.message, message.name) from None
        return self.read(api, resource)

    def load(self, vertex: Vertex, api: ApiVersion, name: str) -> Stored:
        """The resource with what is kept beside it. Raises ``GoogleError`` NOT_FOUND."""
        try:
            document = vertex.documents.get(self.message, name)
        except NotFoundError:
            raise not_found(self.message, name) from None
        return self.stored(api, document)

    def get(self, vertex: Vertex, api: ApiVersion, name: str) -> Message:
        """The resource. Raises ``GoogleError`` NOT_FOUND."""
        return self.load(vertex, api, name).message

    def save(
        self, vertex: Vertex, api: ApiVersion, message: Message, private: Mapping[str, Any] | None = None
    ) -> Message:
        """Store a changed one; ``private`` stays where it is None. Raises ``GoogleError`` NOT_FOUND."""
        _set_times(message, vertex.clock.now(), created=False)
        resource = _as_json(api, message)
        changes = {"resource": resource, **({"private": dict(private)} if private is not None else {})}
        try:
            vertex.documents.merge(self.message, message.name, changes)
        except NotFoundError:
            raise not_found(self.message, message.name) from None
        return self.read(api, resource)

    def update(
        self,
        vertex: Vertex,
        api: ApiVersion,
        changed: Message,
        paths: Sequence[str],
        check: Callable[[Message], None] = lambda _changed: None,
    ) -> Message:
        """Replace what the mask's paths name ("*": everything that may change). ``check`` may refuse the result.

        Raises ``GoogleError``: NOT_FOUND, INVALID_ARGUMENT for a change of an immutable field, ABORTED for an old etag.
        """
        with vertex.transaction():
            stored = self.get(vertex, api, changed.name)
            self._check_etag(stored, changed)
            self._apply(api, stored, changed, paths)
            check(stored)
            return self.save(vertex, api, stored)

    def delete(self, vertex: Vertex, name: str) -> None:
        """Forget it. Raises ``GoogleError`` NOT_FOUND."""
        try:
            vertex.documents.delete(self.message, name)
        except NotFoundError:
            raise not_found(self.message, name) from None

    def stored(self, api: ApiVersion, document: Document) -> Stored:
        """A document as the resource it keeps."""
        body = document.body
        return Stored(self.read(api, body["resource"]), body.get("private", {}), document.created_at)

    def read(self, api: ApiVersion, resource: Mapping[str, Any]) -> Message:
        """The message of a resource in JSON; fields that the version does not have are left out."""
        return ParseDict(resource, api.new(self.message), ignore_unknown_fields=True, descriptor_pool=api.pool)

    def _apply(self, api: ApiVersion, stored: Message, changed: Message, paths: Sequence[str]) -> None:
        behaviour = api.behaviour(stored.DESCRIPTOR.full_name)
        fixed = behaviour.immutable | self.immutable
        ours = behaviour.output_only | {"name", "create_time", "update_time", "etag"}
        if not paths or ALL in paths:
            paths = [f.name for f in stored.DESCRIPTOR.fields if f.name not in ours | fixed]
        before = type(stored)()
        before.CopyFrom(stored)
        merge(stored, changed, [path for path in paths if path.split(".")[0] not in ours])
        refused = {path: "The field is immutable." for path in paths if _differs(before, stored, path, fixed)}
        if refused:
            raise invalid({f"{_snake(self.message)}.{path}": text for path, text in refused.items()})

    @staticmethod
    def _check_etag(stored: Message, changed: Message) -> None:
        if "etag" in stored.DESCRIPTOR.fields_by_name and changed.etag and changed.etag != stored.etag:
            raise GoogleError(Code.ABORTED, f"The etag {changed.etag} is not that of the resource, {stored.etag}.")


def _differs(before: Message, after: Message, path: str, fixed: Collection[str]) -> bool:
    fields = resolve(before.DESCRIPTOR, path) or []
    name = fields[0].name if fields else ""
    return name in fixed and getattr(before, name) != getattr(after, name)


def _set_times(message: Message, now: datetime, *, created: bool) -> None:
    names = message.DESCRIPTOR.fields_by_name
    if created and "create_time" in names:
        message.create_time.FromDatetime(now)
    if "update_time" in names:
        message.update_time.FromDatetime(now)


def _as_json(api: ApiVersion, message: Message) -> dict[str, Any]:
    if "etag" in message.DESCRIPTOR.fields_by_name:
        message.ClearField("etag")
    resource: dict[str, Any] = MessageToDict(message, descriptor_pool=api.pool)
    if "etag" in message.DESCRIPTOR.fields_by_name:
        content = json.dumps(resource, sort_keys=True).encode()
        resource["etag"] = f"AMEw9y{hashlib.sha256(content).hexdigest()[:26]}"
    return resource


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
