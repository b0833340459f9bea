"""CRC-32C (Castagnoli, RFC 3720): kept with every blob, so that any protocol can tell it of any object.

It is computed by google-crc32c, or by awscrt where only that is installed; without either it is not kept.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from functools import cache
from importlib import import_module

_POLYNOMIAL = 0x82F63B78  # reflected
_BITS = 32
_BYTES = 4


@cache
def _extend() -> Callable[[int, bytes], int] | None:
    try:
        extend: Callable[[int, bytes], int] = import_module("google_crc32c").extend
    except ImportError:
        pass
    else:
        return extend
    try:
        crc: Callable[[bytes, int], int] = import_module("awscrt.checksums").crc32c
    except ImportError:
        return None
    return lambda value, data: crc(data, value)


def extend(value: int | None, data: bytes | bytearray | memoryview) -> int | None:
    """``value`` (0 at the start) with ``data`` added; None where nothing can compute it."""
    function = _extend()
    if value is None or function is None:
        return None
    return function(value, data if isinstance(data, bytes) else bytes(data))


def combine(first: int | None, second: int | None, second_size: int) -> int | None:
    """The value of two texts one after the other, from theirs and the bytes of the second."""
    if first is None or second is None:
        return None
    return _shifted(first, second_size) ^ second


def encode(value: int) -> str:
    """Base64 of the four bytes, big end first, as headers and resources carry it."""
    return base64.b64encode(value.to_bytes(_BYTES, "big")).decode()


def decode(text: str) -> int | None:
    """The value of such a text; None where it is none."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return int.from_bytes(raw, "big") if len(raw) == _BYTES else None


def _shifted(value: int, size: int) -> int:
    """``value`` after ``size`` zero bytes: a power of a linear map over GF(2), by squaring."""
    matrix = _zero_byte()
    while size:
        if size & 1:
            value = _times(matrix, value)
        size >>= 1
        matrix = _squared(matrix) if size else matrix
    return value


@cache
def _zero_byte() -> tuple[int, ...]:
    one_bit = (_POLYNOMIAL, *(1 << row for row in range(_BITS - 1)))
    return _squared(_squared(_squared(one_bit)))


@cache
def _squared(matrix: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(_times(matrix, column) for column in matrix)


def _times(matrix: tuple[int, ...], vector: int) -> int:
    total = 0
    for column in matrix:
        if vector & 1:
            total ^= column
        vector >>= 1
    return total
