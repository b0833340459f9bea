"""Which deployment takes a request, and which shadows get a copy. Pure: the randomness is an argument."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from random import Random

from mlparity.serving.routing.table import RoutedDeployment


class Chooser:
    """Draws from the deployments of one table.

    A deployment's share is its weight by the sum of all. One named by its variant is drawn among that variant's
    deployments only, by weight; where those weights are all 0 it is served all the same, evenly.
    """

    def __init__(self, deployments: Sequence[RoutedDeployment]) -> None:
        production = [one for one in deployments if not one.shadow]
        self._all = _Draw([one.deployment for one in production], [one.weight for one in production])
        self._variants = {
            name: _of_variant([one for one in production if one.variant == name])
            for name in {one.variant for one in production}
        }
        whole = sum(one.weight for one in production)
        # Shares as SageMaker has them: a shadow's weight by the production variants'.
        self._shadows = [
            (one.deployment, min(1.0, one.weight / whole) if whole > 0 else 0.0) for one in deployments if one.shadow
        ]

    def knows(self, variant: str) -> bool:
        """Whether a production variant has this name."""
        return variant in self._variants

    def draw(self, random: Random, variant: str = "") -> str | None:
        """The id of a deployment; None where no weight is above 0 and no variant is named, or it is not known."""
        draw = self._variants.get(variant) if variant else self._all
        return draw.one(random) if draw is not None else None

    def shadows(self, random: Random) -> Sequence[str]:
        """The ids of the shadows that get a copy of this request."""
        if not self._shadows:
            return ()
        return [name for name, share in self._shadows if share >= 1.0 or random.random() < share]


def _of_variant(deployments: Sequence[RoutedDeployment]) -> _Draw:
    weights = [one.weight for one in deployments]
    return _Draw([one.deployment for one in deployments], weights if any(weights) else [1.0] * len(weights))


class _Draw:
    def __init__(self, names: Sequence[str], weights: Sequence[float]) -> None:
        kept = [(name, weight) for name, weight in zip(names, weights, strict=True) if weight > 0]
        self._names = [name for name, _ in kept]
        self._sums = list(accumulate(weight for _, weight in kept))

    def one(self, random: Random) -> str | None:
        if len(self._names) < 2:  # noqa: PLR2004 - nothing to draw
            return self._names[0] if self._names else None
        found = bisect_right(self._sums, random.random() * self._sums[-1])
        return self._names[min(found, len(self._names) - 1)]
