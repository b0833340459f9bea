"""What a column holds: its kind, how much of it is there, its numbers or its texts.

The kinds and how they are inferred follow Deequ, on which SageMaker's analyzer is built: a column with one text in it
is a text column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

_INTEGER = r"[+-]?[0-9]+"


class Kind(StrEnum):
    """``inferred_type`` in the files."""

    INTEGRAL = "Integral"
    FRACTIONAL = "Fractional"
    STRING = "String"
    UNKNOWN = "Unknown"  # nothing is there

    @property
    def is_number(self) -> bool:
        """Whether numerical statistics are made of it."""
        return self in {Kind.INTEGRAL, Kind.FRACTIONAL}


@dataclass(frozen=True)
class Column:
    """A column that was read.

    ``numbers``: the finite numbers in it, float64, unsorted. ``texts``: how often each value is there, most first; for
    text columns alone. ``integral``, ``fractional``, ``other``: how many present values are of which kind.
    """

    name: str
    present: int
    missing: int
    integral: int
    fractional: int
    other: int
    numbers: NDArray[np.float64]
    texts: Mapping[str, int]

    @property
    def kind(self) -> Kind:
        """The narrowest kind that takes every present value."""
        if self.present == 0:
            return Kind.UNKNOWN
        if self.other:
            return Kind.STRING
        return Kind.FRACTIONAL if self.fractional else Kind.INTEGRAL

    @property
    def completeness(self) -> float:
        """The share of rows that have a value; 1.0 where there are no rows."""
        rows = self.present + self.missing
        return self.present / rows if rows else 1.0

    def share_of(self, kind: Kind) -> float:
        """The share of the present values that a column of ``kind`` takes; 1.0 where nothing is there.

        Whole numbers are also fractions. A text column takes everything, unless there is nothing but numbers in it.
        """
        if self.present == 0 or kind is Kind.UNKNOWN:
            return 1.0
        if kind is Kind.STRING:
            return 1.0 if self.other else 0.0
        fitting = self.integral + (self.fractional if kind is Kind.FRACTIONAL else 0)
        return fitting / self.present


def read_columns(frame: pd.DataFrame) -> list[Column]:
    """Every column of ``frame``, whose cells are texts, numbers, or missing."""
    return [_read(str(name), frame.iloc[:, index]) for index, name in enumerate(frame.columns)]


def _read(name: str, cells: pd.Series[Any]) -> Column:
    import numpy as np
    import pandas as pd

    present = cells[cells.notna()].astype(str)
    parsed = pd.to_numeric(present, errors="coerce").to_numpy(dtype=np.float64)
    numeric = np.isfinite(parsed)
    integral = int(present[numeric].str.fullmatch(_INTEGER).sum())
    other = int((~numeric).sum())
    return Column(
        name,
        present=len(present),
        missing=len(cells) - len(present),
        integral=integral,
        fractional=int(numeric.sum()) - integral,
        other=other,
        numbers=parsed[numeric],
        texts={str(value): int(count) for value, count in present.value_counts().items()} if other else {},
    )
