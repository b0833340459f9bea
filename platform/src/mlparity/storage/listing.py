"""Listing keys, versions and uploads page by page, at a cost that does not grow with the store.

Keys are walked through an index. Where keys fold into a common prefix, the walk jumps past the prefix
instead of reading what is below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, select

from mlparity.state.schema.storage import objects, uploads
from mlparity.storage.base import Listing, ObjectInfo
from mlparity.storage.bucketstore import UploadPage, VersionPage
from mlparity.storage.rows import to_object, to_upload

_LAST_CODE_POINT = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)
_FIRST_BATCH = 32  # rows read at once with a delimiter; adapts to how much folds
_SMALLEST_BATCH = 8
_LARGEST_BATCH = 1001


def _newest(columns: Select[Any]) -> Select[Any]:
    return (
        columns.where(
            objects.c.bucket == bindparam("bucket"),
            objects.c.is_latest.is_(True),
            objects.c.is_delete_marker.is_(False),
            objects.c.key >= bindparam("low"),
        )
        .order_by(objects.c.key)
        .limit(bindparam("batch"))
    )


_LISTED = (
    objects.c.bucket,
    objects.c.key,
    objects.c.version_id,
    objects.c.size,
    objects.c.etag,
    objects.c.created_at,
    objects.c.headers,
    objects.c.sequence,
    objects.c.crc32c,
    objects.c.metageneration,
    objects.c.updated_at,
)
_KEYS = _newest(select(*_LISTED, objects.c.checksums))
_KEYS_BELOW = _KEYS.where(objects.c.key < bindparam("high"))
_DESCRIBED = _newest(select(*_LISTED, objects.c.user_metadata))
_DESCRIBED_BELOW = _DESCRIBED.where(objects.c.key < bindparam("high"))


def after_prefix(prefix: str) -> str | None:
    """The first text after every text that begins with ``prefix``; None where there is none."""
    while prefix:
        code = ord(prefix[-1]) + 1
        if code in _SURROGATES:
            code = _SURROGATES.stop
        if code <= _LAST_CODE_POINT:
            return prefix[:-1] + chr(code)
        prefix = prefix[:-1]
    return None


def folded(key: str, prefix: str, delimiter: str) -> str | None:
    """The common prefix that ``key`` folds into; None where it stands for itself."""
    if not delimiter:
        return None
    end = key.find(delimiter, len(prefix))
    return None if end < 0 else key[: end + len(delimiter)]


class _Source(Protocol):
    """Reads up to ``batch`` rows from ``low`` (inclusive) on; ``seen`` is the last row taken, if any."""

    def read(self, low: str, seen: Row[Any] | None, batch: int) -> Sequence[Row[Any]]: ...


@dataclass(frozen=True)
class Span:
    """Which keys to list: those below ``prefix``, from ``start`` on, and before ``end``. "" asks nothing."""

    prefix: str = ""
    delimiter: str = ""
    start: str = ""
    end: str = ""

    @property
    def high(self) -> str | None:
        """The first key after all of them; None where there is none."""
        after = after_prefix(self.prefix)
        return min(after, self.end) if after and self.end else after or self.end or None


@dataclass(frozen=True)
class _Page:
    rows: Sequence[Row[Any]]
    prefixes: Sequence[str]
    last: Row[Any] | str | None  # the last entry, a row or a prefix; None where this is the last page


def _walk(source: _Source, low: str, prefix: str, delimiter: str, limit: int) -> _Page:
    """Take ``limit`` entries in key order."""
    rows: list[Row[Any]] = []
    prefixes: list[str] = []
    last: Row[Any] | str | None = None
    seen: Row[Any] | None = None
    batch = _FIRST_BATCH if delimiter else min(limit + 1, _LARGEST_BATCH)
    while True:
        found = source.read(low, seen, batch)
        before = len(rows) + len(prefixes)
        fold: str | None = None
        for row in found:
            if fold is not None and row.key.startswith(fold):
                continue
            if len(rows) + len(prefixes) == limit:
                return _Page(rows, prefixes, last)
            fold = folded(row.key, prefix, delimiter)
            if fold is None:
                rows.append(row)
                last = row
            else:
                prefixes.append(fold)
                last = fold
        if len(found) < batch:
            return _Page(rows, prefixes, None)
        if fold is None:
            low, seen = found[-1].key, found[-1]
        else:
            jump = after_prefix(fold)
            if jump is None:
                return _Page(rows, prefixes, None)
            low, seen = jump, None
        if delimiter:
            batch = max(_SMALLEST_BATCH, min(_LARGEST_BATCH, 2 * (len(rows) + len(prefixes) - before)))


def _first_key(prefix: str, marker: str, delimiter: str) -> tuple[str, bool] | None:
    """Where to begin: ``(key, inclusive)``; None where nothing can follow."""
    if marker < prefix or not marker:
        return prefix, True
    if folded(marker, prefix, delimiter) == marker:  # a prefix of the page before: all below it is done
        jump = after_prefix(marker)
        return None if jump is None else (jump, True)
    return marker, False


@dataclass(frozen=True)
class _KeySource:
    connection: Connection
    bucket: str
    high: str | None
    described: bool = False  # with user metadata instead of checksums

    def read(self, low: str, seen: Row[Any] | None, batch: int) -> Sequence[Row[Any]]:
        # "\0" is the smallest addition to a key, so this begins right after the row seen last.
        values = {"bucket": self.bucket, "low": low if seen is None else seen.key + "\0", "batch": batch}
        if self.high is None:
            return self.connection.execute(_DESCRIBED if self.described else _KEYS, values).all()
        below = _DESCRIBED_BELOW if self.described else _KEYS_BELOW
        return self.connection.execute(below, {**values, "high": self.high}).all()


def list_keys(
    connection: Connection, bucket: str, prefix: str, delimiter: str, start_after: str, limit: int
) -> Listing:
    """One page of the newest versions."""
    begin = _first_key(prefix, start_after, delimiter)
    if begin is None or limit <= 0:
        return Listing((), (), None)
    low = begin[0] if begin[1] else begin[0] + "\0"
    page = _walk(_KeySource(connection, bucket, after_prefix(prefix)), low, prefix, delimiter, limit)
    listed = [
        ObjectInfo(
            bucket=bucket,
            key=row.key,
            version_id=row.version_id,
            size=row.size,
            etag=row.etag,
            created_at=row.created_at,
            headers=row.headers,
            checksums=row.checksums,
            sequence=row.sequence,
            crc32c=row.crc32c,
            metageneration=row.metageneration,
            updated_at=row.updated_at,
        )
        for row in page.rows
    ]
    return Listing(listed, page.prefixes, _key_of(page.last))


def list_span(connection: Connection, bucket: str, span: Span, start_after: str, limit: int) -> Listing:
    """As ``list_keys``, within a span of keys. The objects carry ``user_metadata``, and no ``checksums``."""
    begin = _first_key(span.prefix, start_after, span.delimiter)
    if begin is None or limit <= 0:
        return Listing((), (), None)
    low = max(begin[0] if begin[1] else begin[0] + "\0", span.start)
    source = _KeySource(connection, bucket, span.high, described=True)
    page = _walk(source, low, span.prefix, span.delimiter, limit)
    listed = [
        ObjectInfo(
            bucket=bucket,
            key=row.key,
            version_id=row.version_id,
            size=row.size,
            etag=row.etag,
            created_at=row.created_at,
            headers=row.headers,
            user_metadata=row.user_metadata,
            sequence=row.sequence,
            crc32c=row.crc32c,
            metageneration=row.metageneration,
            updated_at=row.updated_at,
        )
        for row in page.rows
    ]
    return Listing(listed, page.prefixes, _key_of(page.last))


@dataclass(frozen=True)
class _VersionSource:
    connection: Connection
    bucket: str
    prefix: str
    marker: tuple[str, int] | None  # (key, sequence): the version that the page before ended with

    def read(self, low: str, seen: Row[Any] | None, batch: int) -> Sequence[Row[Any]]:
        conditions: list[ColumnElement[bool]] = [objects.c.bucket == self.bucket, objects.c.key >= low]
        high = after_prefix(self.prefix)
        if high is not None:
            conditions.append(objects.c.key < high)
        marker = self.marker if seen is None else (seen.key, seen.sequence)
        if marker is not None and marker[0] == low:
            conditions.append((objects.c.key > low) | (objects.c.sequence < marker[1]))
        query = select(objects).where(*conditions).order_by(objects.c.key, objects.c.sequence.desc()).limit(batch)
        return self.connection.execute(query).all()


def list_versions(
    connection: Connection, bucket: str, prefix: str, delimiter: str, marker: tuple[str, str], limit: int
) -> VersionPage:
    """One page of all versions; ``marker`` is ``(key, version id)``, with "" for none."""
    begin = _first_key(prefix, marker[0], delimiter)
    if begin is None or limit <= 0:
        return VersionPage((), (), None, None)
    low, inclusive = begin
    position: tuple[str, int] | None = None
    if not inclusive:
        sequence = _sequence(connection, bucket, marker) if marker[1] else None
        position = None if sequence is None else (low, sequence)
        low = low if position else low + "\0"
    page = _walk(_VersionSource(connection, bucket, prefix, position), low, prefix, delimiter, limit)
    next_version = None if page.last is None or isinstance(page.last, str) else str(page.last.version_id)
    return VersionPage([to_object(row) for row in page.rows], page.prefixes, _key_of(page.last), next_version)


@dataclass(frozen=True)
class GenerationPage:
    """Versions without delete markers in order of key and age, and where the next page starts (None: last page)."""

    objects: Sequence[ObjectInfo]
    prefixes: Sequence[str]
    next: tuple[str, int] | None  # the last (key, sequence), or (prefix, 0)


@dataclass(frozen=True)
class _GenerationSource:
    connection: Connection
    bucket: str
    high: str | None
    marker: tuple[str, int] | None  # (key, sequence) that the page before ended with

    def read(self, low: str, seen: Row[Any] | None, batch: int) -> Sequence[Row[Any]]:
        conditions: list[ColumnElement[bool]] = [
            objects.c.bucket == self.bucket,
            objects.c.is_delete_marker.is_(False),
            objects.c.key >= low,
        ]
        if self.high is not None:
            conditions.append(objects.c.key < self.high)
        marker = self.marker if seen is None else (seen.key, seen.sequence)
        if marker is not None and marker[0] == low:
            conditions.append((objects.c.key > low) | (objects.c.sequence > marker[1]))
        query = select(objects).where(*conditions).order_by(objects.c.key, objects.c.sequence).limit(batch)
        return self.connection.execute(query).all()


def list_generations(
    connection: Connection, bucket: str, span: Span, after: tuple[str, int], limit: int
) -> GenerationPage:
    """One page of all versions in the order that they were written in, key by key."""
    begin = _first_key(span.prefix, after[0], span.delimiter)
    if begin is None or limit <= 0:
        return GenerationPage((), (), None)
    low = max(begin[0], span.start)
    marker = after if after[1] and not begin[1] else None
    if not begin[1] and marker is None and low == begin[0]:
        low += "\0"
    page = _walk(_GenerationSource(connection, bucket, span.high, marker), low, span.prefix, span.delimiter, limit)
    last = page.last
    following = None if last is None else (last, 0) if isinstance(last, str) else (str(last.key), int(last.sequence))
    return GenerationPage([to_object(row) for row in page.rows], page.prefixes, following)


def _sequence(connection: Connection, bucket: str, marker: tuple[str, str]) -> int | None:
    query = select(objects.c.sequence).where(
        objects.c.bucket == bucket, objects.c.key == marker[0], objects.c.version_id == marker[1]
    )
    return connection.scalar(query)


@dataclass(frozen=True)
class _UploadSource:
    connection: Connection
    bucket: str
    prefix: str
    marker: tuple[str, str] | None  # (key, upload id)

    def read(self, low: str, seen: Row[Any] | None, batch: int) -> Sequence[Row[Any]]:
        conditions: list[ColumnElement[bool]] = [uploads.c.bucket == self.bucket, uploads.c.key >= low]
        high = after_prefix(self.prefix)
        if high is not None:
            conditions.append(uploads.c.key < high)
        marker = self.marker if seen is None else (seen.key, seen.upload_id)
        if marker is not None and marker[0] == low:
            conditions.append((uploads.c.key > low) | (uploads.c.upload_id > marker[1]))
        query = select(uploads).where(*conditions).order_by(uploads.c.key, uploads.c.upload_id).limit(batch)
        return self.connection.execute(query).all()


def list_uploads(
    connection: Connection, bucket: str, prefix: str, delimiter: str, marker: tuple[str, str], limit: int
) -> UploadPage:
    """One page of the uploads under way; ``marker`` is ``(key, upload id)``, with "" for none."""
    begin = _first_key(prefix, marker[0], delimiter)
    if begin is None or limit <= 0:
        return UploadPage((), (), None, None)
    low, inclusive = begin
    position = (low, marker[1]) if marker[1] and not inclusive else None
    low = low if inclusive or position else low + "\0"
    page = _walk(_UploadSource(connection, bucket, prefix, position), low, prefix, delimiter, limit)
    next_upload = None if page.last is None or isinstance(page.last, str) else str(page.last.upload_id)
    return UploadPage([to_upload(row) for row in page.rows], page.prefixes, _key_of(page.last), next_upload)


def _key_of(last: Row[Any] | str | None) -> str | None:
    if last is None or isinstance(last, str):
        return last
    return str(last.key)
