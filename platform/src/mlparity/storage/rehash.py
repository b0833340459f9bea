"""Reading a stream once for its MD5, and for whoever else must see the bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import BinaryIO

_CHUNK = 1024 * 1024  # bytes


def content_md5(stream: BinaryIO, observe: Callable[[bytes], None] | None = None) -> str:
    """The MD5 of the rest of the stream, in hex; ``observe`` gets each chunk."""
    digest = hashlib.md5(usedforsecurity=False)
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
        if observe is not None:
            observe(chunk)
    return digest.hexdigest()
