"""Identifiers as an argument: ids come from an ``IdSource``, so that a test can make them repeat."""

from __future__ import annotations

import random
import secrets
from typing import Protocol
from uuid import UUID

_ALPHANUMERIC = "abcdefghijklmnopqrstuvwxyz0123456789"


class IdSource(Protocol):
    """What makes identifiers."""

    def uuid(self) -> str:
        """A version 4 UUID in its 36-character form."""
        ...

    def token(self, length: int) -> str:
        """``length`` characters of a-z and 0-9, as vendors use in names and execution ids."""
        ...


class SystemIds:
    """Unpredictable identifiers from the operating system."""

    def uuid(self) -> str:
        """A random version 4 UUID."""
        return str(UUID(bytes=secrets.token_bytes(16), version=4))

    def token(self, length: int) -> str:
        """Random a-z and 0-9."""
        return "".join(secrets.choice(_ALPHANUMERIC) for _ in range(length))


class SeededIds:
    """Identifiers that repeat for the same seed. For tests only."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatability is the point

    def uuid(self) -> str:
        """The next version 4 UUID of the sequence."""
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def token(self, length: int) -> str:
        """The next a-z and 0-9 of the sequence."""
        return "".join(self._random.choice(_ALPHANUMERIC) for _ in range(length))
