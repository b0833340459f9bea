"""What the person wrote after the scenario's name."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from mlparity.errors import ConfigurationError
from scenarios.mlflow_serving.names import INSTANCE_TYPE


@dataclass(frozen=True)
class Wish:
    """At most one of promote, back, reap and clean; none of them is the whole story."""

    promote: str = ""  # a version's number
    back: bool = False
    reap: bool = False
    clean: bool = False  # take away what --keep has kept
    delete: bool = False
    keep: bool = False
    build: bool = False
    idle_minutes: int = 60
    ttl_hours: float = 2.0
    instance_type: str = INSTANCE_TYPE


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"mlflow_serving: {message}", hint=" ".join(self.format_usage().split()))


def wish(arguments: Sequence[str]) -> Wish:
    """Read them. Raises ``ConfigurationError`` for what is none."""
    parser = _Parser(prog="mlparity run mlflow_serving --", add_help=False, allow_abbrev=False)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--promote", metavar="VERSION", default="")
    what.add_argument("--back", action="store_true")
    what.add_argument("--reap", action="store_true")
    what.add_argument("--clean", action="store_true")
    parser.add_argument("--delete", action="store_true")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--build", action="store_true")
    parser.add_argument("--idle-minutes", type=int, default=60)
    parser.add_argument("--ttl-hours", type=float, default=2.0)
    parser.add_argument("--instance-type", default=INSTANCE_TYPE)
    found = Wish(**vars(parser.parse_args(list(arguments))))
    if found.delete and not found.reap:
        raise ConfigurationError("mlflow_serving: --delete belongs to --reap")
    if found.idle_minutes < 1 or found.ttl_hours <= 0:
        raise ConfigurationError("mlflow_serving: --idle-minutes is at least 1, --ttl-hours more than 0")
    return found
