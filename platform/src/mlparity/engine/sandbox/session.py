"""One executor's folder under the scratch folder; what a killed executor left is removed by the next."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path


class Session:
    """``scratch/<name>``, locked while this process lives."""

    def __init__(self, scratch: Path, name: str) -> None:
        scratch.mkdir(parents=True, exist_ok=True)
        for left in scratch.iterdir():
            _remove_if_dead(left)
        self.folder = scratch.resolve() / name
        self.mountpoint = self.folder / "root"
        self.mountpoint.mkdir(parents=True)
        self._lock = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def job_folder(self, job_id: str) -> Path:
        """A new folder with ``tmp`` and ``home``, named after the job; a number is added for the same id again."""
        for attempt in range(1_000_000):
            folder = self.folder / "jobs" / (job_id if attempt == 0 else f"{job_id}.{attempt}")
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                continue
            (folder / "home").mkdir()
            temporary = folder / "tmp"
            temporary.mkdir()
            temporary.chmod(0o1777)
            return folder
        raise FileExistsError(job_id)

    def close(self) -> None:
        """Remove the folder. Idempotent."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _remove_if_dead(folder: Path) -> None:
    try:
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return  # not a session's, or just being made
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass  # another executor is alive
    finally:
        os.close(descriptor)
