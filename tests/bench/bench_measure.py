"""What a measurement is: samples of mlparity and of its peers, taken in turns, and the budget they are held to."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

OURS = "mlparity"
Samples = Sequence[float]


@dataclass(frozen=True)
class Budget:
    """A limit on the median: absolute (``peer`` is ""), or on the ratio of the medians to a peer's."""

    limit: float
    peer: str = ""


@dataclass(frozen=True)
class Result:
    """One line of the table. ``unit`` is of every sample; lower is better unless ``more_is_better``."""

    bench: str
    what: str
    unit: str
    ours: Samples
    peers: Mapping[str, Samples]
    budgets: Sequence[Budget] = ()
    more_is_better: bool = False
    note: str = ""

    @property
    def median(self) -> float:
        """The median of mlparity's samples."""
        return statistics.median(self.ours)

    def peer_median(self, name: str) -> float:
        """The median of a peer's samples."""
        return statistics.median(self.peers[name])

    def ratio(self, name: str) -> float:
        """Mlparity's median over the peer's."""
        theirs = self.peer_median(name)
        return self.median / theirs if theirs else math.inf

    def meets(self, budget: Budget) -> bool:
        """Whether the medians keep the budget."""
        value = self.ratio(budget.peer) if budget.peer else self.median
        return value >= budget.limit if self.more_is_better else value <= budget.limit


@dataclass(frozen=True)
class Options:
    """What the command line says. ``rounds`` is None for each benchmark's own number."""

    folder: Path  # temporary; everything that is measured is written there
    rounds: int | None
    say: Callable[[str], None]
    cache: Path  # kept: peers that have to be fetched
    person: Mapping[str, str]  # the environment before it was emptied, for the programs that fetch

    def rounds_or(self, usual: int) -> int:
        """How many rounds to measure."""
        return self.rounds or usual


def timed(action: Callable[[], object]) -> float:
    """Seconds that ``action`` takes."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def in_turns(rounds: int, actions: Mapping[str, Callable[[], Samples]]) -> dict[str, list[float]]:
    """Let every action take its samples once a round, each round in the opposite order of the one before.

    What else the machine does then falls on all of them alike.
    """
    samples: dict[str, list[float]] = {name: [] for name in actions}
    names = list(actions)
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            samples[name].extend(actions[name]())
    return samples


def percentile(samples: Samples, share: float) -> float:
    """The smallest sample that ``share`` (0 to 1) of them do not exceed."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
