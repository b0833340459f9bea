"""Rows of plain numbers as arrays, without a frame: the quick way of the payloads that endpoints mostly get.

It reads only what it is sure of. None means: read it the general way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

Array = Any  # a 2-D numpy array


class Kind(Enum):
    """What a column's values must be."""

    DOUBLE = "double"
    LONG = "long"
    ANY = "any"


_SPLIT_KEYS = ({"columns", "data"}, {"columns", "data", "index"})
_TYPES: Mapping[Kind, set[type]] = {Kind.DOUBLE: {int, float}, Kind.LONG: {int}, Kind.ANY: {int, float}}


def rows_of(document: Any, kinds: Mapping[str, Kind]) -> Array | None:
    """The rows of an MLflow document (``dataframe_split`` or ``dataframe_records``) with just these columns."""
    if not isinstance(document, Mapping) or len(document) != 1:
        return None
    names = list(kinds)
    if "dataframe_split" in document:
        split = document["dataframe_split"]
        if not isinstance(split, Mapping) or split.keys() not in _SPLIT_KEYS or split["columns"] != names:
            return None
        return _array(split["data"], [_TYPES[kind] for kind in kinds.values()])
    if "dataframe_records" in document:
        records = document["dataframe_records"]
        if not isinstance(records, list) or any(not isinstance(row, Mapping) or list(row) != names for row in records):
            return None
        return _array([list(row.values()) for row in records], [_TYPES[kind] for kind in kinds.values()])
    return None


def csv_rows(text: str, columns: Sequence[str]) -> Array | None:
    """The rows of a CSV of numbers, its header (``columns``) left out. An empty value is missing: NaN."""
    import numpy as np

    lines = text.split("\n")
    if columns and lines[0].rstrip("\r") == ",".join(columns):
        del lines[0]
    try:
        rows = [[float(value) if value else np.nan for value in line.rstrip("\r").split(",")] for line in lines if line]
    except ValueError:
        return None  # texts, quotes, or blank lines
    width = len(rows[0]) if rows else 0
    return np.array(rows) if width and all(len(row) == width for row in rows) else None


def _array(rows: Any, types: Sequence[set[type]]) -> Array | None:
    import numpy as np

    if not isinstance(rows, list) or not rows:
        return None
    width = len(types)
    for row in rows:
        if not isinstance(row, list) or len(row) != width:
            return None
        for value, allowed in zip(row, types, strict=True):
            if type(value) not in allowed:
                return None
    return np.array(rows, dtype=np.float64)
