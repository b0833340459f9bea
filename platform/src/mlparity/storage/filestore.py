"""The embedded bucket store: bytes are files, everything else is in the state database."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Row, update

from mlparity.clock import Clock
from mlparity.errors import BucketExistsError, StorageError
from mlparity.ids import IdSource
from mlparity.state import Database
from mlparity.state.schema.storage import objects
from mlparity.storage import crc32c
from mlparity.storage.base import Deleted, Listing, ObjectInfo
from mlparity.storage.blobs import BlobFiles, FileBlobWriter
from mlparity.storage.buckets import BucketTable
from mlparity.storage.bucketstore import Condition, OpenObject, Properties, Staged, VersionPage
from mlparity.storage.generations import Generations
from mlparity.storage.listing import list_keys, list_versions
from mlparity.storage.rehash import content_md5
from mlparity.storage.rows import (
    bucket_info,
    find_version,
    lock_bucket,
    no_such_object,
    plain,
    require_version,
    to_object,
)
from mlparity.storage.sessions import UploadSessions
from mlparity.storage.transactions import BlobTransactions
from mlparity.storage.uploads import MultipartUploads
from mlparity.storage.versions import Stamps, check_condition, delete_version, write_version

_COPY_CHUNK = 1024 * 1024  # bytes
_OPEN_ATTEMPTS = 20
_UNCONDITIONAL = Condition()


class FileObjectStore:
    """Implements ``BucketStore``. Safe for many threads; one process at a time owns ``root``.

    Call ``recover`` once before use: it finishes what a crash interrupted.
    """

    def __init__(self, database: Database, root: Path, clock: Clock, ids: IdSource, region: str) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._files = BlobFiles(root, ids)
        self._transactions = BlobTransactions(database, self._files)
        self._stamps = Stamps(clock, ids)
        self.region = region
        self.buckets = BucketTable(database, self._transactions, clock, region)
        self.uploads = MultipartUploads(database, self._transactions, clock, ids, self._stamps)
        self.sessions = UploadSessions(database, self._transactions, self._files, clock, ids, self._stamps)
        self.generations = Generations(database, self._transactions, clock, self._stamps, self)

    def recover(self) -> int:
        """Remove what a crash left and no row names; returns how many blobs that were."""
        return self._transactions.recover()

    def create_bucket(self, name: str) -> None:
        """Make a bucket. Raises ``BucketExistsError`` or ``InvalidBucketNameError``."""
        self.buckets.create(name)

    def ensure_bucket(self, name: str) -> None:
        """Make the bucket unless it exists."""
        try:
            self.buckets.create(name)
        except BucketExistsError:
            return

    def put_bytes(self, bucket: str, key: str, data: bytes, *, content_type: str = "") -> ObjectInfo:
        """Store ``data`` as the newest version of ``key``."""
        return self._put(bucket, key, (data,), content_type)

    def put_file(self, bucket: str, key: str, path: Path, *, content_type: str = "") -> ObjectInfo:
        """Store the file's bytes, streamed; the file stays where it is."""
        with path.open("rb") as source:
            return self._put(bucket, key, iter(lambda: source.read(_COPY_CHUNK), b""), content_type)

    def head(self, bucket: str, key: str, version_id: str | None = None) -> ObjectInfo:
        """The newest (or the given) version. Raises ``NoSuchBucketError`` or ``NoSuchObjectError``."""
        info = self.lookup(bucket, key, version_id)
        if info.is_delete_marker:
            raise no_such_object(bucket, key)
        return info

    def lookup(self, bucket: str, key: str, version_id: str | None = None) -> ObjectInfo:
        """As ``head``, but delete markers are returned too."""
        with self._database.read() as connection:
            return to_object(require_version(connection, bucket, key, version_id))

    def open(self, bucket: str, key: str, version_id: str | None = None) -> BinaryIO:
        """A seekable stream over the object's bytes, stable while open even if the key is overwritten."""
        opened = self.open_version(bucket, key, version_id)
        if opened.info.is_delete_marker:
            opened.stream.close()
            raise no_such_object(bucket, key)
        return opened.stream

    def open_version(self, bucket: str, key: str, version_id: str | None = None) -> OpenObject:
        """The version and its bytes, taken together. Delete markers come with an empty stream."""
        row, stream = self._pinned(bucket, key, version_id)
        return OpenObject(to_object(row), stream)

    def get_bytes(self, bucket: str, key: str) -> bytes:
        """The whole object. For small ones."""
        with self.open(bucket, key) as stream:
            return stream.read()

    def download(self, bucket: str, key: str, path: Path) -> None:
        """Write the object's bytes to ``path``; parents are made, an existing file is replaced."""
        with self.open(bucket, key) as source:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{self._ids.token(16)}.part")
            try:
                with partial.open("xb") as target:
                    while chunk := source.read(_COPY_CHUNK):
                        target.write(chunk)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)

    def list(
        self, bucket: str, prefix: str = "", *, delimiter: str = "", start_after: str = "", limit: int = 1000
    ) -> Listing:
        """One page of the newest versions in key order; keys sharing ``delimiter`` fold into prefixes."""
        with self._database.read() as connection:
            bucket_info(connection, bucket)
            return list_keys(connection, bucket, prefix, delimiter, start_after, limit)

    def iterate(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """All newest versions below ``prefix`` in key order, page by page."""
        start: str | None = ""
        while start is not None:
            page = self.list(bucket, prefix, start_after=start)
            yield from page.objects
            start = page.next_key

    def list_versions(
        self, bucket: str, *, prefix: str, delimiter: str, key_marker: str, version_id_marker: str, limit: int
    ) -> VersionPage:
        """One page of all versions and delete markers."""
        with self._database.read() as connection:
            bucket_info(connection, bucket)
            return list_versions(connection, bucket, prefix, delimiter, (key_marker, version_id_marker), limit)

    def delete(self, bucket: str, key: str, version_id: str | None = None) -> Deleted:
        """Delete as S3 does: a marker in a versioned bucket; no error where the key does not exist."""
        return self.delete_many(bucket, [(key, version_id)], _UNCONDITIONAL)[0]

    def delete_many(
        self, bucket: str, keys: Sequence[tuple[str, str | None]], condition: Condition
    ) -> Sequence[Deleted]:
        """Delete ``(key, version id)`` pairs in one transaction; the condition holds for each of them."""
        stamp = self._stamps.next()
        with self._transactions.write() as change:
            versioning = lock_bucket(change.connection, bucket)
            deleted = []
            for key, version_id in keys:
                if condition != _UNCONDITIONAL:
                    check_condition(condition, bucket, key, find_version(change.connection, bucket, key, version_id))
                deleted.append(delete_version(change, bucket, versioning, key, version_id, stamp))
        return deleted

    def stage(self) -> FileBlobWriter:
        """Begin writing bytes that ``put_staged`` or ``uploads.put_part`` will give to an object."""
        return self._files.writer()

    def stage_copy(
        self,
        bucket: str,
        key: str,
        version_id: str | None = None,
        *,
        observe: Callable[[bytes], None] | None = None,
    ) -> Staged:
        """Stage the bytes of an existing version; ``observe`` sees them all, in order, where given.

        The files are linked, not copied. The bytes are read only where somebody must see them: the copy of
        a multipart object has the MD5 of its content as its etag.
        """
        row, stream = self._pinned(bucket, key, version_id)
        with stream:
            etag = content_md5(stream, observe) if observe or "-" in row.etag else row.etag
            return Staged(self._files.link(row.blobs), row.size, etag, row.crc32c)

    def stage_concatenation(self, bucket: str, parts: Sequence[tuple[str, str]]) -> Staged:
        """Stage the bytes of ``(key, version id)`` of a bucket one after another. The files are linked, not copied.

        The etag is made as that of a multipart object is: an MD5 over the parts' own, and the count of files.
        """
        blobs: list[tuple[str, int]] = []
        digest = hashlib.md5(usedforsecurity=False)
        whole: int | None = 0
        try:
            for key, version_id in parts:
                row, stream = self._pinned(bucket, key, version_id)
                with stream:
                    blobs += self._files.link(row.blobs)
                digest.update(bytes.fromhex(row.etag.partition("-")[0]))
                whole = crc32c.combine(whole, row.crc32c, row.size)
        except BaseException:
            self._files.discard(blob for blob, _ in blobs)
            raise
        return Staged(tuple(blobs), sum(size for _, size in blobs), f"{digest.hexdigest()}-{len(blobs)}", whole)

    def unstage(self, staged: Staged) -> None:
        """Drop staged bytes that no object took."""
        self._files.discard(blob for blob, _ in staged.blobs)

    def put_staged(
        self, bucket: str, key: str, staged: Staged, properties: Properties, condition: Condition
    ) -> ObjectInfo:
        """Make ``staged`` the newest version. On any error the staged bytes are dropped."""
        stamp = self._stamps.next()
        with self._transactions.write([blob for blob, _ in staged.blobs]) as change:
            return write_version(change, bucket, key, staged, properties, condition, stamp)

    def set_tags(self, bucket: str, key: str, version_id: str | None, tags: Mapping[str, str]) -> ObjectInfo:
        """Replace the tags of a version."""
        with self._database.write() as connection:
            lock_bucket(connection, bucket)
            row = require_version(connection, bucket, key, version_id)
            if row.is_delete_marker:
                raise no_such_object(bucket, key)
            this = (objects.c.bucket == bucket, objects.c.key == key, objects.c.version_id == row.version_id)
            connection.execute(update(objects).where(*this).values(tags=plain(tags)))
            return to_object(row)

    def _put(self, bucket: str, key: str, chunks: Any, content_type: str) -> ObjectInfo:
        writer = self.stage()
        try:
            for chunk in chunks:
                writer.write(chunk)
            staged = writer.finish()
        except BaseException:
            writer.discard()
            raise
        headers = {"content-type": content_type} if content_type else {}
        return self.put_staged(bucket, key, staged, Properties(headers=headers), _UNCONDITIONAL)

    def _pinned(self, bucket: str, key: str, version_id: str | None) -> tuple[Row[Any], BinaryIO]:
        """The row and a stream that keeps its blobs. Another writer may remove them in between: look again."""
        for _ in range(_OPEN_ATTEMPTS):
            with self._database.read() as connection:
                row = require_version(connection, bucket, key, version_id)
            stream = self._files.open([(blob, size) for blob, size in row.blobs])
            if stream is not None:
                return row, stream
        raise StorageError(
            f"the bytes of {bucket}/{key} are missing",
            "a file of the data folder was removed behind the store's back",
            "restore the data folder, or upload the object again",
        )
