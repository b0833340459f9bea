"""Flights as the models take them, made by the training pipeline's own steps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from scenarios.vertex_training.components import fetch_flights, prepare
from scenarios.vertex_training.settings import FEATURES


@dataclass(frozen=True)
class Flights:
    """Some flights of one month that no version was trained on."""

    table: Any  # a DataFrame of FEATURES and "late"

    @classmethod
    def of_month(cls, month: int, workdir: Path) -> Flights:
        """Those that the pipeline keeps for testing, in an order of chance that is always the same."""
        import pandas as pd

        artifacts = [SimpleNamespace(path=str(workdir / name), metadata={}) for name in ("all.csv", "train", "test")]
        fetch_flights.python_func(every=1, months=[month], flights=artifacts[0])
        prepare.python_func(flights=artifacts[0], train=artifacts[1], test=artifacts[2])
        return cls(pd.read_csv(artifacts[2].path).sample(frac=1, random_state=month, ignore_index=True))

    @cached_property
    def instances(self) -> list[list[float]]:
        """As they are sent: numbers in the order of FEATURES."""
        found: list[list[float]] = self.table[list(FEATURES)].to_numpy(float).tolist()
        return found

    def part(self, start: int, count: int) -> Flights:
        """So many of them from ``start`` on, from the beginning again where there are not as many."""
        wanted = [(start + number) % len(self.table) for number in range(count)]
        return Flights(self.table.iloc[wanted].reset_index(drop=True))

    def leaving(self, origin: str) -> Flights:
        """Those from one airport."""
        code = int.from_bytes(origin.encode("ascii"), "big")
        return Flights(self.table[self.table["origin"] == code].reset_index(drop=True))
