"""Changing rows and files together: a blob is never lost to a row, and never outlives its last one for long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection, delete, insert, select

from mlparity.state import Database
from mlparity.state.schema.storage import doomed_blobs, objects, session_chunks, upload_parts
from mlparity.storage.blobs import BlobFiles

_RECOVERY_BATCH = 500


@dataclass
class Change:
    """An open transaction and the blobs that it leaves without a row."""

    connection: Connection
    doomed: list[str] = field(default_factory=list)

    def doom(self, blobs: Sequence[Sequence[object]]) -> None:
        """Mark the blobs of a row that goes: ``[[blob, size], ...]``."""
        self.doomed.extend(str(blob[0]) for blob in blobs)


class BlobTransactions:
    """Write transactions that own staged blobs."""

    def __init__(self, database: Database, files: BlobFiles) -> None:
        self._database = database
        self._files = files
        self._collected: list[str] = []  # files gone, rows in doomed_blobs not yet

    @contextmanager
    def write(self, staged: Sequence[str] = ()) -> Iterator[Change]:
        """A transaction that gives ``staged`` an owner. Where the block fails, they are discarded.

        Where the commit itself fails its outcome is unknown, so the bytes stay for ``recover`` to judge.
        """
        block_ended = False
        try:
            with self._database.write() as connection:
                change = Change(connection)
                yield change
                self._bury(change)
                block_ended = True
        except BaseException:
            if not block_ended:
                self._files.discard(staged)
            raise
        self._files.publish(staged)
        if change.doomed:
            self._collected.extend(self._files.remove(change.doomed))

    def recover(self) -> int:
        """Finish what a crash interrupted. Only for a store that nobody uses yet. Returns blobs removed."""
        staged = set(self._files.staged())
        with self._database.read() as connection:
            doomed = list(connection.scalars(select(doomed_blobs.c.blob)))
            named = _named(connection, staged) if staged else set()
        self._files.publish(named)
        self._files.discard(staged - named)
        self._files.remove(doomed)
        if doomed:
            with self._database.write() as connection:
                _forget(connection, doomed)
        return len(staged - named) + len(doomed)

    def _bury(self, change: Change) -> None:
        if not change.doomed:
            return
        change.connection.execute(insert(doomed_blobs), [{"blob": blob} for blob in change.doomed])
        collected, self._collected = self._collected, []
        _forget(change.connection, collected)


def _forget(connection: Connection, blobs: Sequence[str]) -> None:
    for start in range(0, len(blobs), _RECOVERY_BATCH):
        batch = blobs[start : start + _RECOVERY_BATCH]
        connection.execute(delete(doomed_blobs).where(doomed_blobs.c.blob.in_(batch)))


def _named(connection: Connection, staged: set[str]) -> set[str]:
    """Which of ``staged`` a row names. Walks all rows, which is fine: it happens only after a crash."""
    named: set[str] = set()
    for row in connection.execution_options(yield_per=_RECOVERY_BATCH).execute(select(objects.c.blobs)):
        named.update(blob for blob, _ in row.blobs if blob in staged)
    for table in (upload_parts, session_chunks):
        for row in connection.execute(select(table.c.blob)):
            if row.blob in staged:
                named.add(row.blob)
    return named
