"""A function that a vendor's function service keeps: code, and how it is to be called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class FunctionCode:
    """One version of a function. ``archive`` is a zip file."""

    arn: str
    name: str
    runtime: str  # the vendor's word: "python3.12"
    handler: str  # "module.function"
    archive: bytes
    timeout_seconds: int
    memory_mb: int
    role: str = ""  # whom it acts as
    environment: Mapping[str, str] = field(default_factory=dict)
