"""The wider seam that wire protocols need: versions, conditions, staged writes, multipart uploads.

``ObjectStore`` (``base.py``) is what the rest of the product sees; ``BucketStore`` adds what S3 (and its
likes) promise. The semantics follow the Amazon S3 user guide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO, Protocol

from mlparity.storage.base import Deleted, ObjectInfo, ObjectStore


@dataclass(frozen=True)
class BucketInfo:
    """A bucket and its stored sub-resources."""

    name: str
    created_at: datetime
    region: str
    versioning: str  # "" (never enabled), "Enabled" or "Suspended"
    settings: Mapping[str, str] = field(default_factory=dict)  # sub-resource name -> its document


@dataclass(frozen=True)
class Properties:
    """What a client says about an object when it writes it."""

    headers: Mapping[str, str] = field(default_factory=dict)  # lower case names
    user_metadata: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)  # {"CRC32": base64, "type": "FULL_OBJECT"}
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Condition:
    """A condition on the newest version: entity tags without quotes, or "*"; "" asks nothing."""

    if_match: str = ""
    if_none_match: str = ""
    # Google's, on ``sequence`` and ``metageneration``: None asks nothing, generation 0 is "no such object".
    generation: int | None = None
    generation_not: int | None = None
    metageneration: int | None = None
    metageneration_not: int | None = None


@dataclass(frozen=True)
class Staged:
    """Bytes that are on disk and belong to no object yet."""

    blobs: Sequence[tuple[str, int]]  # (blob id, bytes)
    size: int  # bytes
    etag: str
    crc32c: int | None = None


class BlobWriter(Protocol):
    """One stream of bytes on its way to disk. One thread at a time."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append."""
        ...

    def finish(self) -> Staged:
        """Close it; its etag is the MD5 of the bytes."""
        ...

    def discard(self) -> None:
        """Drop the bytes. Idempotent; does nothing once an object owns them."""
        ...


@dataclass(frozen=True)
class OpenObject:
    """A version and a seekable stream over its bytes. The stream must be closed."""

    info: ObjectInfo
    stream: BinaryIO


@dataclass(frozen=True)
class VersionPage:
    """Versions (newest first within a key), and the markers of the next page (None: last page)."""

    versions: Sequence[ObjectInfo]
    prefixes: Sequence[str]
    next_key: str | None
    next_version_id: str | None


@dataclass(frozen=True)
class UploadInfo:
    """A multipart upload under way."""

    upload_id: str
    bucket: str
    key: str
    created_at: datetime
    properties: Properties
    checksum: Mapping[str, str]  # {"algorithm": "CRC32", "type": "COMPOSITE" | "FULL_OBJECT"} or {}


@dataclass(frozen=True)
class PartInfo:
    """One uploaded part."""

    number: int
    size: int  # bytes
    etag: str
    checksums: Mapping[str, str]
    created_at: datetime


@dataclass(frozen=True)
class UploadPage:
    """Uploads in key order, then by age; markers of the next page (None: last page)."""

    uploads: Sequence[UploadInfo]
    prefixes: Sequence[str]
    next_key: str | None
    next_upload_id: str | None


class Uploads(Protocol):
    """Multipart uploads. Parts are numbered 1 to 10000 and may come in any order and more than once."""

    def create(self, bucket: str, key: str, properties: Properties, checksum: Mapping[str, str]) -> UploadInfo:
        """Begin an upload."""
        ...

    def get(self, bucket: str, key: str, upload_id: str) -> UploadInfo:
        """Look it up. Raises ``NoSuchUploadError``."""
        ...

    def put_part(self, upload: UploadInfo, number: int, staged: Staged, checksums: Mapping[str, str]) -> PartInfo:
        """Give ``staged`` to the upload as part ``number``, replacing an earlier one."""
        ...

    def parts(self, upload: UploadInfo) -> Sequence[PartInfo]:
        """All parts so far in order of number."""
        ...

    def complete(
        self,
        upload: UploadInfo,
        parts: Sequence[tuple[int, str]],
        checksums: Mapping[str, str],
        condition: Condition,
    ) -> ObjectInfo:
        """Make the object of the named ``(number, etag)`` parts; nothing is copied.

        Raises ``InvalidPartError``, ``InvalidPartOrderError``, ``PartTooSmallError``,
        ``PreconditionFailedError``.
        """
        ...

    def abort(self, upload: UploadInfo) -> None:
        """Drop the upload and its parts."""
        ...

    def list(
        self, bucket: str, *, prefix: str, delimiter: str, key_marker: str, upload_id_marker: str, limit: int
    ) -> UploadPage:
        """One page of the uploads under way."""
        ...


class Buckets(Protocol):
    """Buckets themselves."""

    def list(self) -> Sequence[BucketInfo]:
        """All, by name."""
        ...

    def get(self, name: str) -> BucketInfo:
        """Look one up. Raises ``NoSuchBucketError``."""
        ...

    def create(self, name: str, region: str = "") -> BucketInfo:
        """Make one. Raises ``BucketExistsError`` or ``InvalidBucketNameError``."""
        ...

    def delete(self, name: str) -> None:
        """Delete an empty one; uploads under way go with it. Raises ``BucketNotEmptyError``."""
        ...

    def set_versioning(self, name: str, state: str) -> None:
        """``state`` is "Enabled" or "Suspended"."""
        ...

    def put_setting(self, name: str, setting: str, document: str | None) -> None:
        """Store a sub-resource document; None deletes it."""
        ...


class BucketStore(ObjectStore, Protocol):
    """A store that a wire protocol can be put in front of."""

    @property
    def region(self) -> str:
        """The region of buckets that are made without one."""
        ...

    @property
    def buckets(self) -> Buckets:
        """The buckets themselves."""
        ...

    @property
    def uploads(self) -> Uploads:
        """Multipart uploads."""
        ...

    def stage(self) -> BlobWriter:
        """Begin writing bytes that ``put_staged`` or ``Uploads.put_part`` will give to an object."""
        ...

    def stage_copy(
        self,
        bucket: str,
        key: str,
        version_id: str | None = None,
        *,
        observe: Callable[[bytes], None] | None = None,
    ) -> Staged:
        """Stage the bytes of an existing version; ``observe`` sees them all, in order, where given."""
        ...

    def unstage(self, staged: Staged) -> None:
        """Drop staged bytes that no object took."""
        ...

    def put_staged(
        self, bucket: str, key: str, staged: Staged, properties: Properties, condition: Condition
    ) -> ObjectInfo:
        """Make ``staged`` the newest version. On any error the staged bytes are dropped.

        Raises ``PreconditionFailedError``; ``NoSuchObjectError`` for ``if_match`` where there is no object.
        """
        ...

    def lookup(self, bucket: str, key: str, version_id: str | None = None) -> ObjectInfo:
        """As ``head``, but delete markers are returned too."""
        ...

    def open_version(self, bucket: str, key: str, version_id: str | None = None) -> OpenObject:
        """The version and its bytes, taken together. Delete markers come with an empty stream."""
        ...

    def delete_many(
        self, bucket: str, keys: Sequence[tuple[str, str | None]], condition: Condition
    ) -> Sequence[Deleted]:
        """Delete ``(key, version id)`` pairs in one transaction."""
        ...

    def list_versions(
        self, bucket: str, *, prefix: str, delimiter: str, key_marker: str, version_id_marker: str, limit: int
    ) -> VersionPage:
        """One page of all versions and delete markers."""
        ...

    def set_tags(self, bucket: str, key: str, version_id: str | None, tags: Mapping[str, str]) -> ObjectInfo:
        """Replace the tags of a version."""
        ...
