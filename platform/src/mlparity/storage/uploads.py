"""Multipart uploads: parts are blobs, and completion only writes down their order.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from mlparity.clock import Clock
from mlparity.errors import InvalidPartError, InvalidPartOrderError, PartTooSmallError
from mlparity.ids import IdSource
from mlparity.state import Database
from mlparity.state.schema.storage import upload_parts, uploads
from mlparity.storage import crc32c
from mlparity.storage.base import ObjectInfo
from mlparity.storage.bucketstore import Condition, PartInfo, Properties, Staged, UploadInfo, UploadPage
from mlparity.storage.listing import list_uploads
from mlparity.storage.rows import bucket_info, lock_bucket, part_rows, plain, require_upload, to_part
from mlparity.storage.transactions import BlobTransactions, Change
from mlparity.storage.versions import Stamps, write_version

MIN_PART_SIZE = 5 * 1024 * 1024  # bytes; the last part may be smaller
_UPLOAD_ID_LENGTH = 48


class MultipartUploads:
    """The multipart uploads of a store."""

    def __init__(
        self, database: Database, transactions: BlobTransactions, clock: Clock, ids: IdSource, stamps: Stamps
    ) -> None:
        self._database = database
        self._transactions = transactions
        self._clock = clock
        self._ids = ids
        self._stamps = stamps

    def create(self, bucket: str, key: str, properties: Properties, checksum: Mapping[str, str]) -> UploadInfo:
        """Begin an upload."""
        upload_id = self._ids.token(_UPLOAD_ID_LENGTH)
        info = UploadInfo(upload_id, bucket, key, self._clock.now(), properties, checksum)
        with self._database.write() as connection:
            lock_bucket(connection, bucket)
            connection.execute(
                insert(uploads).values(
                    upload_id=upload_id,
                    bucket=bucket,
                    key=key,
                    headers=plain(properties.headers),
                    user_metadata=plain(properties.user_metadata),
                    tags=plain(properties.tags),
                    checksum=plain(checksum),
                    created_at=info.created_at,
                )
            )
        return info

    def get(self, bucket: str, key: str, upload_id: str) -> UploadInfo:
        """Look it up. Raises ``NoSuchUploadError``."""
        with self._database.read() as connection:
            return require_upload(connection, bucket, key, upload_id)

    def put_part(self, upload: UploadInfo, number: int, staged: Staged, checksums: Mapping[str, str]) -> PartInfo:
        """Give ``staged`` (one blob) to the upload as part ``number``, replacing an earlier one."""
        ((blob, size),) = staged.blobs
        part = PartInfo(number, size, staged.etag, plain(checksums), self._clock.now())
        with self._transactions.write((blob,)) as change:
            connection = change.connection
            lock_bucket(connection, upload.bucket)
            require_upload(connection, upload.bucket, upload.key, upload.upload_id)
            this = (upload_parts.c.upload_id == upload.upload_id, upload_parts.c.number == number)
            change.doom(connection.execute(select(upload_parts.c.blob).where(*this)).all())
            connection.execute(delete(upload_parts).where(*this))
            connection.execute(
                insert(upload_parts).values(
                    upload_id=upload.upload_id,
                    number=number,
                    blob=blob,
                    size=size,
                    etag=part.etag,
                    checksums=part.checksums,
                    crc32c=staged.crc32c,
                    created_at=part.created_at,
                )
            )
        return part

    def parts(self, upload: UploadInfo) -> Sequence[PartInfo]:
        """All parts so far in order of number."""
        with self._database.read() as connection:
            return [to_part(row) for row in part_rows(connection, upload.upload_id)]

    def complete(
        self,
        upload: UploadInfo,
        parts: Sequence[tuple[int, str]],
        checksums: Mapping[str, str],
        condition: Condition,
    ) -> ObjectInfo:
        """Make the object of the named ``(number, etag)`` parts; nothing is copied."""
        with self._transactions.write() as change:
            connection = change.connection
            lock_bucket(connection, upload.bucket)
            require_upload(connection, upload.bucket, upload.key, upload.upload_id)
            rows = part_rows(connection, upload.upload_id)
            staged = _assemble(rows, parts)
            properties = Properties(
                upload.properties.headers, upload.properties.user_metadata, checksums, upload.properties.tags
            )
            stamp = self._stamps.next()
            info = write_version(change, upload.bucket, upload.key, staged, properties, condition, stamp)
            kept = {blob for blob, _ in staged.blobs}
            change.doom([(row.blob,) for row in rows if row.blob not in kept])
            _forget_upload(connection, upload.upload_id)
        return info

    def abort(self, upload: UploadInfo) -> None:
        """Drop the upload and its parts."""
        with self._transactions.write() as change:
            lock_bucket(change.connection, upload.bucket)
            require_upload(change.connection, upload.bucket, upload.key, upload.upload_id)
            _drop_parts(change, upload.upload_id)

    def list(
        self, bucket: str, *, prefix: str, delimiter: str, key_marker: str, upload_id_marker: str, limit: int
    ) -> UploadPage:
        """One page of the uploads under way."""
        with self._database.read() as connection:
            bucket_info(connection, bucket)
            return list_uploads(connection, bucket, prefix, delimiter, (key_marker, upload_id_marker), limit)


def _drop_parts(change: Change, upload_id: str) -> None:
    change.doom([(row.blob,) for row in part_rows(change.connection, upload_id)])
    _forget_upload(change.connection, upload_id)


def _forget_upload(connection: Connection, upload_id: str) -> None:
    connection.execute(delete(upload_parts).where(upload_parts.c.upload_id == upload_id))
    connection.execute(delete(uploads).where(uploads.c.upload_id == upload_id))


def _assemble(rows: Sequence[Row[Any]], parts: Sequence[tuple[int, str]]) -> Staged:
    """The named parts as one object; its etag is the MD5 of the parts' MD5s and their count."""
    if not parts:
        raise InvalidPartError("no parts are named", "", "name at least one uploaded part")
    by_number = {row.number: row for row in rows}
    numbers = [number for number, _ in parts]
    if any(after <= before for before, after in itertools.pairwise(numbers)):
        raise InvalidPartOrderError("the parts are not in ascending order")
    chosen = []
    for number, etag in parts:
        row = by_number.get(number)
        if row is None or row.etag != etag:
            raise InvalidPartError(f"part {number} with entity tag {etag} was not uploaded")
        chosen.append(row)
    for row in chosen[:-1]:
        if row.size < MIN_PART_SIZE:
            raise PartTooSmallError(
                f"part {row.number} has {row.size} bytes", f"every part but the last needs {MIN_PART_SIZE}"
            )
    digest = hashlib.md5(b"".join(bytes.fromhex(row.etag) for row in chosen), usedforsecurity=False).hexdigest()
    blobs = tuple((row.blob, row.size) for row in chosen)
    whole: int | None = 0
    for row in chosen:
        whole = crc32c.combine(whole, row.crc32c, row.size)
    return Staged(blobs, sum(row.size for row in chosen), f"{digest}-{len(chosen)}", whole)
