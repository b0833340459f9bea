"""Range requests (RFC 9110 section 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mlparity.errors import InvalidRangeError

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True)
class Window:
    """The bytes to send: ``length`` from ``start``; ``partial`` says whether to answer 206."""

    start: int
    length: int
    partial: bool

    def content_range(self, size: int) -> str:
        """As the header tells it of an object of ``size`` bytes."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{size}" if self.length else f"bytes */{size}"


def parse_range(text: str, size: int) -> Window | None:
    """The window of a Range header; None where it is to be ignored. Raises ``InvalidRangeError``."""
    match = _RANGE.fullmatch(text.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        length = min(int(last), size)
        start, end = size - length, size - 1
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < start:
            return None
    if start >= size or start > end:
        raise InvalidRangeError(f"{text} lies outside the object", f"it has {size} bytes")
    return Window(start, end - start + 1, partial=True)
