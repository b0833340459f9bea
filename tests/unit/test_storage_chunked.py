"""The aws-chunked coding in any pieces, signed and unsigned, whole and broken."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlparity.storage.s3.chunked import ChunkedDecoder
from mlparity.storage.s3.errors import S3Error
from mlparity.wire.sigv4 import Verified, chunk_signature, signing_key, trailer_signature

UNSIGNED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"


def verified(payload: str) -> Verified:
    key = signing_key("secret", "20260101", "us-east-1", "s3")
    return Verified("AKID", "20260101T000000Z", "us-east-1", "s3", "5eed", key, payload, presigned=False)


def encode(chunks: list[bytes], payload: str, trailers: dict[str, str]) -> bytes:
    proof, previous, out = verified(payload), "5eed", bytearray()
    for chunk in [*chunks, b""]:
        line = f"{len(chunk):x}"
        if "HMAC" in payload:
            previous = chunk_signature(proof, previous, hashlib.sha256(chunk).hexdigest())
            line += f";chunk-signature={previous}"
        out += line.encode() + b"\r\n" + (chunk + b"\r\n" if chunk else b"")
    text = "".join(f"{name}:{value}\n" for name, value in trailers.items())
    out += text.replace("\n", "\r\n").encode()
    if payload == SIGNED_TRAILER:
        digest = hashlib.sha256(text.encode()).hexdigest()
        out += f"x-amz-trailer-signature:{trailer_signature(proof, previous, digest)}\r\n".encode()
    return bytes(out + b"\r\n")


def decode(coded: bytes, payload: str, step: int) -> tuple[bytes, dict[str, str]]:
    decoder = ChunkedDecoder(verified(payload))
    out = b"".join(decoder.feed(coded[at : at + step]) for at in range(0, len(coded), step))
    return out, dict(decoder.finish())


@pytest.mark.parametrize("payload", [UNSIGNED, SIGNED, SIGNED_TRAILER])
@settings(max_examples=60, deadline=None)
@given(chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=5), step=st.integers(1, 60))
def test_any_chunks_in_any_pieces(payload: str, chunks: list[bytes], step: int) -> None:
    trailers = {} if payload == SIGNED else {"x-amz-checksum-crc32": "AAAAAA=="}
    assert decode(encode(chunks, payload, trailers), payload, step) == (b"".join(chunks), trailers)


@pytest.mark.parametrize("payload", [SIGNED, SIGNED_TRAILER])
def test_a_changed_byte_is_refused(payload: str) -> None:
    trailers = {} if payload == SIGNED else {"x-amz-checksum-crc32": "AAAAAA=="}
    coded = encode([b"hello", b"world"], payload, trailers)
    for old, new in ((b"hello", b"hellO"), (b"world", b"World"), (b"AAAA==", b"BBBB==")):
        if old in coded:
            with pytest.raises(S3Error) as caught:
                decode(coded.replace(old, new), payload, 7)
            assert caught.value.code == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    ("coded", "code"),
    [
        (b"5\r\nhello\r\n", "IncompleteBody"),
        (b"5\r\nhel", "IncompleteBody"),
        (b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n", "IncompleteBody"),
        (b"zz\r\nhello\r\n", "InvalidRequest"),
        (b"-5\r\nhello\r\n", "InvalidRequest"),
        (b"3\r\nhello\r\n", "InvalidRequest"),
        (b"a" * 20_000, "InvalidRequest"),
    ],
)
def test_broken_streams(coded: bytes, code: str) -> None:
    with pytest.raises(S3Error) as caught:
        decode(coded, UNSIGNED, 1000)
    assert caught.value.code == code
