"""What inputs have placed in a job, so that it can be told from what the program has made or changed since."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

_Seen = Sequence[int]  # times of modification and of change in ns, size in bytes


def note(record: Path, folders: Iterable[Path]) -> None:
    """Write down, in the file ``record``, what lies in the folders. Called before the program starts."""
    found = {
        str(path): _seen(path)
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(found), "utf-8")


class PlacedFiles:
    """What ``note`` wrote down; it is there also after a restart."""

    def __init__(self, records: Iterable[Path]) -> None:
        self._placed: dict[str, _Seen] = {}
        for record in records:
            if record.is_file():
                self._placed |= json.loads(record.read_text("utf-8"))

    def has(self, path: Path) -> bool:
        """Whether the file is still as an input placed it."""
        placed = self._placed.get(str(path))
        return placed is not None and list(placed) == list(_seen(path))


def _seen(path: Path) -> _Seen:
    status = path.stat()
    return [status.st_mtime_ns, status.st_ctime_ns, status.st_size]
