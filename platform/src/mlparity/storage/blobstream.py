"""One seekable stream over several files, opened as the reader gets to them."""

from __future__ import annotations

import io
import os
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any


class BlobStream(io.RawIOBase):
    """Reads ``[(blob, bytes), ...]`` as one file. ``close`` calls ``on_close`` once."""

    def __init__(
        self, blobs: Sequence[tuple[str, int]], path: Callable[[str], str], on_close: Callable[[], None]
    ) -> None:
        super().__init__()
        self._blobs = blobs
        self._ends = list(accumulate(size for _, size in blobs))
        self._size = self._ends[-1] if self._ends else 0
        self._path = path
        self._on_close = on_close
        self._position = 0
        self._open_index = -1
        self._descriptor = -1

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move; past the end is allowed, before the start is not."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("negative seek position")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Bytes from the start."""
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        """Fill ``buffer`` from the file that the position is in."""
        if self._position >= self._size:
            return 0
        index = bisect_right(self._ends, self._position)
        if index != self._open_index:
            self._switch(index)
        start = self._ends[index] - self._blobs[index][1]
        wanted = min(len(buffer), self._ends[index] - self._position)
        count = os.preadv(self._descriptor, [memoryview(buffer)[:wanted]], self._position - start)
        if count == 0 and wanted:
            raise OSError(f"blob {self._blobs[index][0]} is shorter than its row says")
        self._position += count
        return count

    def close(self) -> None:
        """Close the file and let the blobs go."""
        if self.closed:
            return
        try:
            self._release()
            self._on_close()
        finally:
            super().close()

    def _switch(self, index: int) -> None:
        self._release()
        blob = self._blobs[index][0]
        try:
            self._descriptor = os.open(self._path(blob), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # it was on its way from incoming/ to its place
            self._descriptor = os.open(self._path(blob), os.O_RDONLY | os.O_CLOEXEC)
        self._open_index = index

    def _release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor, self._open_index = -1, -1
