"""The quantiles of a column in little space, in the layout of a KLL sketch: level i holds items that stand for 2**i.

https://arxiv.org/abs/1603.05346. A KLL sketch is made for streams. Here the whole column is at hand, so every item is
the median of the run of values that it stands for: ranks are off by at most half a run, n / (2 k) values at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

K = 2048  # up to so many values are kept as they are
SHRINKING = 0.64  # the parameter c of the original; kept in the file, not used


@dataclass(frozen=True)
class Sketch:
    """``values`` (ascending) with ``weights``; the weights add up to the number of values sketched."""

    values: NDArray[np.float64]
    weights: NDArray[np.float64]

    @property
    def count(self) -> float:
        """How many values are sketched."""
        return float(self.weights.sum())

    def cdf(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """The share of the values that are at most ``at``."""
        import numpy as np

        ranks = np.concatenate(([0.0], np.cumsum(self.weights)))
        return ranks[np.searchsorted(self.values, at, side="right")] / self.count


def levels(numbers: NDArray[np.float64], k: int = K) -> list[list[float]]:
    """The items of each level, for ``numbers`` in any order."""
    import numpy as np

    ordered = np.sort(numbers)
    top = 0
    while len(ordered) >> top > k:
        top += 1
    found: list[list[float]] = [[] for _ in range(top + 1)]
    start = 0
    for level in range(top, -1, -1):
        run = 1 << level
        end = start + (len(ordered) - start) // run * run
        found[level] = [float(value) for value in ordered[start + (run - 1) // 2 : end : run]]
        start = end
    return found


def document(numbers: NDArray[np.float64]) -> dict[str, Any]:
    """As ``distribution.kll.sketch`` of the statistics file."""
    return {"parameters": {"c": SHRINKING, "k": float(K)}, "data": levels(numbers)}


def from_document(sketch: dict[str, Any]) -> Sketch:
    """The inverse of ``document``; also of a sketch that SageMaker's own analyzer wrote."""
    return from_levels(sketch["data"])


def from_levels(items: Sequence[Sequence[float]]) -> Sketch:
    """A sketch of the items of each level."""
    import numpy as np

    values = np.concatenate([np.asarray(level, dtype=np.float64) for level in items] or [np.empty(0)])
    weights = np.concatenate([np.full(len(level), float(1 << index)) for index, level in enumerate(items)] or [values])
    order = np.argsort(values, kind="stable")
    return Sketch(values[order], weights[order])
