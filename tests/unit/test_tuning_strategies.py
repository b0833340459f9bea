"""Search spaces and strategies, alone."""

from __future__ import annotations

import itertools
import json
import statistics

import pytest

from mlparity.engine.tuning.space import Choice, Range, Scale, Space, Values, checked_range
from mlparity.engine.tuning.strategies import (
    BayesianSearch,
    Fate,
    GridSearch,
    Observation,
    RandomSearch,
    Strategy,
    combinations,
)
from mlparity.errors import InvalidRequestError

SMOOTH = Space((Range("x", -2.0, 3.0), Range("y", 1e-4, 1.0, Scale.LOGARITHMIC)))


def loss(values: Values) -> float:
    """Least (0) at x = 1, y = 0.01."""
    import math

    return (float(values["x"]) - 1) ** 2 + (math.log10(float(values["y"])) + 2) ** 2


def searched(strategy: Strategy, trials: int) -> list[Observation]:
    seen: list[Observation] = []
    for number in range(trials):
        values = strategy.suggest(SMOOTH, seen, number)
        assert values is not None
        seen.append(Observation(values, Fate.MEASURED, loss(values)))
    return seen


def least(seen: list[Observation]) -> float:
    return min(observation.loss for observation in seen)


def test_a_grid_covers_the_product_exactly() -> None:
    space = Space((Choice("a", ("1", "2", "3")), Choice("b", ("x", "y"))))
    tried = [GridSearch().suggest(space, [], number) for number in range(6)]
    assert [(values["a"], values["b"]) for values in tried if values] == list(itertools.product("123", "xy"))
    assert GridSearch().suggest(space, [], 6) is None
    assert combinations(space) == 6
    with pytest.raises(ValueError, match="choices"):
        combinations(SMOOTH)


def test_random_repeats_for_a_seed_and_differs_for_another() -> None:
    def drawn(seed: int) -> list[Values | None]:
        return [RandomSearch(seed).suggest(SMOOTH, [], number) for number in range(20)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert len({json.dumps(values) for values in drawn(1)}) == 20


def test_bayesian_repeats_for_the_same_seed_and_history_and_learns_from_it() -> None:
    assert searched(BayesianSearch(4), 8) == searched(BayesianSearch(4), 8)
    seen = searched(BayesianSearch(4), 8)
    other = [Observation(one.values, Fate.MEASURED, -one.loss) for one in seen]
    assert BayesianSearch(4).suggest(SMOOTH, seen, 8) != BayesianSearch(4).suggest(SMOOTH, other, 8)


def test_bayesian_beats_random_on_average() -> None:
    seeds = range(6)
    bayesian = statistics.mean(least(searched(BayesianSearch(seed), 25)) for seed in seeds)
    at_random = statistics.mean(least(searched(RandomSearch(seed), 25)) for seed in seeds)
    assert bayesian < at_random / 2


def test_bayesian_takes_choices_whole_numbers_running_and_lost_trials() -> None:
    space = Space((Choice("kind", ("bad", "good")), Range("n", 1, 4, whole=True)))
    seen = [
        Observation({"kind": kind, "n": n}, Fate.MEASURED, (kind == "bad") + abs(n - 3))
        for kind in ("bad", "good")
        for n in (1, 2, 4)
    ]
    seen += [Observation({"kind": "good", "n": 3}, Fate.RUNNING), Observation({"kind": "bad", "n": 3}, Fate.LOST)]
    values = BayesianSearch(0).suggest(space, seen, len(seen))
    assert values is not None
    assert space.holds(values)
    assert isinstance(values["n"], int)


@pytest.mark.parametrize(
    "item",
    [
        Range("a", 0.001, 1000.0, Scale.LOGARITHMIC),
        Range("a", 0.0, 0.999, Scale.REVERSE_LOGARITHMIC),
        Range("a", -5.0, 5.0),
        Range("a", 1, 300, Scale.LOGARITHMIC, whole=True),
        Range("a", 0, 7, whole=True),
    ],
)
def test_units_and_values_are_each_others_inverse(item: Range) -> None:
    places = [number / 200 for number in range(201)]
    values = [item.at(place) for place in places]
    assert values == sorted(values)
    assert (values[0], values[-1]) == pytest.approx((item.low, item.high))
    assert [item.at(item.unit(value)) for value in values] == pytest.approx(values)
    assert all(item.holds(value) for value in values)


def test_scales_spread_as_they_say() -> None:
    assert Range("a", 0.001, 1000.0, Scale.LOGARITHMIC).at(0.5) == pytest.approx(1.0)
    assert Range("a", 0.0, 0.9999, Scale.REVERSE_LOGARITHMIC).at(0.5) == pytest.approx(0.99)
    thirds = [Range("a", 1, 3, whole=True).at(number / 300) for number in range(300)]
    assert [thirds.count(value) for value in (1, 2, 3)] == [100, 100, 100]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (Range("a", 2, 1), "is empty"),
        (Range("a", 0, 1, Scale.LOGARITHMIC), "above 0"),
        (Range("a", 0, 1, Scale.REVERSE_LOGARITHMIC), "within 0 <= x < 1.0"),
    ],
)
def test_ranges_that_cannot_be_searched_are_refused(item: Range, reason: str) -> None:
    with pytest.raises(InvalidRequestError, match=reason):
        checked_range(item)


def test_a_space_is_stored_and_read_back() -> None:
    space = Space(
        (Choice("a", ("1", "2")), Range("b", 0.0, 0.5, Scale.REVERSE_LOGARITHMIC), Range("c", 1, 9, whole=True))
    )
    assert Space.from_json(json.loads(json.dumps(space.to_json()))) == space
