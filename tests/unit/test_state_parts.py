"""Blocks inside blocks of a transaction: what is kept and what is undone, however they lie in each other."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from random import Random

from mlparity.state import Database
from mlparity.state.documents import TagRepository

MOST_DEPTH = 4


class Refused(Exception):  # noqa: N818 - what a part of the program raises, and another catches
    pass


class Model:
    """Blocks at random: what is written, and what should be there afterwards."""

    def __init__(self, database: Database, seed: int) -> None:
        self._database = database
        self._tags = TagRepository(database)
        self._random = Random(seed)
        self._seed = seed
        self._written = 0

    def block(self, before: dict[str, str], depth: int = 0) -> dict[str, str]:
        """What is there after a block. Raises ``Refused``: then everything is as before."""
        now = dict(before)
        with self._database.write():
            for _ in range(self._random.randrange(5)):
                now = self._step(now, depth)
            if self._random.random() < 0.3:
                raise Refused
        return now

    def _step(self, now: dict[str, str], depth: int) -> dict[str, str]:
        if self._random.random() < 0.4:
            self._written += 1
            self._tags.add("r", {f"k{self._random.randrange(4)}": f"{self._seed}.{self._written}"})
            return self._tags.get("r")
        if depth == MOST_DEPTH:
            return now
        try:
            return self.block(now, depth + 1)
        except Refused:
            assert self._tags.get("r") == now
            return now


def test_a_part_that_fails_is_undone_alone_and_the_others_stay(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "state.db")
    kept = dict[str, str]()
    for seed in range(200):
        with suppress(Refused):
            kept = Model(database, seed).block(kept)
        assert TagRepository(database).get("r") == kept
    database.close()
