"""Names and numbers of the scenario."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from mlparity.errors import ConfigurationError

ENDPOINT = "flights-deployment"  # the endpoint's display name
MODEL = "flights-deployment"  # the model's id in the registry
NIGHTLY_MODEL = "flights-deployment-nightly"  # what the schedule trains, beside the other
LOOP = "flights-deployment"
SCHEDULE = "flights-deployment-nightly"
MONITOR = "flights-deployment-drift"
FOLDER = "vertex_deployment"  # below the bucket: everything that the scenario writes
LABEL = {"scenario": "vertex-deployment"}
MACHINE = "n1-standard-2"
WINTER, SUMMER = 2, 7  # months
WEAK, STRONG = 5, 50  # rounds of boosting
STEPS = (5, 25, 50, 100)  # percentages of the traffic that a new version gets
MAX_ERROR_RATE = 0.01
MAX_P95_SECONDS = 2.0  # of a request with one flight, as the client sees it
THRESHOLD = 0.3  # of every feature's distance from the training data
MIN_ROC_AUC = 0.6


@dataclass(frozen=True)
class Case:
    """What the person asked for."""

    sample: int  # every n-th flight is trained on
    requests: int  # to each step of a canary


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"vertex_deployment: {message}", "", "[--sample N] [--requests N]")


def case_of(arguments: Sequence[str]) -> Case:
    """Read the scenario's arguments. Raises ``ConfigurationError``."""
    parser = _Parser(prog="vertex_deployment", add_help=False)
    parser.add_argument("--sample", type=int, default=2)
    parser.add_argument("--requests", type=int, default=200)
    given = parser.parse_args(list(arguments))
    if given.sample not in {1, 2}:
        raise ConfigurationError("vertex_deployment: --sample must be 1 or 2", "with fewer flights the gate is chance")
    if not 100 <= given.requests <= 10_000:
        raise ConfigurationError(
            "vertex_deployment: --requests must be 100 to 10000", "with fewer, 5 % of them prove nothing"
        )
    return Case(given.sample, given.requests)
