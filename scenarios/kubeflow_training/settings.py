"""Names and numbers of the scenario."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from mlparity.errors import ConfigurationError

PIPELINE = "flights-delay-selection"
EXPERIMENT = "flights-delay"
SEED = 2013
FOLDS = 5
SAMPLE = 10  # one flight in ten: 33,000 flights, half a minute
MODELS = ("logistic-regression", "decision-tree")  # in the order that breaks a tie


@dataclass(frozen=True)
class Case:
    """What the person asked for."""

    sample: int  # every n-th flight
    seed: int
    on: str  # "kubeflow" or "vertex"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"kubeflow_training: {message}", "", "[--sample N] [--seed N] [--on kubeflow|vertex]")


def case_of(arguments: Sequence[str], *, vertex: bool = False) -> Case:
    """Read the scenario's arguments. Raises ``ConfigurationError``. ``vertex``: the profile has nothing else."""
    parser = _Parser(prog="kubeflow_training", add_help=False)
    parser.add_argument("--sample", type=int, default=SAMPLE)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--on", choices=("kubeflow", "vertex"), default="vertex" if vertex else "kubeflow")
    given = parser.parse_args(list(arguments))
    if not 1 <= given.sample <= 100:
        raise ConfigurationError("kubeflow_training: --sample must be 1 to 100", "1 takes every flight")
    return Case(given.sample, given.seed, given.on)
