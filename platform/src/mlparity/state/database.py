"""Opening the database, and the only two ways to use it: ``read()`` and ``write()``."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import DatabaseError, OperationalError

from mlparity.errors import DataFolderError, StateError

BUSY_SECONDS = 30.0
_HINT = "free disk space, or stop whatever holds the database, and try again"


@dataclass(frozen=True)
class _Mark:
    """A savepoint of SQLite, where what is undone alone begins."""

    name: str
    changes: int  # of the connection when it was set: while there are no more, it is where we are


class _Marks:
    """The savepoints of one transaction of SQLite. Parts that begin where another one does share its savepoint."""

    def __init__(self) -> None:
        self._open: list[_Mark] = []  # those of parts that are open, outermost first
        self._spare: _Mark | None = None  # after them: of a part that has changed nothing
        self._set = 0

    def begin(self, raw: sqlite3.Connection) -> tuple[_Mark, bool]:
        """Where a part begins, and whether the mark is its own."""
        changes, spare = raw.total_changes, self._spare
        if spare is None and self._open and self._open[-1].changes == changes:
            return self._open[-1], False
        self._spare = None
        if spare is None or spare.changes != changes:
            if spare is not None:
                raw.execute(f"RELEASE {spare.name}")
            self._set += 1
            spare = _Mark(f"part_{self._set}", changes)
            raw.execute(f"SAVEPOINT {spare.name}")
        self._open.append(spare)
        return spare, True

    def end(self, raw: sqlite3.Connection, mark: _Mark, *, own: bool) -> None:
        """Keep what the part has done."""
        if not own:
            return
        if raw.total_changes == mark.changes:
            self._spare = mark
        else:
            raw.execute(f"RELEASE {mark.name}")
            self._spare = None  # it went with the one around it
        self._open.pop()

    def undo(self, raw: sqlite3.Connection, mark: _Mark, *, own: bool) -> None:
        """Undo what the part has done."""
        raw.execute(f"ROLLBACK TO {mark.name}")
        self._spare = None  # it went, too
        if own:
            raw.execute(f"RELEASE {mark.name}")
            self._open.pop()


class _Open(threading.local):
    """The thread's own open transaction, if it has one, and what is to follow its commit."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.hooks: list[Callable[[], None]] = []
        self.marks = _Marks()


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
        self._busy_seconds = busy_seconds
        self._open = _Open()
        self._turn = threading.Lock()  # of this process's writers; SQLite would have each sleep and look again
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
        with self._translated(), self._in_turn(), self.engine.connect() as connection:
            if self._is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            self._open.connection, self._open.hooks, self._open.marks = connection, [], _Marks()
            try:
                yield connection
                self._require_open(connection)
                connection.commit()
            finally:
                hooks, self._open.connection, self._open.hooks = self._open.hooks, None, []
        for hook in hooks:
            hook()

    @property
    def in_transaction(self) -> bool:
        """Whether this thread has a transaction open: then it sees what the others do not see yet."""
        return self._open.connection is not None

    def after_commit(self, action: Callable[[], None]) -> None:
        """Call ``action`` once the thread's open transaction is committed; at once where it has none.

        Never where the transaction, or the part of it that asked, is undone. ``action`` must not raise.
        """
        if self._open.connection is None:
            action()
        else:
            self._open.hooks.append(action)

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """One writer after the other, where the database lets in one at a time. Others may write from elsewhere."""
        has_turn = self._is_sqlite and self._turn.acquire(timeout=self._busy_seconds)
        try:
            yield  # without a turn, the database refuses
        finally:
            if has_turn:
                self._turn.release()

    @contextmanager
    def _part(self, connection: Connection) -> Iterator[Connection]:
        self._require_open(connection)
        hooks = len(self._open.hooks)
        begin = self._marked if self._is_sqlite else Connection.begin_nested
        try:
            with begin(connection):
                yield connection
        except BaseException:
            del self._open.hooks[hooks:]
            raise

    @contextmanager
    def _marked(self, connection: Connection) -> Iterator[None]:
        """A savepoint, without what SQLAlchemy would do for it: a job has a hundred of them."""
        raw, marks = connection.connection.dbapi_connection, self._open.marks
        assert isinstance(raw, sqlite3.Connection)  # noqa: S101 - for the type checker
        mark, own = marks.begin(raw)
        try:
            yield
            marks.end(raw, mark, own=own)
        except BaseException:
            with suppress(sqlite3.DatabaseError):  # a full disk has undone the whole transaction already
                marks.undo(raw, mark, own=own)
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
            raise StateError("the state database refused", str(error.orig), _HINT) from error
        except sqlite3.OperationalError as error:
            raise StateError("the state database refused", str(error), _HINT) from error


def _configure_sqlite(connection: Any, _record: Any) -> None:
    """WAL for readers beside a writer; transactions begin only where ``Database`` says so."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "temp_store=MEMORY"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
