"""Upload sessions: the bytes of one object come in order, piece by piece, at an address of their own.

Every piece that is acknowledged is on disk and in the database, so a session goes on where it was after a crash.
An ended session is remembered for a week, so that a client which missed the answer can ask again.

https://cloud.google.com/storage/docs/resumable-uploads
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, BinaryIO

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select, update

from mlparity.clock import Clock
from mlparity.errors import ConflictError, NoSuchUploadError
from mlparity.ids import IdSource
from mlparity.state import Database
from mlparity.state.schema.storage import session_chunks, upload_sessions
from mlparity.storage.base import ObjectInfo
from mlparity.storage.blobs import BlobFiles
from mlparity.storage.bucketstore import Condition, Properties, Staged
from mlparity.storage.rehash import content_md5
from mlparity.storage.rows import bucket_info, lock_bucket
from mlparity.storage.transactions import BlobTransactions, Change
from mlparity.storage.versions import Stamps, write_version

LIFE = timedelta(days=7)
_SESSION_ID_LENGTH = 48
_HASHES_KEPT = 256


@dataclass(frozen=True)
class Session:
    """An upload and how far it has come."""

    session_id: str
    bucket: str
    key: str
    request: Mapping[str, Any]  # what the protocol stored when it began
    size: int  # bytes that have come
    crc32c: int | None  # of these bytes
    generation: int | None  # of the object that it became; None while under way
    created_at: datetime


@dataclass(frozen=True)
class Last:
    """The last bytes of an upload (there may be none), and the hashes of all of them."""

    staged: Staged
    md5: str  # hex
    crc32c: int | None


class RunningHashes:
    """The MD5 so far of sessions under way. What is not here any more is computed from the pieces at the end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[int, Any]] = OrderedDict()

    def at(self, session_id: str, size: int) -> Any:
        """A copy of the MD5 of the first ``size`` bytes; None where it is not known."""
        if size == 0:
            return hashlib.md5(usedforsecurity=False)
        with self._lock:
            known = self._known.get(session_id)
            return known[1].copy() if known is not None and known[0] == size else None

    def keep(self, session_id: str, size: int, digest: Any) -> None:
        """Remember it."""
        with self._lock:
            self._known[session_id] = (size, digest)
            self._known.move_to_end(session_id)
            while len(self._known) > _HASHES_KEPT:
                self._known.popitem(last=False)

    def forget(self, session_id: str) -> None:
        """The session has ended."""
        with self._lock:
            self._known.pop(session_id, None)


