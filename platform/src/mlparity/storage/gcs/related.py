"""The body of a multipart upload: a JSON resource, then the object's bytes, between boundaries.

It is read as it comes, in constant memory. Lines may end in CRLF or, as some clients send them, in LF.

https://cloud.google.com/storage/docs/uploading-objects#uploading-an-object, RFC 2387
"""

from __future__ import annotations

import re
from collections.abc import Callable

from mlparity.storage.gcs.errors import GcsError

_MAX_RESOURCE = 1024 * 1024  # bytes of the first part
_BOUNDARY = re.compile(r'boundary=(?:"([^"]+)"|([^;\s]+))', re.IGNORECASE)


def boundary_of(content_type: str) -> bytes:
    """The boundary of a multipart type. Raises ``badRequest``."""
    match = _BOUNDARY.search(content_type)
    if not content_type.lower().startswith("multipart/") or match is None:
        raise GcsError(400, "badRequest", "Missing or malformed boundary in the Content-Type of a multipart upload.")
    return (match.group(1) or match.group(2)).encode("latin-1", "replace")


class RelatedParser:
    """Gives the media's bytes to ``sink`` as they come. ``resource`` and ``media_type`` are there before them."""

    def __init__(self, boundary: bytes, sink: Callable[[bytes], None]) -> None:
        self._open = b"--" + boundary
        self._close = b""  # a line's end and the boundary, as this client writes them
        self._sink = sink
        self._buffer = bytearray()
        self._step = self._begin
        self._done = False
        self.resource = b""
        self.media_type = ""

    def feed(self, data: bytes | bytearray) -> None:
        """Take the next bytes."""
        if self._done:
            return
        self._buffer += data
        while self._step():
            pass

    def finish(self) -> None:
        """Raise unless the last boundary came."""
        if not self._done:
            raise _malformed()

    def _begin(self) -> bool:
        start = self._buffer.find(self._open)
        end = self._buffer.find(b"\n", start) if start >= 0 else -1
        if end < 0:
            return self._limited()
        line_end = b"\r\n" if self._buffer[end - 1 : end] == b"\r" else b"\n"
        self._close = line_end + self._open
        del self._buffer[: end + 1]
        self._step = self._resource
        return True

    def _resource(self) -> bool:
        end = self._buffer.find(self._close)
        newline = self._buffer.find(b"\n", end + len(self._close)) if end >= 0 else -1
        if newline < 0:
            return self._limited()
        part = bytes(self._buffer[:end])
        _, _, self.resource = _split(part)
        del self._buffer[: newline + 1]
        self._step = self._media_headers
        return True

    def _media_headers(self) -> bool:
        crlf, lf = self._buffer.find(b"\r\n\r\n"), self._buffer.find(b"\n\n")
        ends = [(index, size) for index, size in ((crlf, 4), (lf, 2)) if index >= 0]
        if self._buffer[:2] == b"\r\n" or self._buffer[:1] == b"\n":  # no headers at all
            ends = [(0, self._buffer.index(b"\n") + 1)]
        if not ends:
            return self._limited()
        index, size = min(ends)
        self.media_type = _header(bytes(self._buffer[:index]), b"content-type")
        del self._buffer[: index + size]
        # Empty media: the boundary follows at once, its line end being the one that ended the headers.
        if not self._buffer.startswith(self._open):
            self._step = self._media
            return True
        self._done = True
        self._buffer.clear()
        return False

    def _media(self) -> bool:
        end = self._buffer.find(self._close)
        if end >= 0:
            self._emit(end)
            self._done = True
            self._buffer.clear()
            return False
        self._emit(max(0, len(self._buffer) - len(self._close) + 1))
        return False

    def _emit(self, count: int) -> None:
        if count:
            self._sink(bytes(self._buffer[:count]))
            del self._buffer[:count]

    def _limited(self) -> bool:
        if len(self._buffer) > _MAX_RESOURCE:
            raise _malformed()
        return False


def _split(part: bytes) -> tuple[bytes, bytes, bytes]:
    """Headers and content of a part."""
    for blank in (b"\r\n\r\n", b"\n\n"):
        if blank in part:
            return part.partition(blank)
    return b"", b"", part.lstrip(b"\r\n")


def _header(headers: bytes, name: bytes) -> str:
    for line in headers.splitlines():
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip().decode("latin-1")
    return ""


def _malformed() -> GcsError:
    return GcsError(400, "badRequest", "Malformed multipart body.")
