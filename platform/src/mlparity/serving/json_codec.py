"""JSON, quickly where orjson is there; runtimes with exact versions have the standard library's."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

try:
    import orjson
except ImportError:  # pragma: no cover - only in runtimes of their own
    orjson = None  # type: ignore[assignment]


def dumps(value: Any) -> bytes:
    """``value`` with numpy's numbers and arrays as plain ones, NaN and infinities as null, anything else as text."""
    if orjson is not None:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY, default=_plain)
    try:
        text = json.dumps(value, default=_plain, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    except ValueError:
        text = json.dumps(_finite(value), default=_plain, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def loads(data: bytes) -> Any:
    """The document. Raises ``ValueError``. NaN and infinities, which JSON has not, are read as Python writes them."""
    if orjson is not None:
        try:
            return orjson.loads(data)
        except ValueError:
            pass  # the standard library reads more, and says better what is wrong
    return json.loads(data)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return _finite(value.tolist()) if hasattr(value, "tolist") else value
