"""Writing and deleting versions of objects inside an open transaction, with S3's versioning rules.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/Versioning.html
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, case, delete, func, insert, select, update

from mlparity.clock import Clock
from mlparity.errors import PreconditionFailedError
from mlparity.ids import IdSource
from mlparity.state.schema.storage import objects
from mlparity.storage.base import Deleted, ObjectInfo
from mlparity.storage.bucketstore import Condition, Properties, Staged
from mlparity.storage.rows import NULL_VERSION, find_version, lock_bucket, no_such_object, plain
from mlparity.storage.transactions import Change

_VERSION_ID_LENGTH = 32
_FOLLOWING = select(func.coalesce(func.max(objects.c.sequence), 0) + 1).scalar_subquery()
_NEXT_SEQUENCE = case((bindparam("number") < _FOLLOWING, _FOLLOWING), else_=bindparam("number"))
_INSERT = insert(objects).values(sequence=_NEXT_SEQUENCE).returning(objects.c.sequence)
_THIS = (
    objects.c.bucket == bindparam("this_bucket"),
    objects.c.key == bindparam("this_key"),
    objects.c.version_id == bindparam("this_version"),
)
_RETIRE = update(objects).where(*_THIS).values(is_latest=False)
_PROMOTE = update(objects).where(*_THIS).values(is_latest=True)
_DELETE = delete(objects).where(*_THIS)
_NEWEST = (
    select(objects.c.version_id)
    .where(objects.c.bucket == bindparam("bucket"), objects.c.key == bindparam("key"))
    .order_by(objects.c.sequence.desc())
    .limit(1)
)


@dataclass(frozen=True)
class Stamp:
    """What a write needs from outside: when it happens, and where version ids come from."""

    now: datetime
    ids: IdSource
    number: int  # microseconds since 1970, or more: above that of every stamp before


class Stamps:
    """Makes stamps whose numbers grow, also where the clock stands still or goes back."""

    def __init__(self, clock: Clock, ids: IdSource) -> None:
        self._clock = clock
        self._ids = ids
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> Stamp:
        """The stamp of a write that happens now."""
        now = self._clock.now()
        with self._lock:
            self._last = max(int(now.timestamp() * 1_000_000), self._last + 1)
            return Stamp(now, self._ids, self._last)


def write_version(
    change: Change, bucket: str, key: str, staged: Staged, properties: Properties, condition: Condition, stamp: Stamp
) -> ObjectInfo:
    """Make ``staged`` the newest version of ``key``."""
    versioning = lock_bucket(change.connection, bucket)
    current = find_version(change.connection, bucket, key, None)
    check_condition(condition, bucket, key, current)
    info = ObjectInfo(
        bucket=bucket,
        key=key,
        version_id=_make_room(change, bucket, key, versioning, current, stamp),
        size=staged.size,
        etag=staged.etag,
        created_at=stamp.now,
        headers=plain(properties.headers),
        user_metadata=plain(properties.user_metadata),
        checksums=plain(properties.checksums),
        tags=plain(properties.tags),
        part_sizes=tuple(size for _, size in staged.blobs) if "-" in staged.etag else (),
        crc32c=staged.crc32c,
    )
    return replace(info, sequence=_insert(change.connection, info, staged, stamp.number))


def delete_version(
    change: Change, bucket: str, versioning: str, key: str, version_id: str | None, stamp: Stamp
) -> Deleted:
    """Delete as S3 does: the given version for good; else a marker, or the only version where unversioned."""
    if version_id is not None:
        return _delete_for_good(change, bucket, key, version_id)
    current = find_version(change.connection, bucket, key, None)
    if not versioning:
        if current is not None:
            _drop(change, current)
        return Deleted(key, None)
    marker = ObjectInfo(
        bucket=bucket,
        key=key,
        version_id=_make_room(change, bucket, key, versioning, current, stamp),
        size=0,
        etag="",
        created_at=stamp.now,
        is_delete_marker=True,
    )
    _insert(change.connection, marker, Staged((), 0, ""), stamp.number)
    return Deleted(key, marker.version_id, is_delete_marker=True)


def check_condition(condition: Condition, bucket: str, key: str, current: Row[Any] | None) -> None:
    """Raise unless ``condition`` holds for the newest version."""
    exists = current is not None and not current.is_delete_marker
    etag = current.etag if current is not None and exists else ""
    if condition.if_match:
        if not exists:
            raise no_such_object(bucket, key)
        if condition.if_match not in ("*", etag):
            raise PreconditionFailedError(f"{bucket}/{key} has changed", f"its entity tag is {etag}")
    if condition.if_none_match and exists and condition.if_none_match in ("*", etag):
        raise PreconditionFailedError(f"{bucket}/{key} exists already")
    _check_generations(condition, bucket, key, current if exists else None)


def _check_generations(condition: Condition, bucket: str, key: str, current: Row[Any] | None) -> None:
    """https://cloud.google.com/storage/docs/request-preconditions."""
    generation = current.sequence if current is not None else 0
    metageneration = current.metageneration if current is not None else None
    if (
        condition.generation not in (None, generation)
        or condition.generation_not == generation
        or condition.metageneration not in (None, metageneration)
        or (condition.metageneration_not is not None and condition.metageneration_not == metageneration)
    ):
        raise PreconditionFailedError(
            f"{bucket}/{key} is not in the state that was asked for",
            f"its generation is {generation}, its metageneration {metageneration or 0}",
        )


