"""Opening the database, and the only two ways to use it: ``read()`` and ``write()``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import DatabaseError, OperationalError

from mlparity.errors import DataFolderError, StateError

BUSY_SECONDS = 30.0
_HINT = "free disk space, or stop whatever holds the database, and try again"


class _Open(threading.local):
    """The thread's own open transaction, if it has one, and what is to follow its commit."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.hooks: list[Callable[[], None]] = []


class Database:
    """One database, shared by all threads of the process.

    Writers take the write lock at BEGIN, so two of them queue instead of failing half-way; readers never
    wait (WAL). Raises ``StateError`` where the database is locked for more than ``busy_seconds`` or the disk is full.

    ``write`` inside ``write``, in the same thread, joins it: everything is committed together with the outermost
    block, or not at all; a part that fails and is caught is undone alone. What must not happen before the commit
    (waking a thread that looks at the rows) goes through ``after_commit``.
    """

    def __init__(self, url: str, busy_seconds: float = BUSY_SECONDS) -> None:
        self.url = url
        self._is_sqlite = url.startswith("sqlite")
        self._open = _Open()
        options: dict[str, Any] = {"pool_size": 16, "max_overflow": 48} if not url.endswith(":memory:") else {}
        if self._is_sqlite:
            options["connect_args"] = {"timeout": busy_seconds, "check_same_thread": False}
        self.engine = create_engine(url, **options)
        if self._is_sqlite:
            event.listen(self.engine, "connect", _configure_sqlite)

    @classmethod
    def open(cls, path: Path, busy_seconds: float = BUSY_SECONDS) -> Database:
        """Open (or create) the SQLite file at ``path`` and bring its schema up to date.

        Raises ``DataFolderError`` where the file is not a database or is from a newer version.
        """
        from mlparity.state.migrate import upgrade

        path.parent.mkdir(parents=True, exist_ok=True)
        database = cls(f"sqlite:///{path}", busy_seconds)
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
        """A connection for queries: a consistent snapshot, or the thread's own open transaction."""
        if self._open.connection is not None:
            yield self._open.connection
            return
        with self._translated(), self.engine.connect() as connection:
            if self._is_sqlite:
                connection.exec_driver_sql("BEGIN")
            yield connection
            connection.rollback()

    @contextmanager
    def write(self, *, apart: bool = True) -> Iterator[Connection]:
        """A connection whose changes are committed together when the outermost block ends, or not at all.

        ``apart=False`` saves the savepoint of a block that joins another: for one that raises before it has changed
        anything, or whose failure ends the outermost block, too.
        """
        if self._open.connection is not None:
            if apart:
                with self._part(self._open.connection) as connection:
                    yield connection
            else:
                self._require_open(self._open.connection)
                yield self._open.connection
            return
        with self._translated(), self.engine.connect() as connection:
            if self._is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            self._open.connection, self._open.hooks = connection, []
            try:
                yield connection
                self._require_open(connection)
                connection.commit()
            finally:
                hooks, self._open.connection, self._open.hooks = self._open.hooks, None, []
        for hook in hooks:
            hook()

    def after_commit(self, action: Callable[[], None]) -> None:
        """Call ``action`` once the thread's open transaction is committed; at once where it has none.

        Never where the transaction, or the part of it that asked, is undone. ``action`` must not raise.
        """
        if self._open.connection is None:
            action()
        else:
            self._open.hooks.append(action)

    @contextmanager
    def _part(self, connection: Connection) -> Iterator[Connection]:
        self._require_open(connection)
        hooks = len(self._open.hooks)
        savepoint = connection.begin_nested()
        try:
            yield connection
            savepoint.commit()
        except BaseException:
            del self._open.hooks[hooks:]
            with suppress(DatabaseError):  # a full disk has undone the whole transaction already
                savepoint.rollback()
            raise

    def _require_open(self, connection: Connection) -> None:
        """SQLite undoes the whole transaction where the disk is full: what follows must not pass for committed."""
        if self._is_sqlite and not getattr(connection.connection.dbapi_connection, "in_transaction", True):
            raise StateError("the state database refused", "the transaction was undone, as the disk is full", _HINT)

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
                _HINT,
            ) from error


def _configure_sqlite(connection: Any, _record: Any) -> None:
    """WAL for readers beside a writer; transactions begin only where ``Database`` says so."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "temp_store=MEMORY"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
