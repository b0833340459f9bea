"""AWS's event-stream framing, as the runtime sends it: one binary message for each part of an answer.

https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

from binascii import crc32
from struct import Struct

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_PRELUDE = Struct("!II")  # length of the message, length of its headers
_CRC = Struct("!I")
_STRING = 7  # a header value's type
_MAX_PAYLOAD = 1 << 20  # bytes of one part; a message may have no more than 16 MiB


def payload_parts(data: bytes) -> bytes:
    """``PayloadPart`` events for ``data``: one, or more where it is long."""
    return b"".join(
        message(_PART_HEADERS, data[start : start + _MAX_PAYLOAD]) for start in range(0, len(data), _MAX_PAYLOAD)
    )


def exception(name: str, document: bytes) -> bytes:
    """A modelled error that ends the stream."""
    values = {":message-type": "exception", ":exception-type": name, ":content-type": "application/json"}
    return message(headers(values), document)


def headers(values: dict[str, str]) -> bytes:
    """Headers of type string."""
    parts = []
    for name, value in values.items():
        key, text = name.encode(), value.encode()
        parts.append(bytes([len(key)]) + key + bytes([_STRING]) + len(text).to_bytes(2, "big") + text)
    return b"".join(parts)


def message(encoded_headers: bytes, payload: bytes) -> bytes:
    """One message with its check sums."""
    length = _PRELUDE.size + _CRC.size + len(encoded_headers) + len(payload) + _CRC.size
    prelude = _PRELUDE.pack(length, len(encoded_headers))
    start = prelude + _CRC.pack(crc32(prelude)) + encoded_headers
    return b"".join((start, payload, _CRC.pack(crc32(payload, crc32(start)))))


_PART_HEADERS = headers(
    {":message-type": "event", ":event-type": "PayloadPart", ":content-type": "application/octet-stream"}
)
