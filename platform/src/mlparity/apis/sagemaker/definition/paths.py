"""Paths into values: ``a.b[0].c`` and ``Outputs['train'].S3Output.S3Uri``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_TOKEN = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]|\['([^']*)'\]|\[\"([^\"]*)\"\]")
# Lists that SageMaker lets a pipeline address by an entry's name.
_NAMED = ("OutputName", "InputName", "ChannelName", "MetricName")


class PathError(LookupError):
    """The path leads nowhere."""


def tokens(path: str) -> list[str | int]:
    """The keys and indexes of a path, which may begin with "$". Raises ``PathError`` for one that cannot be read."""
    found: list[str | int] = []
    position = 1 if path.startswith("$") else 0
    while position < len(path):
        match = _TOKEN.match(path, position)
        if match is None:
            raise PathError(f"'{path}' cannot be read at character {position}")
        plain, index, single, double = match.groups()
        found.append(int(index) if index is not None else next(t for t in (plain, single, double) if t is not None))
        position = match.end()
    return found


def look_up(value: Any, path: str) -> Any:
    """The value at the path. Raises ``PathError``."""
    for token in tokens(path):
        value = _step(value, token, path)
    return value


def _step(value: Any, token: str | int, path: str) -> Any:
    if isinstance(value, Mapping) and str(token) in value:
        return value[str(token)]
    if isinstance(value, Sequence) and not isinstance(value, str):
        if isinstance(token, int) and token < len(value):
            return value[token]
        for entry in value:
            if isinstance(entry, Mapping) and any(entry.get(name) == token for name in _NAMED):
                return entry
    raise PathError(f"'{token}' of '{path}' does not exist")
