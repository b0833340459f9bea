"""Rows of the bucket store as values, and the look-ups that every operation begins with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from mlparity.errors import NoSuchBucketError, NoSuchObjectError, NoSuchUploadError
from mlparity.state.schema.storage import buckets, objects, upload_parts, uploads
from mlparity.storage.base import ObjectInfo
from mlparity.storage.bucketstore import BucketInfo, PartInfo, Properties, UploadInfo

NULL_VERSION = "null"

_BUCKET = select(buckets).where(buckets.c.name == bindparam("bucket"))
_LOCKED_BUCKET = (
    select(buckets.c.name, buckets.c.versioning).where(buckets.c.name == bindparam("bucket")).with_for_update()
)
_LATEST = select(objects).where(
    objects.c.bucket == bindparam("bucket"), objects.c.is_latest, objects.c.key == bindparam("key")
)
_VERSION = select(objects).where(
    objects.c.bucket == bindparam("bucket"),
    objects.c.key == bindparam("key"),
    objects.c.version_id == bindparam("version_id"),
)
_UPLOAD = select(uploads).where(
    uploads.c.upload_id == bindparam("upload_id"),
    uploads.c.bucket == bindparam("bucket"),
    uploads.c.key == bindparam("key"),
)


def bucket_info(connection: Connection, name: str) -> BucketInfo:
    """The bucket. Raises ``NoSuchBucketError``."""
    row = connection.execute(_BUCKET, {"bucket": name}).one_or_none()
    if row is None:
        raise no_such_bucket(name)
    return to_bucket(row)


def lock_bucket(connection: Connection, name: str) -> str:
    """The bucket's versioning state, holding off other writers of the bucket (SQLite has one writer anyway)."""
    row = connection.execute(_LOCKED_BUCKET, {"bucket": name}).one_or_none()
    if row is None:
        raise no_such_bucket(name)
    return str(row.versioning)


def find_version(connection: Connection, bucket: str, key: str, version_id: str | None) -> Row[Any] | None:
    """The row of the newest (or the given) version, delete markers included."""
    if version_id is None:
        return connection.execute(_LATEST, {"bucket": bucket, "key": key}).one_or_none()
    return connection.execute(_VERSION, {"bucket": bucket, "key": key, "version_id": version_id}).one_or_none()


def require_version(connection: Connection, bucket: str, key: str, version_id: str | None) -> Row[Any]:
    """As ``find_version``. Raises ``NoSuchObjectError``, or ``NoSuchBucketError`` where that is the reason."""
    row = find_version(connection, bucket, key, version_id)
    if row is None:
        bucket_info(connection, bucket)
        raise no_such_object(bucket, key)
    return row


def require_upload(connection: Connection, bucket: str, key: str, upload_id: str) -> UploadInfo:
    """The upload. Raises ``NoSuchUploadError``, or ``NoSuchBucketError`` where that is the reason."""
    row = connection.execute(_UPLOAD, {"bucket": bucket, "key": key, "upload_id": upload_id}).one_or_none()
    if row is None:
        bucket_info(connection, bucket)
        raise NoSuchUploadError(
            f"no upload {upload_id} of {bucket}/{key}", "it was completed or aborted, or never begun"
        )
    return to_upload(row)


def part_rows(connection: Connection, upload_id: str) -> Sequence[Row[Any]]:
    """The parts of an upload in order."""
    query = select(upload_parts).where(upload_parts.c.upload_id == upload_id).order_by(upload_parts.c.number)
    return connection.execute(query).all()


def to_bucket(row: Row[Any]) -> BucketInfo:
    """A bucket row as a value."""
    return BucketInfo(row.name, row.created_at, row.region, row.versioning, row.settings)


def to_object(row: Row[Any]) -> ObjectInfo:
    """A whole object row as a value."""
    return ObjectInfo(
        bucket=row.bucket,
        key=row.key,
        version_id=row.version_id,
        size=row.size,
        etag=row.etag,
        created_at=row.created_at,
        is_latest=row.is_latest,
        is_delete_marker=row.is_delete_marker,
        headers=row.headers,
        user_metadata=row.user_metadata,
        checksums=row.checksums,
        tags=row.tags,
        part_sizes=tuple(size for _, size in row.blobs) if "-" in row.etag else (),
        sequence=row.sequence,
        crc32c=row.crc32c,
        metageneration=row.metageneration,
        updated_at=row.updated_at,
    )


def to_upload(row: Row[Any]) -> UploadInfo:
    """An upload row as a value."""
    properties = Properties(headers=row.headers, user_metadata=row.user_metadata, tags=row.tags)
    return UploadInfo(row.upload_id, row.bucket, row.key, row.created_at, properties, row.checksum)


def to_part(row: Row[Any]) -> PartInfo:
    """A part row as a value."""
    return PartInfo(row.number, row.size, row.etag, row.checksums, row.created_at)


def plain(mapping: Mapping[str, str]) -> dict[str, str]:
    """A dict that the JSON columns take."""
    return dict(mapping)


def no_such_bucket(name: str) -> NoSuchBucketError:
    """The error for a bucket that is not there."""
    return NoSuchBucketError(f"bucket {name!r} does not exist", "", "create it first")


def no_such_object(bucket: str, key: str) -> NoSuchObjectError:
    """The error for a key, or a version of it, that is not there."""
    return NoSuchObjectError(f"{bucket}/{key} does not exist")
