"""Generations against a model: whatever is written, deleted and switched, the store shows what Cloud Storage would."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mlparity.errors import ConflictError, NoSuchObjectError, PreconditionFailedError
from mlparity.ids import SystemIds
from mlparity.state import Database
from mlparity.storage.base import ObjectInfo
from mlparity.storage.bucketstore import Condition, Properties
from mlparity.storage.filestore import FileObjectStore
from mlparity.storage.listing import Span
from mlparity.testing import TestClock

KEYS = ("a", "a/b", "c")
NONE = Condition()


@dataclass
class Model:
    """Per key: the bytes of each generation, and which one is live."""

    versioned: bool = False
    kept: dict[str, dict[int, bytes]] = field(default_factory=lambda: {key: {} for key in KEYS})
    live: dict[str, int | None] = field(default_factory=lambda: dict.fromkeys(KEYS))

    def replace(self, key: str, generation: int | None, data: bytes = b"") -> None:
        before = self.live[key]
        if before is not None and not self.versioned:
            del self.kept[key][before]
        if generation is not None:
            self.kept[key][generation] = data
        self.live[key] = generation


@pytest.mark.parametrize("seed", range(4))
def test_the_store_shows_what_the_model_says(seed: int, tmp_path: Path) -> None:
    chance, clock, model = random.Random(seed), TestClock(), Model()
    database = Database.open(tmp_path / "state.db")
    try:
        store = FileObjectStore(database, tmp_path / "objects", clock, SystemIds(), "r")
        store.create_bucket("data")
        newest = 0
        for number in range(40):
            key, roll, clock_moves = chance.choice(KEYS), chance.random(), chance.random() < 0.5
            if clock_moves:
                clock.advance(chance.choice((0.000001, 1.0)))
            if roll < 0.5:
                data = str(number).encode()
                made = store.put_bytes("data", key, data).sequence
                assert made > newest  # also after deletes, and while the clock stands still
                newest = made
                model.replace(key, made, data)
            elif roll < 0.65:
                if model.live[key] is None:
                    with pytest.raises(NoSuchObjectError):
                        store.generations.delete("data", key, None, NONE)
                else:
                    store.generations.delete("data", key, None, NONE)
                    model.replace(key, None)
            elif roll < 0.9 and model.kept[key]:
                gone = chance.choice(list(model.kept[key]))
                store.generations.delete("data", key, gone, NONE)
                del model.kept[key][gone]
                model.live[key] = None if model.live[key] == gone else model.live[key]
            elif roll >= 0.9:
                model.versioned = True
                store.buckets.set_versioning("data", "Enabled")
            check(store, model)
        for key in KEYS:
            for generation in list(model.kept[key]):
                store.generations.delete("data", key, generation, NONE)
        store.buckets.delete("data", despite_markers=True)
        assert [path for path in (tmp_path / "objects").rglob("*") if path.is_file()] == []
    finally:
        database.close()


def check(store: FileObjectStore, model: Model) -> None:
    live = [(key, model.live[key]) for key in KEYS if model.live[key] is not None]
    assert [(info.key, info.sequence) for info in store.generations.list("data", Span()).objects] == live
    every = [(key, generation) for key in KEYS for generation in sorted(model.kept[key])]
    found: list[ObjectInfo] = []
    after = ("", 0)
    while True:
        page = store.generations.list_all("data", Span(), after=after, limit=2)
        found += page.objects
        if page.next is None:
            break
        after = page.next
    assert [(info.key, info.sequence) for info in found] == every
    for info in found:
        assert (info.superseded_at is None) == (model.live[info.key] == info.sequence)
        with store.generations.open("data", info.key, info.sequence).stream as stream:
            assert stream.read() == model.kept[info.key][info.sequence]


def test_conditions_are_checked_with_the_write(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "state.db")
    try:
        store = FileObjectStore(database, tmp_path / "objects", TestClock(), SystemIds(), "r")
        store.create_bucket("data")

        def put(condition: Condition) -> int:
            writer = store.stage()
            writer.write(b"x")
            return store.put_staged("data", "k", writer.finish(), Properties(), condition).sequence

        with pytest.raises(PreconditionFailedError):
            put(Condition(generation_not=0))
        first = put(Condition(generation=0))
        for condition in (
            Condition(generation=0),
            Condition(generation=first + 1),
            Condition(generation_not=first),
            Condition(metageneration=2),
            Condition(metageneration_not=1),
        ):
            with pytest.raises(PreconditionFailedError):
                put(condition)
        changed = store.generations.update("data", "k", None, Condition(generation=first), lambda _: Properties())
        assert (changed.sequence, changed.metageneration) == (first, 2)
        assert put(Condition(generation=first, metageneration=2, generation_not=0)) > first
    finally:
        database.close()


def test_of_two_pieces_at_one_place_one_is_taken(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "state.db")
    try:
        store = FileObjectStore(database, tmp_path / "objects", TestClock(), SystemIds(), "r")
        store.create_bucket("data")
        session = store.sessions.create("data", "k", {})

        def append(data: bytes) -> int:
            writer = store.stage()
            writer.write(data)
            return store.sessions.append(session, writer.finish(), None).size

        assert append(b"one") == 3
        with pytest.raises(ConflictError):
            append(b"two")
        assert sum(path.is_file() for path in (tmp_path / "objects").rglob("*")) == 1
    finally:
        database.close()
