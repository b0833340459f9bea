"""The names and numbers that the pipeline, its checks, its plan and its documentation share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from mlparity.errors import ConfigurationError

PIPELINE = "flights-arrival-delay"
PACKAGE_GROUP = "flights-arrival-delay"
TRAINING_JOBS = "flights-train"  # the SDK puts a training job's drivers under this prefix
TUNING_JOBS = "flights-tune"

# The best baseline (the mean of the carrier at that hour) has an MSE of 1560.3 min2 on November and December.
# A model has to save 5 % of that to be worth its upkeep: 1482.3, rounded down.
MSE_THRESHOLD = 1480.0
REQUIRED_REDUCTION = 0.05

# What a much better model than this one would reach: the second run asks for it, to be refused.
STRICT_THRESHOLD = 1300.0

PROCESSING_INSTANCE = "ml.m5.xlarge"
TRAINING_INSTANCE = "ml.m5.xlarge"
TRANSFORM_INSTANCE = "ml.m5.large"

# What the search tries: every combination, among them the one that the pipeline's settings were set to by hand.
TUNED = {"max_depth": ("5", "7"), "min_child_weight": ("50", "100")}
TUNING_AT_ONCE = 2

_MAX_SAMPLE = 50  # fewer flights than every 50th fill no carrier's hours


@dataclass(frozen=True)
class Case:
    """Which flights, and the names and thresholds that go with them.

    A sample's pipeline and models have names of their own: they are for looking, and nothing of them should be taken
    for a model of all flights.
    """

    every: int = 1  # every n-th flight

    @property
    def full(self) -> bool:
        """Whether every flight is used."""
        return self.every == 1

    @property
    def pipeline(self) -> str:
        """The pipeline's name."""
        return PIPELINE if self.full else f"{PIPELINE}-sample-{self.every}"

    @property
    def package_group(self) -> str:
        """The model package group's name."""
        return PACKAGE_GROUP if self.full else f"{PACKAGE_GROUP}-sample-{self.every}"


def case_of(arguments: Sequence[str], *, story: bool) -> Case:
    """Read the scenario's own arguments: ``--sample N``. Raises ``ConfigurationError``."""
    parser = argparse.ArgumentParser(prog="sagemaker_training", add_help=False, exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--sample", type=int, default=1)
    hint = "the scenario's own argument is --sample N, to use every N-th flight"
    try:
        found, unknown = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise ConfigurationError("the scenario's arguments are wrong", str(error), hint) from error
    if unknown:
        raise ConfigurationError(f"sagemaker_training takes no argument {unknown[0]!r}", "", hint)
    if not 1 <= found.sample <= _MAX_SAMPLE:
        raise ConfigurationError(f"--sample is {found.sample}", f"it can be 1 to {_MAX_SAMPLE}", hint)
    if found.sample > 1 and story:
        raise ConfigurationError(
            "the story needs every flight",
            "its thresholds are those of the whole year",
            "use --sample with --parts",
        )
    return Case(found.sample)
