"""Requests and responses of the S3 protocol as values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from urllib.parse import quote, unquote, unquote_plus

from mlparity.clock import Clock
from mlparity.ids import IdSource
from mlparity.storage.bucketstore import BucketStore, Staged, UploadInfo
from mlparity.storage.s3.errors import S3Error
from mlparity.wire.sigv4 import SignedRequest
from mlparity.wire.xml_write import Value, render

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_VIRTUAL_HOST = re.compile(r"(?P<bucket>.+)\.s3(?:[.-][a-z0-9-]+)*\.amazonaws\.com(\.cn)?", re.IGNORECASE)
_MAX_KEY_BYTES = 1024


@dataclass(frozen=True)
class Context:
    """What operations work with."""

    store: BucketStore
    clock: Clock
    ids: IdSource
    region: str
    account_id: str


@dataclass(frozen=True)
class S3Request:
    """A request without its body."""

    method: str
    bucket: str  # "" for the service itself
    key: str  # "" for a bucket
    query: Mapping[str, str]  # decoded; the first value of each
    headers: Mapping[str, str]  # lower case names; several values joined with ","
    signed: SignedRequest
    region: str = ""  # the region that the request was signed for

    @property
    def resource(self) -> str:
        """/bucket/key, as errors name it."""
        return f"/{self.bucket}/{self.key}" if self.key else f"/{self.bucket}"

    @property
    def version_id(self) -> str | None:
        """The version asked for."""
        return self.query.get("versionId") or None


@dataclass(frozen=True)
class Received:
    """An object body that arrived whole and was checked."""

    staged: Staged
    checksums: Mapping[str, str]  # {"CRC32": base64, "type": "FULL_OBJECT"}
    algorithm: str  # of the checksum that the answer names
    upload: UploadInfo | None = None


@dataclass(frozen=True)
class Call:
    """A request with its body: a small ``document``, or an object that was ``received``."""

    context: Context
    request: S3Request
    document: bytes = b""
    body: Received | None = None

    @property
    def store(self) -> BucketStore:
        """The bucket store."""
        return self.context.store

    @property
    def received(self) -> Received:
        """The object body; operations that take one always have it."""
        if self.body is None:
            raise S3Error("InternalError")
        return self.body


@dataclass(frozen=True)
class S3Response:
    """A response: ``body``, or ``length`` bytes from where ``stream`` stands."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    stream: BinaryIO | None = None
    length: int | None = None  # bytes, where ``body`` does not say it (streams, HEAD)


def xml_response(root: str, value: Value, headers: Mapping[str, str] | None = None) -> S3Response:
    """200 with a document in S3's namespace."""
    return S3Response(200, {"content-type": "application/xml", **(headers or {})}, render(root, value, NAMESPACE))


def parse_request(scope: Mapping[str, Any]) -> S3Request:
    """The request of an ASGI scope: path-style, or virtual-host style on amazonaws.com hosts."""
    raw_path = (scope.get("raw_path") or quote(scope["path"]).encode()).decode("ascii", "surrogateescape")
    raw_query = scope.get("query_string", b"").decode("ascii", "surrogateescape")
    pairs = tuple(
        (name.decode("latin-1").lower(), value.decode("utf-8", "surrogateescape")) for name, value in scope["headers"]
    )
    headers: dict[str, str] = {}
    for name, value in pairs:
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    bucket, key = _bucket_and_key(raw_path, headers.get("host", ""))
    query: dict[str, str] = {}
    for item in raw_query.split("&"):
        if item:
            name, _, value = item.partition("=")
            query.setdefault(unquote_plus(name), unquote_plus(value))
    return S3Request(
        method=scope["method"],
        bucket=bucket,
        key=key,
        query=query,
        headers=headers,
        signed=SignedRequest(scope["method"], raw_path, raw_query, pairs),
    )


def _bucket_and_key(raw_path: str, host: str) -> tuple[str, str]:
    try:
        path = unquote(raw_path.lstrip("/") if not raw_path.startswith("/") else raw_path[1:], errors="strict")
        path.encode()
    except UnicodeError:
        raise S3Error("InvalidURI") from None
    virtual = _VIRTUAL_HOST.fullmatch(host.partition(":")[0])
    bucket, key = (virtual["bucket"], path) if virtual else path.partition("/")[::2]
    if len(key.encode()) > _MAX_KEY_BYTES:
        raise S3Error("KeyTooLongError", fields={"Size": str(len(key.encode())), "MaxSizeAllowed": str(_MAX_KEY_BYTES)})
    return bucket, key


def quoted(etag: str) -> str:
    """An entity tag as headers and documents carry it."""
    return f'"{etag}"'


def unquoted(etag: str) -> str:
    """An entity tag without quotes and weakness mark."""
    return etag.strip().removeprefix("W/").strip('"')
