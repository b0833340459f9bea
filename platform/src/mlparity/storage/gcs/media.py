"""Sending the bytes of an object, in whole or in part.

https://cloud.google.com/storage/docs/transcoding says when what is stored as gzip travels unpacked.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import replace
from typing import Any, BinaryIO, cast

from mlparity.storage import crc32c
from mlparity.storage.base import ObjectInfo
from mlparity.storage.bucketstore import OpenObject
from mlparity.storage.gcs.message import Call, GcsResponse
from mlparity.storage.gcs.objects_json import COMPONENTS, component_count, md5_of, storage_class
from mlparity.wire.ranges import Window, parse_range
from mlparity.wire.timestamps import http_date

INLINE = 256 * 1024  # bytes; smaller answers are read at once
_CHUNK = 256 * 1024
_SHOWN = ("content-type", "content-encoding", "content-disposition", "content-language", "cache-control")
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


def media_headers(info: ObjectInfo) -> dict[str, str]:
    """The headers that go with an object's bytes, but for the length and the entity tag."""
    hashes = [] if info.crc32c is None else [f"crc32c={crc32c.encode(info.crc32c)}"]
    hashes += [f"md5={md5_of(info)}"] if md5_of(info) else []
    headers = {
        "content-type": "application/octet-stream",
        **{name: value for name, value in info.headers.items() if name in _SHOWN},
        "last-modified": http_date(info.created_at),
        "accept-ranges": "bytes",
        "x-goog-generation": str(info.sequence),
        "x-goog-metageneration": str(info.metageneration),
        "x-goog-storage-class": storage_class(info.headers),
        "x-goog-stored-content-encoding": info.headers.get("content-encoding", "identity"),
        "x-goog-stored-content-length": str(info.size),
    }
    if hashes:
        headers["x-goog-hash"] = ",".join(hashes)
    if component_count(info):
        headers[COMPONENTS] = str(component_count(info))
    return headers


def send(call: Call, opened: OpenObject, headers: dict[str, str]) -> GcsResponse:
    """The object or the range of it that is asked for. Raises ``InvalidRangeError``."""
    if headers.get("content-encoding") == "gzip" and "gzip" not in call.request.headers.get("accept-encoding", ""):
        return _unpacked(opened, headers)
    size = opened.info.size
    window = parse_range(call.request.headers.get("range", ""), size) or Window(0, size, partial=False)
    if window.partial:
        headers["content-range"] = window.content_range(size)
    response = GcsResponse(206 if window.partial else 200, headers, length=window.length)
    opened.stream.seek(window.start)
    if window.length > INLINE:
        return replace(response, stream=opened.stream)
    data = opened.stream.read(window.length)
    opened.stream.close()
    return replace(response, body=data, length=None)


def _unpacked(opened: OpenObject, headers: dict[str, str]) -> GcsResponse:
    """The whole object without its gzip encoding. How long that is shows only at the end, so it goes in chunks."""
    kept = {name: value for name, value in headers.items() if name not in ("content-encoding", "accept-ranges")}
    kept["warning"] = "214 UploadServer gunzipped"
    stream = cast("BinaryIO", io.BufferedReader(_Unpacking(opened.stream), _CHUNK))
    return GcsResponse(200, kept, stream=stream)


class _Unpacking(io.RawIOBase):
    def __init__(self, packed: BinaryIO) -> None:
        super().__init__()
        self._packed = packed
        self._unpacker = zlib.decompressobj(_GZIP_WINDOW)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while True:
            source = self._unpacker.unconsumed_tail or self._packed.read(_CHUNK)
            try:
                data = self._unpacker.decompress(source, len(buffer))
            except zlib.error as error:
                raise OSError(f"the object is not the gzip that its content encoding says: {error}") from error
            if data or not source:
                buffer[: len(data)] = data
                return len(data)

    def close(self) -> None:
        self._packed.close()
        super().close()
