"""The journal of events: in order, at least once, and marked in few writes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event as sql
from sqlalchemy import select

from mlparity.engine.events import Event, EventJournal
from mlparity.errors import StateError
from mlparity.ids import SystemIds
from mlparity.state import Database
from mlparity.state.schema.engine import events
from mlparity.testing import TestClock


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "state.db")
    yield opened
    opened.close()


class Taken:
    """A subscriber that counts; it refuses while ``errors`` has any."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.errors: list[Exception] = []
        self._changed = threading.Condition()

    def __call__(self, event: Event) -> None:
        with self._changed:
            self.kinds.append(event.detail_type)
            self._changed.notify_all()
            if self.errors:
                raise self.errors.pop()

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.kinds) >= count, 20)


def journal(database: Database, taken: Taken) -> EventJournal:
    made = EventJournal(database, TestClock(), SystemIds())
    made.subscribe(taken)
    return made


def publish(made: EventJournal, *kinds: str) -> None:
    for kind in kinds:
        made.publish("aws.sagemaker", kind, {})


def leave(database: Database, *kinds: str) -> None:
    """Publish, and die before anything is delivered."""
    publish(journal(database, Taken()), *kinds)


def unmarked(database: Database) -> list[str]:
    with database.read() as connection:
        query = select(events.c.detail_type).where(events.c.delivered_at.is_(None)).order_by(events.c.sequence)
        return list(connection.execute(query).scalars())


def test_events_are_delivered_in_order_and_marked_together(database: Database) -> None:
    taken = Taken()
    made = journal(database, taken)
    kinds = [str(number) for number in range(250)]
    leave(database, *kinds)
    marks: list[str] = []
    sql.listen(
        database.engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_: marks.append(statement) if statement.startswith("UPDATE events") else None,
    )
    made.start()
    made.close()
    assert taken.kinds == kinds
    assert unmarked(database) == []
    assert len(marks) == 3


def test_they_are_marked_though_none_follows(database: Database) -> None:
    taken, marked = Taken(), threading.Event()
    made = journal(database, taken)
    sql.listen(
        database.engine,
        "after_cursor_execute",
        lambda _c, _cursor, statement, *_: marked.set() if statement.startswith("UPDATE events") else None,
    )
    made.start()
    publish(made, "first")
    assert marked.wait(20)
    made.close()
    assert unmarked(database) == []


def test_what_was_not_marked_is_delivered_by_the_next_start_and_nothing_else(database: Database) -> None:
    first = journal(database, Taken())
    first.start()
    publish(first, "before")
    first.close()
    leave(database, "left")
    taken = Taken()
    second = journal(database, taken)
    second.start()
    publish(second, "after")
    taken.wait_for(2)
    second.close()
    assert taken.kinds == ["left", "after"]
    assert unmarked(database) == []


def test_what_a_subscriber_fails_at_does_not_stop_it(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    taken = Taken()
    taken.errors.append(ValueError("not this one"))
    made = journal(database, taken)
    leave(database, "a", "b")
    made.start()
    made.close()
    assert taken.kinds == ["a", "b"]
    assert unmarked(database) == []
    assert "event a was not taken" in caplog.text


def test_what_the_database_refused_is_delivered_again_not_passed_over(database: Database) -> None:
    taken = Taken()
    taken.errors.append(StateError("the disk is full"))
    made = journal(database, taken)
    leave(database, "a", "b")
    made.start()
    taken.wait_for(3)
    made.close()
    assert taken.kinds == ["a", "a", "b"]
    assert unmarked(database) == []


def test_a_mark_that_is_refused_delivers_nothing_twice_in_this_process(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, refused = Taken(), threading.Event()
    made = journal(database, taken)
    leave(database, "a", "b")
    mark = made._mark

    def once(sequences: list[int]) -> None:
        if not refused.is_set():
            refused.set()
            raise StateError("the disk is full")
        mark(sequences)

    monkeypatch.setattr(made, "_mark", once)
    made.start()
    assert refused.wait(20)
    publish(made, "c")
    taken.wait_for(3)
    made.close()
    assert taken.kinds == ["a", "b", "c"]
    assert unmarked(database) == []
