"""Kubernetes' quantities: "500m" of a core, "512Mi" of memory."""

from __future__ import annotations

import re
from decimal import Decimal

from mlparity.pipeline_ir.errors import InvalidPipelineError

_QUANTITY = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(e\d+|E\d+|[mkMGTPE]?|[KMGTPE]i)\s*")
_SUFFIXES = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", 1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
}


def quantity(text: str, what: str) -> Decimal:
    """The number that ``text`` stands for; 0 for "". Raises ``InvalidPipelineError`` naming ``what`` it is."""
    if not text:
        return Decimal(0)
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise InvalidPipelineError(f"the {what} {text!r} is no quantity", 'it must be as in "500m", "2" or "512Mi"')
    number, suffix = match.groups()
    if len(suffix) > 1 and suffix[1].isdigit():
        return Decimal(number) * Decimal(10) ** int(suffix[1:])
    return Decimal(number) * _SUFFIXES[suffix]
