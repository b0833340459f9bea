"""Taking in bodies: hashed, checked and written to disk as they come, in constant memory."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlparity.storage import crc32c
from mlparity.storage.bucketstore import UploadInfo
from mlparity.storage.gcs.errors import GcsError, invalid
from mlparity.storage.gcs.message import Context, GcsRequest, Received, read_json
from mlparity.storage.gcs.related import RelatedParser, boundary_of
from mlparity.storage.sessions import Session

GRANULE = 256 * 1024  # bytes; what of an unfinished upload is kept is a multiple of it
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


class MediaReceiver:
    """A body that is an object's bytes and nothing else."""

    def __init__(self, context: Context, request: GcsRequest, upload: UploadInfo | None = None) -> None:
        self._store = context.store
        self._content_type = request.headers.get("content-type", "")
        self._upload = upload
        self._writer = context.store.stage()

    def feed(self, data: bytes | bytearray) -> None:
        """Take the next bytes."""
        self._writer.write(data)

    def finish(self) -> Received:
        """All have come."""
        staged = self._writer.finish()
        return Received(staged, {}, self._content_type, staged.etag, staged.crc32c, upload=self._upload)

    def discard(self) -> None:
        """Drop what came so far."""
        self._writer.discard()


class RelatedReceiver:
    """A body with a resource and an object's bytes."""

    def __init__(self, context: Context, request: GcsRequest) -> None:
        boundary = boundary_of(request.headers.get("content-type", ""))
        self._store = context.store
        self._writer = context.store.stage()
        self._parser = RelatedParser(boundary, self._writer.write)

    def feed(self, data: bytes | bytearray) -> None:
        """Take the next bytes."""
        self._parser.feed(data)

    def finish(self) -> Received:
        """All have come. Raises where they are not what a multipart upload is."""
        self._parser.finish()
        resource = read_json(self._parser.resource)
        staged = self._writer.finish()
        return Received(staged, resource, self._parser.media_type, staged.etag, staged.crc32c)

    def discard(self) -> None:
        """Drop what came so far."""
        self._writer.discard()


@dataclass(frozen=True)
class Piece:
    """What a Content-Range says: ``size`` bytes from ``start``, of ``total`` (None: not known yet)."""

    start: int
    size: int
    total: int | None
    asks: bool = False  # no bytes: how far is the upload?

    @property
    def is_last(self) -> bool:
        """Whether the upload ends with these bytes."""
        return self.total is not None and self.start + self.size == self.total


def read_piece(request: GcsRequest) -> Piece:
    """What the request brings. Raises ``badContent`` where it contradicts itself."""
    length = request.headers.get("content-length", "")
    size = int(length) if length.isdecimal() else None
    text = request.headers.get("content-range", "")
    if not text:
        if size is None:
            raise GcsError(411, "required", "Content-Length or Content-Range is required.")
        return Piece(0, size, size)
    match = _CONTENT_RANGE.fullmatch(text.strip())
    if match is None:
        raise invalid(f"Failed to parse Content-Range header: {text}")
    first, last, total_text = match.groups()
    total = None if total_text == "*" else int(total_text)
    if first is None:
        return Piece(0, 0, total, asks=True)
    start, count = int(first), int(last) - int(first) + 1
    if count < 0 or (size is not None and size != count) or (total is not None and start + count > total):
        raise invalid(f"Invalid Content-Range: {text} with {size} bytes")
    return Piece(start, count, total)


class PieceReceiver:
    """The next bytes of an upload session. What is there already is skipped; the end of an odd piece is not kept."""

    def __init__(self, context: Context, session: Session, piece: Piece) -> None:
        end = piece.start + piece.size
        if piece.start > session.size:
            raise GcsError(
                503,
                "backendError",
                (
                    "Invalid request.  According to the Content-Range header, the upload offset is "
                    f"{piece.start} byte(s), which exceeds already uploaded size of {session.size} byte(s)."
                ),
            )
        if not piece.is_last and piece.size and piece.size < GRANULE:
            raise invalid(
                "Invalid request.  The number of bytes uploaded is required to be equal or greater than 262144, "
                "except for the final request (it's recommended to be the exact multiple of 262144).  The received "
                f"request contained {piece.size} bytes, which does not meet this requirement."
            )
        self._session = session
        self._piece = piece
        self._skip = session.size - piece.start
        self._room = max(0, (end if piece.is_last else end - end % GRANULE) - session.size)
        self._md5 = context.store.sessions.hashes.at(session.session_id, session.size)
        self._crc32c = session.crc32c
        self._writer = context.store.stage()
        self._came = 0

    def feed(self, data: bytes | bytearray) -> None:
        """Take the next bytes."""
        self._came += len(data)
        start = min(self._skip, len(data))
        self._skip -= start
        kept = bytes(data[start : start + self._room])
        self._room -= len(kept)
        if not kept:
            return
        self._writer.write(kept)
        self._crc32c = crc32c.extend(self._crc32c, kept)
        if self._md5 is not None:
            self._md5.update(kept)

    def finish(self) -> Received:
        """All have come. Raises where it is not as many as was said."""
        if self._came != self._piece.size:
            raise invalid(f"Expected {self._piece.size} bytes, got {self._came}")
        staged = self._writer.finish()
        md5 = "" if self._md5 is None else self._md5.hexdigest()
        return Received(
            staged,
            md5=md5,
            crc32c=self._crc32c,
            session=self._session,
            total=self._piece.total,
            is_last=self._piece.is_last,
            running=self._md5,
        )

    def discard(self) -> None:
        """Drop what came so far."""
        self._writer.discard()


def check_hashes(request: GcsRequest, resource: Mapping[str, Any], received: Received, md5: str) -> None:
    """Raise unless the bytes have the hashes that the client said. ``md5`` is in hex; "" where it is not known."""
    given = dict(_header_hashes(request.headers.get("x-goog-hash", "")))
    if "content-md5" in request.headers and received.session is None:
        given["md5"] = request.headers["content-md5"]
    for name, field in (("md5", "md5Hash"), ("crc32c", "crc32c")):
        if isinstance(resource.get(field), str) and resource[field]:
            given[name] = resource[field]
    actual_crc = "" if received.crc32c is None else crc32c.encode(received.crc32c)
    actual = {"md5": to_base64(md5), "crc32c": actual_crc}
    for name, value in given.items():
        if name in actual and actual[name] and value != actual[name]:
            label = "MD5 hash" if name == "md5" else "CRC32C"
            raise GcsError(
                400,
                "invalid",
                f'Provided {label} "{value}" doesn\'t match calculated {label} "{actual[name]}".',
                code="BadDigest",
            )


def to_base64(md5: str) -> str:
    """A hex digest in base64."""
    return base64.b64encode(bytes.fromhex(md5)).decode()


def _header_hashes(text: str) -> list[tuple[str, str]]:
    pairs = [item.strip().partition("=")[::2] for item in text.split(",")]
    return [(name, value) for name, value in pairs if value]