class UploadSessions:
    """The upload sessions of a store."""

    def __init__(
        self,
        database: Database,
        transactions: BlobTransactions,
        files: BlobFiles,
        clock: Clock,
        ids: IdSource,
        stamps: Stamps,
    ) -> None:
        self._database = database
        self._transactions = transactions
        self._files = files
        self._clock = clock
        self._ids = ids
        self._stamps = stamps
        self.hashes = RunningHashes()

    def create(self, bucket: str, key: str, request: Mapping[str, Any]) -> Session:
        """Begin one; ``request`` is kept as it is. Sessions older than a week go."""
        now = self._clock.now()
        session_id = self._ids.token(_SESSION_ID_LENGTH)
        with self._transactions.write() as change:
            lock_bucket(change.connection, bucket)
            drop_sessions(change, upload_sessions.c.created_at < now - LIFE)
            change.connection.execute(
                insert(upload_sessions).values(
                    session_id=session_id,
                    bucket=bucket,
                    key=key,
                    request=dict(request),
                    size=0,
                    crc32c=0,
                    created_at=now,
                )
            )
        return Session(session_id, bucket, key, request, 0, 0, None, now)

    def get(self, session_id: str) -> Session:
        """Look it up. Raises ``NoSuchUploadError``."""
        with self._database.read() as connection:
            return _require(connection, session_id)

    def append(self, session: Session, staged: Staged, crc32c: int | None) -> Session:
        """Add ``staged`` (one blob) at the end; ``crc32c`` is that of all bytes then.

        Raises ``ConflictError`` where another request added bytes meanwhile.
        """
        with self._transactions.write([blob for blob, _ in staged.blobs]) as change:
            connection = change.connection
            lock_bucket(connection, session.bucket)
            _unmoved(connection, session)
            if staged.size:
                ((blob, size),) = staged.blobs
                connection.execute(
                    insert(session_chunks).values(
                        session_id=session.session_id, offset=session.size, blob=blob, size=size
                    )
                )
            else:
                change.doom(staged.blobs)
            connection.execute(
                update(upload_sessions)
                .where(upload_sessions.c.session_id == session.session_id)
                .values(size=session.size + staged.size, crc32c=crc32c)
            )
            return _require(connection, session.session_id)

    def complete(self, session: Session, last: Last, properties: Properties, condition: Condition) -> ObjectInfo:
        """Make the object of what has come and of the ``last`` bytes, in one step; no byte is copied."""
        chunks = self._chunks(session)
        taken = last.staged.blobs if last.staged.size or not chunks else ()
        blobs = (*((row.blob, row.size) for row in chunks), *taken)
        staged = Staged(blobs, session.size + last.staged.size, last.md5, last.crc32c)
        stamp = self._stamps.next()
        if not taken:
            self._files.discard(blob for blob, _ in last.staged.blobs)
        with self._transactions.write([blob for blob, _ in taken]) as change:
            connection = change.connection
            lock_bucket(connection, session.bucket)
            _unmoved(connection, session)
            info = write_version(change, session.bucket, session.key, staged, properties, condition, stamp)
            connection.execute(delete(session_chunks).where(session_chunks.c.session_id == session.session_id))
            connection.execute(
                update(upload_sessions)
                .where(upload_sessions.c.session_id == session.session_id)
                .values(version_id=info.version_id, sequence=info.sequence, size=staged.size, crc32c=last.crc32c)
            )
        self.hashes.forget(session.session_id)
        return info

    def md5(self, session: Session, last: Staged) -> str:
        """The MD5 in hex of what has come and of ``last``, read from the files."""
        blobs = [*((row.blob, row.size) for row in self._chunks(session)), *last.blobs]
        stream: BinaryIO | None = self._files.open(blobs)
        if stream is None:
            raise _gone(session.session_id)
        with stream:
            return content_md5(stream)

    def cancel(self, session: Session) -> None:
        """Drop it and its bytes. An object that it became stays."""
        with self._transactions.write() as change:
            lock_bucket(change.connection, session.bucket)
            drop_sessions(change, upload_sessions.c.session_id == session.session_id)
        self.hashes.forget(session.session_id)

    def _chunks(self, session: Session) -> Sequence[Row[Any]]:
        query = (
            select(session_chunks)
            .where(session_chunks.c.session_id == session.session_id, session_chunks.c.offset < session.size)
            .order_by(session_chunks.c.offset)
        )
        with self._database.read() as connection:
            return connection.execute(query).all()


def drop_sessions(change: Change, which: ColumnElement[bool]) -> None:
    """Forget sessions and the bytes that only they have."""
    of_them = session_chunks.c.session_id.in_(select(upload_sessions.c.session_id).where(which))
    change.doom(change.connection.execute(select(session_chunks.c.blob).where(of_them)).all())
    change.connection.execute(delete(session_chunks).where(of_them))
    change.connection.execute(delete(upload_sessions).where(which))


def _require(connection: Connection, session_id: str) -> Session:
    row = connection.execute(select(upload_sessions).where(upload_sessions.c.session_id == session_id)).one_or_none()
    if row is None:
        raise _gone(session_id)
    bucket_info(connection, row.bucket)
    return Session(row.session_id, row.bucket, row.key, row.request, row.size, row.crc32c, row.sequence, row.created_at)


def _unmoved(connection: Connection, session: Session) -> None:
    now = _require(connection, session.session_id)
    if (now.size, now.generation) != (session.size, session.generation):
        raise ConflictError(
            f"upload {session.session_id} has moved on",
            f"it has {now.size} bytes",
            "ask how far it is, and go on there",
        )


def _gone(session_id: str) -> NoSuchUploadError:
    return NoSuchUploadError(f"no upload session {session_id}", "it was cancelled, or is older than a week")
