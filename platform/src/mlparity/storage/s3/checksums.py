"""The checksums that S3 keeps with objects.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Protocol

from mlparity.errors import MissingDependencyError

ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")
DEFAULT_ALGORITHM = "CRC64NVME"  # what S3 computes where the client sends none
FULL_OBJECT = "FULL_OBJECT"
COMPOSITE = "COMPOSITE"
_CRC_BYTES = {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8}


class Checksum(Protocol):
    """A checksum in the making."""

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes."""
        ...

    def digest(self) -> bytes:
        """The checksum of what was added."""
        ...


class _Crc:
    def __init__(self, algorithm: str) -> None:
        self._update = getattr(_crt(), algorithm.lower())
        self._size = _CRC_BYTES[algorithm]
        self._value = 0

    def update(self, data: bytes | bytearray | memoryview) -> None:
        self._value = self._update(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


def new(algorithm: str) -> Checksum:
    """A checksum of one of ``ALGORITHMS``."""
    if algorithm == "SHA1":
        return hashlib.sha1(usedforsecurity=False)
    if algorithm == "SHA256":
        return hashlib.sha256()
    if algorithm == "CRC32":
        return _ZlibCrc()
    return _Crc(algorithm)


class _ZlibCrc:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes | bytearray | memoryview) -> None:
        self._value = binascii.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


def encode(digest: bytes) -> str:
    """Base64, as headers carry checksums."""
    return base64.b64encode(digest).decode()


def header_name(algorithm: str) -> str:
    """x-amz-checksum-crc32 and so on."""
    return f"x-amz-checksum-{algorithm.lower()}"


def element_name(algorithm: str) -> str:
    """ChecksumCRC32 and so on."""
    return f"Checksum{algorithm}"


def algorithm_of(checksums: Mapping[str, str]) -> str | None:
    """The algorithm of a stored checksum."""
    return next((name for name in ALGORITHMS if name in checksums), None)


def composite(algorithm: str, parts: Sequence[str]) -> str:
    """The checksum of the parts' checksums, and their count."""
    whole = new(algorithm)
    for part in parts:
        whole.update(base64.b64decode(part))
    return f"{encode(whole.digest())}-{len(parts)}"


def full_object(algorithm: str, parts: Sequence[tuple[str, int]]) -> str:
    """The CRC of the whole object from its parts' ``(CRC, bytes)``, without reading them again."""
    combine = getattr(_crt(), f"combine_{algorithm.lower()}")
    value = 0
    for part, size in parts:
        value = combine(value, int.from_bytes(base64.b64decode(part), "big"), size)
    return encode(value.to_bytes(_CRC_BYTES[algorithm], "big"))


@cache
def _crt() -> ModuleType:
    try:
        return import_module("awscrt.checksums")
    except ImportError as error:
        raise MissingDependencyError(
            "S3 checksums need awscrt", "CRC32C and CRC64NVME are computed by it", "pip install 'mlparity[aws]'"
        ) from error
