"""Versions of objects as Google Cloud Storage sees them: by generation, without delete markers.

A generation is the ``sequence`` of a version: it grows with every write, over the whole store. What S3 calls a
delete marker is here just an object that has no live version.

https://cloud.google.com/storage/docs/object-versioning
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection, Row, bindparam, select, update

from mlparity.clock import Clock
from mlparity.state import Database
from mlparity.state.schema.storage import objects
from mlparity.storage.base import Listing, ObjectInfo
from mlparity.storage.bucketstore import Condition, OpenObject, Properties, Staged
from mlparity.storage.listing import GenerationPage, Span, list_generations, list_span
from mlparity.storage.rows import bucket_info, find_version, lock_bucket, no_such_object, plain, to_object
from mlparity.storage.transactions import BlobTransactions
from mlparity.storage.versions import Stamps, check_condition, delete_version, write_version

_BY_SEQUENCE = select(objects).where(
    objects.c.bucket == bindparam("bucket"),
    objects.c.key == bindparam("key"),
    objects.c.sequence == bindparam("sequence"),
    objects.c.is_delete_marker.is_(False),
)
_SUCCESSOR = (
    select(objects.c.created_at)
    .where(
        objects.c.bucket == bindparam("bucket"),
        objects.c.key == bindparam("key"),
        objects.c.sequence > bindparam("sequence"),
    )
    .order_by(objects.c.sequence)
    .limit(1)
)
_OTHERS = (
    select(objects.c.version_id)
    .where(
        objects.c.bucket == bindparam("bucket"),
        objects.c.key == bindparam("key"),
        objects.c.version_id != bindparam("version_id"),
        objects.c.is_delete_marker.is_(False),
    )
    .limit(1)
)
Change = Callable[[ObjectInfo], Properties]


class OpensVersions(Protocol):
    """What opens the bytes of a version."""

    def open_version(self, bucket: str, key: str, version_id: str | None = None) -> OpenObject:
        """The version and its bytes, taken together."""
        ...


@dataclass(frozen=True)
class Generations:
    """The generations of a store's objects. ``generation`` None is the live one.

    What does not exist raises ``NoSuchObjectError`` or ``NoSuchBucketError``; a condition that does not hold,
    ``PreconditionFailedError``.
    """

    database: Database
    transactions: BlobTransactions
    clock: Clock
    stamps: Stamps
    opener: OpensVersions

    def get(self, bucket: str, key: str, generation: int | None = None) -> ObjectInfo:
        """Look one up."""
        with self.database.read() as connection:
            return _told(connection, _require(connection, bucket, key, generation))

    def open(self, bucket: str, key: str, generation: int | None = None) -> OpenObject:
        """One and its bytes, taken together. The stream must be closed."""
        version_id = None if generation is None else self.get(bucket, key, generation).version_id
        opened = self.opener.open_version(bucket, key, version_id)
        if opened.info.is_delete_marker or generation not in (None, opened.info.sequence):
            opened.stream.close()
            raise no_such_object(bucket, key)
        return opened

    def list(self, bucket: str, span: Span, *, start_after: str = "", limit: int = 1000) -> Listing:
        """One page of the live ones in key order, with ``user_metadata``; without ``checksums``, ``tags``, parts."""
        with self.database.read() as connection:
            bucket_info(connection, bucket)
            return list_span(connection, bucket, span, start_after, limit)

    def list_all(
        self, bucket: str, span: Span, *, after: tuple[str, int] = ("", 0), limit: int = 1000
    ) -> GenerationPage:
        """One page of all, in order of key and generation, after ``(key, generation)``."""
        with self.database.read() as connection:
            bucket_info(connection, bucket)
            page = list_generations(connection, bucket, span, after, limit)
            return replace(page, objects=[_succeeded(connection, info) for info in page.objects])

    def update(self, bucket: str, key: str, generation: int | None, condition: Condition, change: Change) -> ObjectInfo:
        """Give it the headers and user metadata that ``change`` makes of it; its metageneration grows."""
        with self.database.write() as connection:
            lock_bucket(connection, bucket)
            row = _require(connection, bucket, key, generation)
            check_condition(condition, bucket, key, row)
            properties = change(to_object(row))
            this = (objects.c.bucket == bucket, objects.c.key == key, objects.c.version_id == row.version_id)
            connection.execute(
                update(objects)
                .where(*this)
                .values(
                    headers=plain(properties.headers),
                    user_metadata=plain(properties.user_metadata),
                    metageneration=row.metageneration + 1,
                    updated_at=self.clock.now(),
                )
            )
            return _told(connection, _require(connection, bucket, key, row.sequence))

    def move(
        self, source: ObjectInfo, key: str, staged: Staged, properties: Properties, condition: Condition
    ) -> ObjectInfo:
        """Make ``key`` of the staged bytes of ``source``, the live one, and delete it, in one step."""
        stamp = self.stamps.next()
        with self.transactions.write([blob for blob, _ in staged.blobs]) as change:
            versioning = lock_bucket(change.connection, source.bucket)
            current = _require(change.connection, source.bucket, source.key, None)
            check_condition(Condition(generation=source.sequence), source.bucket, source.key, current)
            made = write_version(change, source.bucket, key, staged, properties, condition, stamp)
            delete_version(change, source.bucket, versioning, source.key, None, stamp)
        return made

    def delete(self, bucket: str, key: str, generation: int | None, condition: Condition) -> None:
        """Delete the live one (in a versioned bucket it stays, no longer live), or the given one for good."""
        stamp = self.stamps.next()
        with self.transactions.write() as change:
            versioning = lock_bucket(change.connection, bucket)
            row = _require(change.connection, bucket, key, generation)
            check_condition(condition, bucket, key, row)
            if generation is None:
                delete_version(change, bucket, versioning, key, None, stamp)
                return
            others = {"bucket": bucket, "key": key, "version_id": row.version_id}
            if row.is_latest and change.connection.scalar(_OTHERS, others) is not None:
                # S3 would make the one before it the newest. Here nothing is live then, which a marker says.
                delete_version(change, bucket, versioning, key, None, stamp)
            if find_version(change.connection, bucket, key, row.version_id) is not None:
                delete_version(change, bucket, versioning, key, row.version_id, stamp)


def _require(connection: Connection, bucket: str, key: str, generation: int | None) -> Row[Any]:
    if generation is None:
        row = find_version(connection, bucket, key, None)
    else:
        row = connection.execute(_BY_SEQUENCE, {"bucket": bucket, "key": key, "sequence": generation}).one_or_none()
    if row is None or row.is_delete_marker:
        bucket_info(connection, bucket)
        raise no_such_object(bucket, key)
    return row


def _told(connection: Connection, row: Row[Any]) -> ObjectInfo:
    return _succeeded(connection, to_object(row))


def _succeeded(connection: Connection, info: ObjectInfo) -> ObjectInfo:
    """With the time at which it stopped being live."""
    if info.is_latest:
        return info
    values = {"bucket": info.bucket, "key": info.key, "sequence": info.sequence}
    moment: datetime | None = connection.scalar(_SUCCESSOR, values)
    return replace(info, superseded_at=moment)
