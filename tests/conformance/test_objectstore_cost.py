"""Listing costs what the page costs, however much lies beside or below it: counted in rows, not in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from mlparity.ids import SystemIds
from mlparity.state import Database
from mlparity.state.schema.storage import objects
from mlparity.storage import listing
from mlparity.storage.filestore import FileObjectStore
from mlparity.testing import TestClock


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "state.db")
    yield opened
    opened.close()


def fill(database: Database, keys: list[str], *, deleted: bool = False) -> None:
    with database.write() as connection:
        connection.execute(
            insert(objects),
            [
                {
                    "bucket": "data",
                    "key": key,
                    "version_id": "null",
                    "sequence": number,
                    "is_latest": True,
                    "is_delete_marker": deleted,
                    "size": 0,
                    "etag": "",
                    "blobs": [],
                    "headers": {},
                    "user_metadata": {},
                    "checksums": {},
                    "tags": {},
                    "created_at": datetime(2026, 1, 1, tzinfo=UTC),
                }
                for number, key in enumerate(keys)
            ],
        )


def test_folded_prefixes_are_skipped_not_scanned(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileObjectStore(database, tmp_path / "objects", TestClock(), SystemIds(), "us-east-1")
    store.create_bucket("data")
    fill(database, [f"run-{run:02}/{number:05}" for run in range(10) for number in range(2000)])
    fill(database, [f"run-00/gone-{number:05}" for number in range(2000)], deleted=True)
    read, rows = listing._KeySource.read, 0

    def counted(source: Any, *arguments: Any) -> Any:
        nonlocal rows
        found = read(source, *arguments)
        rows += len(found)
        return found

    monkeypatch.setattr(listing._KeySource, "read", counted)
    page = store.list("data", delimiter="/")
    assert page.prefixes == [f"run-{run:02}/" for run in range(10)]
    assert rows < 200
    rows = 0
    assert len(store.list("data", "run-05/", start_after="run-05/01000", limit=10).objects) == 10
    assert rows == 11


@pytest.mark.parametrize("statement", [listing._KEYS, listing._KEYS_BELOW])
def test_listings_walk_the_index(database: Database, statement: Any) -> None:
    compiled = str(statement.compile(dialect=database.engine.dialect))
    values = ("data", "a", "b", 10, 0) if compiled.count("?") == 5 else ("data", "a", 10, 0)
    with database.read() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", values).all()
    shown = " ".join(str(row[-1]) for row in plan)
    assert "ix_objects_listing (bucket=? AND is_latest=? AND is_delete_marker=? AND key>?" in shown
    assert "TEMP B-TREE" not in shown
