"""The files that a batch prediction job writes: JSON Lines in shards whose names tell how many there are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from mlparity.serving.json_codec import dumps

_SHARD_LINES = 10_000


class Shards:
    """NAME-00000-of-0000M in ``folder``. The names are known when all is written: see ``close``."""

    def __init__(self, folder: Path, name: str, lines: int = _SHARD_LINES) -> None:
        self._folder = folder
        self._name = name
        self._lines = lines
        self._written = 0
        self._paths: list[Path] = []
        self._stream: BinaryIO | None = None

    @property
    def written(self) -> int:
        """Lines until now."""
        return self._written

    def write(self, record: Mapping[str, Any]) -> None:
        """One line."""
        if self._stream is None or self._written % self._lines == 0:
            self._next()
        assert self._stream is not None  # noqa: S101 - just opened
        self._stream.write(dumps(record) + b"\n")
        self._written += 1

    def close(self, *, always: bool) -> None:
        """Give the shards their names; ``always``: one that is empty where nothing was written."""
        if always and not self._paths:
            self._next()
        if self._stream is not None:
            self._stream.close()
        for number, path in enumerate(self._paths):
            path.rename(self._folder / f"{self._name}-{number:05d}-of-{len(self._paths):05d}")

    def _next(self) -> None:
        if self._stream is not None:
            self._stream.close()
        path = self._folder / f".{self._name}-{len(self._paths)}"
        self._paths.append(path)
        self._stream = path.open("wb")
