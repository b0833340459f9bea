"""Search strategies: what to try next, given a space and what was tried. The same inputs give the same answer."""

from __future__ import annotations

import itertools
import math
import random
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from mlparity.engine.tuning.space import Choice, Space, Values

_FIRST_AT_RANDOM = 3  # trials before the Bayesian search has something to learn from


class Fate(Enum):
    """What became of something tried."""

    RUNNING = "running"
    MEASURED = "measured"
    LOST = "lost"  # failed, stopped, or without an objective


@dataclass(frozen=True)
class Observation:
    """Something tried. ``loss`` is to be small, whatever the objective's direction; 0 unless ``MEASURED``."""

    values: Values
    fate: Fate
    loss: float = 0.0


class Strategy(Protocol):
    """One way to search."""

    def suggest(self, space: Space, history: Sequence[Observation], number: int) -> Values | None:
        """The values of the trial ``number`` (from 0); None where there is nothing left to try."""
        ...


class GridSearch:
    """Every combination of choices once, the last parameter changing quickest."""

    def suggest(self, space: Space, history: Sequence[Observation], number: int) -> Values | None:  # noqa: ARG002
        """The combination of that number."""
        if number >= combinations(space):
            return None
        chosen = next(itertools.islice(itertools.product(*_choices(space)), number, None))
        return {item.name: value for item, value in zip(space.parameters, chosen, strict=True)}


def combinations(space: Space) -> int:
    """How many there are. Raises ``ValueError`` for a space with ranges."""
    return math.prod(len(values) for values in _choices(space))


def _choices(space: Space) -> list[Sequence[str]]:
    choices = [item.values for item in space.parameters if isinstance(item, Choice)]
    if len(choices) != len(space.parameters):
        raise ValueError("a grid needs choices, not ranges")
    return choices


@dataclass(frozen=True)
class RandomSearch:
    """Each parameter drawn evenly on its scale. A trial's values depend on the seed and its number alone."""

    seed: int

    def suggest(self, space: Space, history: Sequence[Observation], number: int) -> Values | None:  # noqa: ARG002
        """The values of that number."""
        source = random.Random(f"{self.seed}:{number}")  # noqa: S311 - repeatability is the point
        return {item.name: item.at(source.random()) for item in space.parameters}


@dataclass(frozen=True)
class BayesianSearch:
    """Optuna's tree-structured Parzen estimator over all parameters at once; running trials count as bad ones."""

    seed: int

    def suggest(self, space: Space, history: Sequence[Observation], number: int) -> Values | None:
        """What promises most, by everything measured so far; the first few at random."""
        import optuna

        measured = sum(seen.fate is Fate.MEASURED for seen in history)
        if measured < _FIRST_AT_RANDOM:
            return RandomSearch(self.seed).suggest(space, history, number)
        known = {item.name: _distribution(item) for item in space.parameters}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                seed=random.Random(f"{self.seed}:{number}").getrandbits(32),  # noqa: S311
                n_startup_trials=_FIRST_AT_RANDOM,
                multivariate=True,
                constant_liar=True,
            )
        study = _study(sampler)
        study.add_trials([_tried(space, known, seen) for seen in history if seen.fate is not Fate.LOST])
        asked = study.ask(fixed_distributions=known).params
        return {item.name: _value(item, asked[item.name]) for item in space.parameters}


def _study(sampler: Any) -> Any:
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(sampler=sampler)
    finally:
        optuna.logging.set_verbosity(level)


def _tried(space: Space, known: dict[str, Any], seen: Observation) -> Any:
    import optuna

    params = {
        item.name: seen.values[item.name] if isinstance(item, Choice) else item.unit(seen.values[item.name])
        for item in space.parameters
    }
    if seen.fate is Fate.RUNNING:
        return optuna.trial.create_trial(
            state=optuna.trial.TrialState.RUNNING, params=params, distributions=known, value=None
        )
    return optuna.trial.create_trial(params=params, distributions=known, value=seen.loss)


def _distribution(item: Any) -> Any:
    """Ranges are searched in the unit interval: their scale is ours to apply."""
    import optuna

    if isinstance(item, Choice):
        return optuna.distributions.CategoricalDistribution(tuple(item.values))
    return optuna.distributions.FloatDistribution(0.0, 1.0)


def _value(item: Any, raw: Any) -> Any:
    return raw if isinstance(item, Choice) else item.at(raw)
