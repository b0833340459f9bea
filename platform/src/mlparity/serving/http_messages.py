"""HTTP/1.1 as the model server needs it: a request out of bytes, an answer's head as bytes. Standard library only.

Runtimes with exact versions have no HTTP library of ours, so the server brings its own few rules (RFC 9112).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus

_HEAD_END = b"\r\n\r\n"
_LARGEST_HEAD = 64 * 1024  # bytes
_LARGEST_CHUNK_LINE = 1024


class BadMessageError(Exception):
    """The client does not speak HTTP/1.1, or says what this server will not read: the status to answer."""

    def __init__(self, status: int) -> None:
        super().__init__(HTTPStatus(status).phrase)
        self.status = status


@dataclass(frozen=True)
class Head:
    """The part of a request before its body. Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    keep_alive: bool
    length: int  # of the body; -1 where it comes in chunks


@dataclass
class RequestReader:
    """Bytes in, requests out, in order."""

    _buffer: bytes = b""
    _parts: list[bytes] = field(default_factory=list)  # of a long body; ``_missing`` bytes are to come
    _missing: int = 0
    _head: Head | None = None
    expects_continue: bool = False  # the client waits for "100 Continue" before it sends the body

    def feed(self, data: bytes) -> None:
        """What arrived."""
        if self._missing > 0 and not self._buffer:
            self._parts.append(data)
            self._missing -= len(data)
        else:
            self._buffer = self._buffer + data if self._buffer else data

    def next(self) -> tuple[Head, bytes] | None:
        """The next whole request; None while there is none. Raises ``BadMessageError``."""
        if self._head is None:
            self._read_head()
        head = self._head
        if head is None:
            return None
        body = self._chunked_body() if head.length < 0 else self._sized_body(head.length)
        if body is None:
            return None
        self._head, self.expects_continue = None, False
        return head, body

    def _read_head(self) -> None:
        end = self._buffer.find(_HEAD_END)
        if end < 0:
            if len(self._buffer) > _LARGEST_HEAD:
                raise BadMessageError(431)
            return
        head = self._head = _parse_head(self._buffer[:end])
        self._buffer = self._buffer[end + 4 :]
        self.expects_continue = head.headers.get("expect", "").lower() == "100-continue"

    def _sized_body(self, length: int) -> bytes | None:
        if not self._parts:
            if len(self._buffer) >= length:
                body, self._buffer = self._buffer[:length], self._buffer[length:]
                return body
            self._parts, self._missing, self._buffer = [self._buffer], length - len(self._buffer), b""
            return None
        if self._missing > 0:
            return None
        whole = b"".join(self._parts)
        self._parts, self._missing = [], 0
        self._buffer = whole[length:]
        return whole[:length]

    def _chunked_body(self) -> bytes | None:
        while True:
            end = self._buffer.find(b"\r\n")
            if end < 0:
                if len(self._buffer) > _LARGEST_CHUNK_LINE:
                    raise BadMessageError(400)
                return None
            size = _chunk_size(self._buffer[:end])
            if size == 0:
                return self._last_chunk(end)
            if len(self._buffer) < end + 4 + size:
                return None
            self._parts.append(self._buffer[end + 2 : end + 2 + size])
            self._buffer = self._buffer[end + 4 + size :]

    def _last_chunk(self, line_end: int) -> bytes | None:
        trailer = self._buffer.find(_HEAD_END, line_end)  # the same four bytes where there are no trailers
        if trailer < 0:
            return None
        self._buffer = self._buffer[trailer + 4 :]
        body, self._parts = b"".join(self._parts), []
        return body


def _parse_head(data: bytes) -> Head:
    lines = data.lstrip(b"\r\n").decode("latin-1").split("\r\n")
    try:
        method, target, version = lines[0].split(" ")
    except ValueError:
        raise BadMessageError(400) from None
    if version not in {"HTTP/1.1", "HTTP/1.0"}:
        raise BadMessageError(505 if version.startswith("HTTP/") else 400)
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name[-1] in " \t":
            raise BadMessageError(400)
        key = name.lower()
        headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
    connection = headers.get("connection", "").lower()
    keep = "close" not in connection if version == "HTTP/1.1" else "keep-alive" in connection
    return Head(method, target.partition("?")[0], headers, keep, _length(headers))


def _length(headers: Mapping[str, str]) -> int:
    coding = headers.get("transfer-encoding")
    if coding is not None:
        if coding.lower() != "chunked" or "content-length" in headers:
            raise BadMessageError(400)
        return -1
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()):
        raise BadMessageError(400)
    return int(text)


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    try:
        size = int(digits, 16)
    except ValueError:
        raise BadMessageError(400) from None
    if size < 0 or digits[:1] in b"+-":
        raise BadMessageError(400)
    return size


@lru_cache(maxsize=256)
def answer_start(status: int, content_type: str, keep_alive: bool) -> bytes:
    """Status line and headers up to what says how long the body is."""
    kind = f"content-type: {content_type}\r\n" if status != HTTPStatus.NO_CONTENT else ""
    close = "" if keep_alive else "connection: close\r\n"
    return f"HTTP/1.1 {status} {_phrase(status)}\r\n{kind}{close}".encode("latin-1", "replace")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # a status of the model's own
        return "Unknown"
