"""Requests and responses of Google Cloud Storage as values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from urllib.parse import quote, unquote, unquote_plus

from mlparity.clock import Clock
from mlparity.ids import IdSource
from mlparity.storage.bucketstore import Staged, UploadInfo
from mlparity.storage.filestore import FileObjectStore
from mlparity.storage.gcs.errors import GcsError, invalid
from mlparity.storage.sessions import Session

JSON_TYPE = "application/json; charset=UTF-8"
_MAX_NAME_BYTES = 1024
_VENDOR_HOSTS = ".googleapis.com"


@dataclass(frozen=True)
class Context:
    """What operations work with."""

    store: FileObjectStore
    clock: Clock
    ids: IdSource
    project: str
    project_number: str
    location: str  # of buckets that are made without one
    signers: Mapping[str, str]  # service account -> its public key in PEM


@dataclass(frozen=True)
class GcsRequest:
    """A request without its body."""

    method: str
    raw_path: str  # percent-encoded, as it came
    raw_query: str
    query: Mapping[str, str]  # decoded; the first value of each
    headers: Mapping[str, str]  # lower case names; several values joined with ","
    base: str  # http://host:port, for addresses in answers
    params: Mapping[str, str] = field(default_factory=dict)  # what the route's template names

    @property
    def bucket(self) -> str:
        """The bucket of the path."""
        return self.params.get("bucket", "")

    @property
    def name(self) -> str:
        """The object of the path."""
        return self.params.get("object", "")


@dataclass(frozen=True)
class Received:
    """A body that arrived: ``resource`` and ``content_type`` are what it says of itself."""

    staged: Staged
    resource: Mapping[str, Any] = field(default_factory=dict)
    content_type: str = ""
    md5: str = ""  # hex, of the whole object; "" where it has to be read again
    crc32c: int | None = None  # of the whole object
    session: Session | None = None
    upload: UploadInfo | None = None
    total: int | None = None  # bytes of the whole upload, where the request tells
    is_last: bool = False  # whether the upload ends with these bytes
    running: Any = None  # the MD5 of the whole so far, to go on with; None where it is not known


@dataclass(frozen=True)
class Call:
    """A request with its body: a small ``document``, or bytes that were ``received``."""

    context: Context
    request: GcsRequest
    document: bytes = b""
    body: Received | None = None

    @property
    def store(self) -> FileObjectStore:
        """The bucket store."""
        return self.context.store

    @property
    def received(self) -> Received:
        """The body; operations that take one always have it."""
        if self.body is None:
            raise GcsError(500, "backendError", "The request has no body.")
        return self.body

    def flag(self, name: str) -> bool:
        """A query parameter that is true or false."""
        return self.request.query.get(name, "").lower() == "true"

    def number(self, name: str) -> int | None:
        """A query parameter that is a whole number; None where it is not given."""
        text = self.request.query.get(name)
        if text is None or text == "":
            return None
        try:
            return int(text)
        except ValueError:
            raise invalid(f"Invalid value for {name}: {text!r} is not a whole number", "parameter", name) from None

    def resource(self) -> dict[str, Any]:
        """The JSON document of the request; {} where there is none."""
        return read_json(self.document)


@dataclass(frozen=True)
class GcsResponse:
    """A response: ``body``, or ``length`` bytes from where ``stream`` stands."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    stream: BinaryIO | None = None
    length: int | None = None  # bytes, where ``body`` does not say it (streams, HEAD)
    resource: Mapping[str, Any] | None = None  # written as JSON, as far as ``fields`` asks for it


def read_json(document: bytes) -> dict[str, Any]:
    """A JSON object. Raises ``parseError``."""
    if not document.strip():
        return {}
    try:
        value = json.loads(document)
    except ValueError:
        raise GcsError(400, "parseError", "Parse Error") from None
    if not isinstance(value, dict):
        raise GcsError(400, "parseError", "Parse Error")
    return value


def parse_request(scope: Mapping[str, Any]) -> GcsRequest:
    """The request of an ASGI scope."""
    raw_path = (scope.get("raw_path") or quote(scope["path"]).encode()).decode("ascii", "surrogateescape")
    raw_query = scope.get("query_string", b"").decode("ascii", "surrogateescape")
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("utf-8", "surrogateescape")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    host = headers.get("host", "localhost")
    secure = scope.get("scheme") == "https" or host.partition(":")[0].endswith(_VENDOR_HOSTS)
    base = f"{'https' if secure else 'http'}://{host}"
    return GcsRequest(scope["method"], raw_path, raw_query, read_query(raw_query), headers, base)


def read_query(raw_query: str) -> dict[str, str]:
    """The first value of each parameter, decoded."""
    query: dict[str, str] = {}
    for item in raw_query.split("&"):
        if item:
            name, _, value = item.partition("=")
            query.setdefault(unquote_plus(name), unquote_plus(value))
    return query


def decode_segment(raw: str) -> str:
    """A percent-encoded piece of a path. Raises ``invalid`` where it is no UTF-8."""
    try:
        text = unquote(raw, errors="strict")
        text.encode()
    except UnicodeError:
        raise invalid("The URL is not valid UTF-8") from None
    return text


def encoded(text: str) -> bytes:
    """As UTF-8. Raises ``invalid`` where a JSON document smuggled in half a character."""
    try:
        return text.encode()
    except UnicodeError:
        raise invalid("The text is not valid Unicode") from None


def check_object_name(name: str) -> str:
    """The name. Raises what GCS answers for names it does not take.

    https://cloud.google.com/storage/docs/objects#naming
    """
    if not name:
        raise GcsError(400, "required", "Required")
    if len(encoded(name)) > _MAX_NAME_BYTES:
        raise invalid("The maximum object length is 1024 characters, but got a name with more.")
    if "\r" in name or "\n" in name or name in (".", "..") or name.startswith(".well-known/acme-challenge/"):
        raise invalid(f"Invalid object name: {name!r}")
    return name
