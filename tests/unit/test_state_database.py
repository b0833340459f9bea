"""The database: schema, transactions, paging."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import select, text

from mlparity.errors import DataFolderError, InvalidRequestError
from mlparity.state import Database
from mlparity.state.documents import DocumentFilter, DocumentRepository
from mlparity.state.migrate import HEAD, alembic_config
from mlparity.state.paging import PageRequest
from mlparity.state.schema import metadata
from mlparity.state.schema.documents import tags
from mlparity.testing import TestClock


@pytest.fixture
def database(tmp_path: Path):
    opened = Database.open(tmp_path / "state.db")
    yield opened
    opened.close()


def test_migrations_make_exactly_the_declared_schema(database: Database) -> None:
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_head_is_the_newest_revision(database: Database) -> None:
    assert ScriptDirectory.from_config(alembic_config(database.url)).get_current_head() == HEAD


def test_a_newer_schema_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    database = Database.open(path)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(DataFolderError, match="newer mlparity"):
        Database.open(path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(DataFolderError, match="cannot be opened"):
        Database.open(path)


def test_a_failed_write_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with database.write() as connection:
            connection.execute(tags.insert().values(resource="r", key="k", value="v"))
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        fail()
    with database.read() as connection:
        assert connection.execute(select(tags)).all() == []


def test_writers_queue_and_none_is_lost(database: Database) -> None:
    def write(number: int) -> None:
        for index in range(20):
            with database.write() as connection:
                connection.execute(tags.insert().values(resource=str(number), key=str(index), value=""))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        assert len(connection.execute(select(tags)).all()) == 80


@pytest.mark.parametrize("sort_by", ["name", "created_at"])
@pytest.mark.parametrize("descending", [True, False])
def test_pages_show_every_row_once_also_while_rows_are_added(
    database: Database, sort_by: str, descending: bool
) -> None:
    clock = TestClock()
    documents = DocumentRepository(database, clock, "test")
    for number in range(25):
        clock.advance(number % 2)  # some share a time
        documents.create("Thing", f"t{number:02}", {})
    shown: list[str] = []
    token = None
    while True:
        page = documents.list("Thing", DocumentFilter(), PageRequest(sort_by, descending, 7, token))
        shown += [item.name for item in page.items]
        token = page.next_token
        if token is None:
            break
        documents.create("Thing", f"a{len(shown)}" if not descending else f"z{len(shown)}", {})
    original = [name for name in shown if name.startswith("t")]
    assert sorted(original) == [f"t{number:02}" for number in range(25)]
    assert len(set(shown)) == len(shown)


def test_a_forged_token_is_refused(database: Database) -> None:
    documents = DocumentRepository(database, TestClock(), "test")
    with pytest.raises(InvalidRequestError):
        documents.list("Thing", DocumentFilter(), PageRequest("name", descending=False, limit=5, token="!!"))
