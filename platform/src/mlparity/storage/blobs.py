"""Blobs: immutable files with random names. No user-supplied text ever becomes part of a path.

A blob is written under ``incoming/`` and moved to ``blobs/<two characters>/`` once the transaction that names
it is committed. So after a crash only ``incoming/`` has to be looked at, however large the store is. A blob
that somebody reads is removed when the last reader closes it.

Blobs survive the death of the process at any moment. Like the state database (``synchronous=NORMAL``) they
are not forced to the platter one by one, so the last writes before a power cut may be lost.
"""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from mlparity.ids import IdSource
from mlparity.storage import crc32c
from mlparity.storage.blobstream import BlobStream
from mlparity.storage.bucketstore import Staged

_ID_LENGTH = 26
_BUFFER = 128 * 1024  # bytes


class BlobFiles:
    """The folder of blobs. Safe for many threads; one process at a time owns a folder."""

    def __init__(self, root: Path, ids: IdSource) -> None:
        self._incoming = str(root / "incoming")
        self._blobs = str(root / "blobs")
        self._ids = ids
        self._lock = threading.Lock()
        self._pins: Counter[str] = Counter()
        self._doomed: set[str] = set()  # to be removed when the last reader closes
        self._removed: list[str] = []  # removed by a reader's close, not yet reported
        self._folders: set[str] = set()
        for folder in (self._incoming, self._blobs):
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - plain strings: this is the hot path

    def writer(self) -> FileBlobWriter:
        """Begin a new blob."""
        blob = self._ids.token(_ID_LENGTH)
        return FileBlobWriter(self, blob, f"{self._incoming}/{blob}")

    def link(self, blobs: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
        """Stage the same bytes again under new names, without copying where the file system can link."""
        staged: list[tuple[str, int]] = []
        try:
            for blob, size in blobs:
                name = self._ids.token(_ID_LENGTH)
                _link_or_copy(self.path(blob), f"{self._incoming}/{name}")
                staged.append((name, size))
        except BaseException:
            self.discard(name for name, _ in staged)
            raise
        return staged

    def publish(self, blobs: Iterable[str]) -> None:
        """Move staged blobs to their place, after the commit. Readers find them before and after."""
        for blob in blobs:
            target = self._place(blob)
            with self._lock:
                try:
                    os.rename(f"{self._incoming}/{blob}", target)  # noqa: PTH104
                except FileNotFoundError:
                    continue  # overwritten and removed by another writer meanwhile

    def discard(self, blobs: Iterable[str]) -> None:
        """Drop staged blobs that no row names."""
        for blob in blobs:
            _unlink(f"{self._incoming}/{blob}")

    def remove(self, blobs: Iterable[str]) -> list[str]:
        """Remove blobs that no row names any more; pinned ones later. Returns those gone since the last call."""
        with self._lock:
            for blob in blobs:
                if self._pins[blob] > 0:
                    self._doomed.add(blob)
                else:
                    del self._pins[blob]
                    self._unlink(blob)
                    self._removed.append(blob)
            removed, self._removed = self._removed, []
        return removed

    def open(self, blobs: Sequence[tuple[str, int]]) -> BinaryIO | None:
        """A seekable stream over the blobs, one after another; None where they are gone already."""
        names = [name for name, _ in blobs]
        with self._lock:
            if names and not os.path.exists(self.path(names[0])):  # noqa: PTH110
                return None
            self._pins.update(names)
        stream = BlobStream(blobs, self.path, lambda: self._unpin(names))
        return cast("BinaryIO", io.BufferedReader(stream, _BUFFER))

    def staged(self) -> list[str]:
        """The blobs under ``incoming/``."""
        return os.listdir(self._incoming)  # noqa: PTH208

    def path(self, blob: str) -> str:
        """Where the blob is now."""
        final = f"{self._blobs}/{blob[:2]}/{blob}"
        if os.path.exists(final):  # noqa: PTH110
            return final
        incoming = f"{self._incoming}/{blob}"
        return incoming if os.path.exists(incoming) else final  # noqa: PTH110

    def _place(self, blob: str) -> str:
        folder = f"{self._blobs}/{blob[:2]}"
        if folder not in self._folders:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103
            self._folders.add(folder)
        return f"{folder}/{blob}"

    def _unpin(self, names: Sequence[str]) -> None:
        with self._lock:
            for blob in names:
                self._pins[blob] -= 1
                if self._pins[blob] > 0:
                    continue
                del self._pins[blob]
                if blob in self._doomed:
                    self._doomed.discard(blob)
                    self._unlink(blob)
                    self._removed.append(blob)

    def _unlink(self, blob: str) -> None:
        _unlink(f"{self._blobs}/{blob[:2]}/{blob}")
        _unlink(f"{self._incoming}/{blob}")


class FileBlobWriter:
    """Writes one blob, and computes its MD5 and CRC-32C. One thread at a time."""

    def __init__(self, files: BlobFiles, blob: str, path: str) -> None:
        self._files = files
        self._blob = blob
        self._size = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._crc32c: int | None = 0
        self._file = open(path, "xb", buffering=0)  # noqa: PTH123, SIM115 - closed by finish or discard

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append; raises ``OSError`` where the disk is full."""
        self._md5.update(data)
        self._crc32c = crc32c.extend(self._crc32c, data)
        self._size += len(data)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def finish(self) -> Staged:
        """Close the file; the etag is the MD5 of what was written."""
        self._file.close()
        return Staged(((self._blob, self._size),), self._size, self._md5.hexdigest(), self._crc32c)

    def discard(self) -> None:
        """Drop the bytes. Idempotent; does nothing once an object owns them."""
        if not self._file.closed:
            self._file.close()
            self._files.discard((self._blob,))


def _unlink(path: str) -> None:
    try:
        os.unlink(path)  # noqa: PTH108
    except FileNotFoundError:
        return


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links, or too many of them
        import shutil

        shutil.copyfile(source, target)