def _make_room(change: Change, bucket: str, key: str, versioning: str, current: Row[Any] | None, stamp: Stamp) -> str:
    """Retire what the new version replaces; returns the new version's id."""
    connection = change.connection
    if versioning == "Enabled":
        if current is not None:
            connection.execute(_RETIRE, _this(current))
        return stamp.ids.token(_VERSION_ID_LENGTH)
    if current is not None and current.version_id == NULL_VERSION:
        _drop(change, current)
    elif current is not None:
        connection.execute(_RETIRE, _this(current))
        older = find_version(connection, bucket, key, NULL_VERSION)
        if older is not None:
            _drop(change, older)
    return NULL_VERSION


def _delete_for_good(change: Change, bucket: str, key: str, version_id: str) -> Deleted:
    row = find_version(change.connection, bucket, key, version_id)
    if row is None:
        return Deleted(key, version_id)
    _drop(change, row)
    if row.is_latest:
        newest = change.connection.scalar(_NEWEST, {"bucket": bucket, "key": key})
        if newest is not None:
            change.connection.execute(_PROMOTE, {"this_bucket": bucket, "this_key": key, "this_version": newest})
    return Deleted(key, version_id, is_delete_marker=row.is_delete_marker)


def _drop(change: Change, row: Row[Any]) -> None:
    change.connection.execute(_DELETE, _this(row))
    change.doom(row.blobs)


def _this(row: Row[Any]) -> dict[str, str]:
    return {"this_bucket": row.bucket, "this_key": row.key, "this_version": row.version_id}


def _insert(connection: Connection, info: ObjectInfo, staged: Staged, number: int) -> int:
    """Write the row; returns its sequence: ``number``, or more where that is taken."""
    sequence = connection.scalar(
        _INSERT,
        {
            "number": number,
            "bucket": info.bucket,
            "key": info.key,
            "version_id": info.version_id,
            "is_latest": True,
            "is_delete_marker": info.is_delete_marker,
            "size": info.size,
            "etag": info.etag,
            "blobs": [list(blob) for blob in staged.blobs],
            "headers": info.headers,
            "user_metadata": info.user_metadata,
            "checksums": info.checksums,
            "tags": info.tags,
            "crc32c": info.crc32c,
            "metageneration": info.metageneration,
            "created_at": info.created_at,
            "updated_at": info.updated_at,
        },
    )
    return int(sequence or 0)
