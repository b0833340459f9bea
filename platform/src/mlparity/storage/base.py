"""The seam between the bucket store and everything that uses it.

``ObjectStore`` is what the engine and the wire protocols see; the embedded implementation keeps bytes as
files and the rest in the state database. One conformance suite runs over every implementation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol


@dataclass(frozen=True)
class ObjectInfo:
    """One version of one object, without its bytes."""

    bucket: str
    key: str
    version_id: str  # "null" where the bucket is not versioned
    size: int  # bytes
    etag: str  # hex, without quotes; "…-N" for N parts
    created_at: datetime
    is_latest: bool = True
    is_delete_marker: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)  # content-type and friends, lower case
    user_metadata: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    part_sizes: Sequence[int] = ()  # bytes of each part of a multipart object, else empty
    sequence: int = 0  # order of writing over the whole store; what Google calls the generation
    crc32c: int | None = None  # of all the bytes; None where it was not computed
    metageneration: int = 1  # how often the metadata of this version were written
    updated_at: datetime | None = None  # when they were changed last, if ever
    superseded_at: datetime | None = None  # when a newer version or a delete marker came; only ``Generations`` tells


@dataclass(frozen=True)
class Deleted:
    """What a delete did: the version that went, or the marker that came."""

    key: str
    version_id: str | None  # None in a bucket that was never versioned
    is_delete_marker: bool = False


@dataclass(frozen=True)
class Listing:
    """One page of keys: ``objects`` and ``prefixes`` in key order, and where the next page starts.

    Listed objects carry no ``user_metadata``, ``tags`` or ``part_sizes``; ``head`` does.
    """

    objects: Sequence[ObjectInfo]
    prefixes: Sequence[str]
    next_key: str | None  # ``start_after`` of the next page; None where this is the last


class ObjectStore(Protocol):
    """Buckets of objects. Keys are any text of 1 to 1024 bytes and never become paths.

    Errors are the ``StorageError`` subclasses. A write is seen whole or not at all, also after a crash.
    """

    def create_bucket(self, name: str) -> None:
        """Make a bucket. Raises ``BucketExistsError`` or ``InvalidBucketNameError``."""
        ...

    def ensure_bucket(self, name: str) -> None:
        """Make the bucket unless it exists."""
        ...

    def put_bytes(self, bucket: str, key: str, data: bytes, *, content_type: str = "") -> ObjectInfo:
        """Store ``data`` as the newest version of ``key``."""
        ...

    def put_file(self, bucket: str, key: str, path: Path, *, content_type: str = "") -> ObjectInfo:
        """Store the file's bytes, streamed; the file stays where it is."""
        ...

    def head(self, bucket: str, key: str, version_id: str | None = None) -> ObjectInfo:
        """The newest (or the given) version. Raises ``NoSuchBucketError`` or ``NoSuchObjectError``."""
        ...

    def open(self, bucket: str, key: str, version_id: str | None = None) -> BinaryIO:
        """A seekable stream over the object's bytes, stable while open even if the key is overwritten."""
        ...

    def get_bytes(self, bucket: str, key: str) -> bytes:
        """The whole object. For small ones."""
        ...

    def download(self, bucket: str, key: str, path: Path) -> None:
        """Write the object's bytes to ``path``; parents are made, an existing file is replaced."""
        ...

    def list(
        self, bucket: str, prefix: str = "", *, delimiter: str = "", start_after: str = "", limit: int = 1000
    ) -> Listing:
        """One page of the newest versions in key order; keys sharing ``delimiter`` fold into prefixes."""
        ...

    def iterate(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """All newest versions below ``prefix`` in key order, page by page."""
        ...

    def delete(self, bucket: str, key: str, version_id: str | None = None) -> Deleted:
        """Delete as S3 does: a marker in a versioned bucket; no error where the key does not exist."""
        ...
