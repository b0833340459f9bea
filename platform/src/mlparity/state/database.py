"""Opening the database, and the only two ways to use it: ``read()`` and ``write()``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import DatabaseError, OperationalError

from mlparity.errors import DataFolderError, StateError

_BUSY_SECONDS = 30


class Database:
    """One database, shared by all threads of the process.

    Writers take the write lock at BEGIN, so two of them queue instead of failing half-way; readers never
    wait (WAL). Raises ``StateError`` where the database is locked for more than 30 s or the disk is full.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._is_sqlite = url.startswith("sqlite")
        options: dict[str, Any] = {"pool_size": 16, "max_overflow": 48} if not url.endswith(":memory:") else {}
        if self._is_sqlite:
            options["connect_args"] = {"timeout": _BUSY_SECONDS, "check_same_thread": False}
        self.engine = create_engine(url, **options)
        if self._is_sqlite:
            event.listen(self.engine, "connect", _configure_sqlite)

    @classmethod
    def open(cls, path: Path) -> Database:
        """Open (or create) the SQLite file at ``path`` and bring its schema up to date.

        Raises ``DataFolderError`` where the file is not a database or is from a newer version.
        """
        from mlparity.state.migrate import upgrade

        path.parent.mkdir(parents=True, exist_ok=True)
        database = cls(f"sqlite:///{path}")
        try:
            upgrade(database)
        except DatabaseError as error:
            database.close()
            raise DataFolderError(
                f"{path} cannot be opened",
                str(error.orig),
                "move the data folder away (or delete it) and run `mlparity up` again",
            ) from error
        except BaseException:
            database.close()
            raise
        return database

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for queries: a consistent snapshot."""
        with self._translated(), self.engine.connect() as connection:
            if self._is_sqlite:
                connection.exec_driver_sql("BEGIN")
            yield connection
            connection.rollback()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection whose changes are committed together when the block ends, or not at all."""
        with self._translated(), self.engine.connect() as connection:
            if self._is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            connection.commit()

    def check(self) -> None:
        """Raise ``StateError`` unless the database answers."""
        with self.read() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close every connection. The object is of no use afterwards."""
        self.engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            raise StateError(
                "the state database refused",
                str(error.orig),
                "free disk space, or stop whatever holds the database, and try again",
            ) from error


def _configure_sqlite(connection: Any, _record: Any) -> None:
    """WAL for readers beside a writer; transactions begin only where ``Database`` says so."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "temp_store=MEMORY"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
