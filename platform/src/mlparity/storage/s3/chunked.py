"""The ``aws-chunked`` content coding, with or without chunk signatures and trailing headers.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping

from mlparity.storage.s3.errors import S3Error
from mlparity.wire.sigv4 import EMPTY_SHA256, Verified, chunk_signature, trailer_signature

_SIZE = re.compile(r"[0-9a-fA-F]{1,15}")
_MAX_LINE = 16 * 1024  # bytes
_MAX_TRAILERS = 16


class ChunkedDecoder:
    """Turns the coded stream into the object's bytes. Feed it anything, in any pieces."""

    def __init__(self, verified: Verified) -> None:
        self._verified = verified
        self._signed = "HMAC" in verified.payload
        self._previous = verified.signature
        self._buffer = bytearray()
        self._state = "size"
        self._left = 0  # bytes of the current chunk still to come
        self._expected = ""  # the current chunk's signature
        self._sha256 = hashlib.sha256()
        self._trailers: dict[str, str] = {}

    def feed(self, data: bytes | bytearray) -> bytes:
        """The object's bytes in ``data``. Raises ``S3Error`` where the coding or a signature is wrong."""
        self._buffer += data
        out = bytearray()
        while self._step(out):
            pass
        return bytes(out)

    def finish(self) -> Mapping[str, str]:
        """The trailing headers, lower case. Raises ``S3Error`` where the stream ended too early."""
        if self._state != "end":
            raise S3Error("IncompleteBody", "The request body terminated unexpectedly")
        return self._trailers

    def _step(self, out: bytearray) -> bool:
        if self._state == "size":
            return self._size()
        if self._state == "data":
            return self._data(out)
        if self._state == "data-end":
            return self._data_end()
        if self._state == "trailer":
            return self._trailer()
        return False

    def _line(self) -> str | None:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > _MAX_LINE:
                raise S3Error("InvalidRequest", "A line of the aws-chunked body is too long")
            return None
        line = self._buffer[:end].decode("latin-1")
        del self._buffer[: end + 2]
        return line

    def _size(self) -> bool:
        line = self._line()
        if line is None:
            return False
        size, _, extension = line.partition(";")
        if not _SIZE.fullmatch(size.strip()):
            raise S3Error("InvalidRequest", "A chunk of the aws-chunked body has no size")
        self._left = int(size, 16)
        self._expected = extension.partition("chunk-signature=")[2]
        self._sha256 = hashlib.sha256()
        if self._left == 0:
            self._check_chunk(EMPTY_SHA256)
            self._state = "trailer"
        else:
            self._state = "data"
        return True

    def _data(self, out: bytearray) -> bool:
        if not self._buffer:
            return False
        piece = self._buffer[: self._left]
        del self._buffer[: len(piece)]
        if self._signed:
            self._sha256.update(piece)
        out += piece
        self._left -= len(piece)
        if self._left == 0:
            self._state = "data-end"
        return True

    def _data_end(self) -> bool:
        line = self._line()
        if line is None:
            return False
        if line:
            raise S3Error("InvalidRequest", "A chunk of the aws-chunked body is longer than its size")
        self._check_chunk(self._sha256.hexdigest())
        self._state = "size"
        return True

    def _trailer(self) -> bool:
        line = self._line()
        if line is None:
            return False
        if line:
            name, _, value = line.partition(":")
            self._trailers[name.strip().lower()] = value.strip()
            if len(self._trailers) > _MAX_TRAILERS:
                raise S3Error("InvalidRequest", "There are too many trailing headers")
            return True
        self._check_trailers()
        self._state = "end"
        return False

    def _check_chunk(self, sha256: str) -> None:
        if not self._signed:
            return
        signature = chunk_signature(self._verified, self._previous, sha256)
        if not hmac.compare_digest(signature, self._expected):
            raise S3Error("SignatureDoesNotMatch")
        self._previous = signature

    def _check_trailers(self) -> None:
        given = self._trailers.pop("x-amz-trailer-signature", "")
        if not self._signed or not self._verified.payload.endswith("-TRAILER"):
            return
        text = "".join(f"{name}:{value}\n" for name, value in self._trailers.items())
        digest = hashlib.sha256(text.encode("latin-1")).hexdigest()
        if not hmac.compare_digest(trailer_signature(self._verified, self._previous, digest), given):
            raise S3Error("SignatureDoesNotMatch")
