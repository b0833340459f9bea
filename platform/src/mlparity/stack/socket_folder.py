"""A folder for unix sockets: their paths have at most 107 bytes, and a data folder's may be long."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

_MAX_FOLDER = 80  # bytes


def socket_folder(data_dir: Path) -> Path:
    """An empty folder of this user's alone, the same for the same data folder: what a crash left there goes."""
    name = f"mlparity-{os.getuid()}-{hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]}"
    for parent in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - made private, or refused
        folder = parent / name
        if len(os.fsencode(folder)) <= _MAX_FOLDER:
            break
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            return Path(tempfile.mkdtemp(prefix="mlparity-", dir=parent))  # someone else's
        shutil.rmtree(folder)
        folder.mkdir(mode=0o700)
    return folder
