"""Model archives: .tar.gz files, unpacked without leaving their folder."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from pathlib import Path
from typing import BinaryIO


class ArchiveError(Exception):
    """The file is no .tar.gz, or holds what must not be unpacked."""


def extract(stream: BinaryIO, folder: Path) -> None:
    """Unpack the .tar.gz in ``stream`` into ``folder``, which is made. Raises ``ArchiveError``."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(fileobj=stream, mode="r:gz") as packed:
            packed.extractall(folder, filter="data")
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ArchiveError(str(error)) from error
