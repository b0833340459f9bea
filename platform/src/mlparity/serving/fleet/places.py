"""Folders for sockets whose paths are short enough: the kernel takes 107 bytes."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from pathlib import Path

from mlparity.ids import IdSource

SOCKET = "s"  # the file's name in its folder
_LONGEST = 107
_NAME = 10


class SocketPlaces:
    """Under ``root`` where its path is short; else in a temporary folder, to which ``root`` is then a link."""

    def __init__(self, root: Path, ids: IdSource) -> None:
        self._root = root
        self._ids = ids
        self._lock = threading.Lock()
        self._made: Path | None = None

    def recover(self) -> None:
        """Remove what a killed process left. Called before the first ``make``."""
        if self._root.is_symlink():
            shutil.rmtree(self._root.resolve(), ignore_errors=True)
            self._root.unlink()
        shutil.rmtree(self._root, ignore_errors=True)

    def make(self) -> Path:
        """A new folder for one worker's socket."""
        with self._lock:
            base = self._base()
        folder = base / self._ids.token(_NAME)
        folder.mkdir(mode=0o700, parents=True)
        return folder

    def close(self) -> None:
        """Remove all."""
        with contextlib.suppress(OSError):
            self.recover()
        self._made = None

    def _base(self) -> Path:
        if self._made is None:
            longest = self._root.absolute() / ("x" * _NAME) / SOCKET
            if len(str(longest).encode()) <= _LONGEST:
                self._made = self._root.absolute()
            else:
                self._made = Path(tempfile.mkdtemp(prefix="mlparity-"))
                self._root.parent.mkdir(parents=True, exist_ok=True)
                self._root.symlink_to(self._made)
        return self._made
