"""One line of ``mlparity doctor``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """``ok`` is None for what is only told, True or False for what must hold."""

    name: str
    ok: bool | None
    detail: str
    hint: str = ""
