"""The journal of events: written first, then delivered to every subscriber, also after a crash."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from mlparity.clock import Clock
from mlparity.errors import StateError
from mlparity.ids import IdSource
from mlparity.state.database import Database
from mlparity.state.schema.engine import events

_LOG = logging.getLogger(__name__)
_PATIENCE = 1.0  # seconds before a delivery that the database refused is tried again


@dataclass(frozen=True)
class Event:
    """Something that happened, as event buses carry it."""

    sequence: int
    id: str
    at: datetime
    source: str  # "aws.sagemaker"
    detail_type: str
    resources: Sequence[str]
    detail: Mapping[str, Any]


class EventJournal:
    """Publishes in order from one thread. Delivery is at least once: a crash repeats what was under way."""

    def __init__(self, database: Database, clock: Clock, ids: IdSource) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._subscribers: list[Callable[[Event], None]] = []
        self._queue: queue.Queue[Event | None] = queue.Queue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._deliver_all, name="events", daemon=True)

    def subscribe(self, subscriber: Callable[[Event], None]) -> None:
        """Call ``subscriber`` with every event, from the journal's thread."""
        self._subscribers.append(subscriber)

    def publish(self, source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str] = ()) -> Event:
        """Record an event; it is delivered once the transaction that it belongs to is committed."""
        values = {
            "id": self._ids.uuid(),
            "at": self._clock.now(),
            "source": source,
            "detail_type": detail_type,
            "resources": list(resources),
            "detail": dict(detail),
        }
        with self._database.write() as connection:
            result = connection.execute(events.insert().values(**values))
            key = result.inserted_primary_key
        event = Event(sequence=key[0] if key else 0, **values)  # type: ignore[arg-type]
        self._database.after_commit(lambda: self._queue.put(event))
        return event

    def start(self) -> None:
        """Deliver what an earlier process left, then what comes."""
        query = select(events).where(events.c.delivered_at.is_(None)).order_by(events.c.sequence)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        for row in rows:
            mapping = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
            mapping.pop("delivered_at")
            self._queue.put(Event(**mapping))
        self._thread.start()

    def close(self) -> None:
        """Deliver what is queued and stop."""
        if self._thread.is_alive():
            self._closing.set()
            self._queue.put(None)
            self._thread.join()

    def _deliver_all(self) -> None:
        while (event := self._queue.get()) is not None:
            while not self._deliver(event):
                if self._closing.wait(_PATIENCE):
                    return  # the next start delivers it

    def _deliver(self, event: Event) -> bool:
        """Whether it is done: not where the database refused (a full disk), so that nobody knows what was taken."""
        try:
            for subscriber in self._subscribers:
                try:
                    subscriber(event)
                except StateError:
                    raise
                except Exception:  # noqa: BLE001 - one subscriber must not stop the others
                    _LOG.exception("event %s was not taken", event.detail_type)
            with self._database.write() as connection:
                connection.execute(
                    update(events).where(events.c.sequence == event.sequence).values(delivered_at=self._clock.now())
                )
        except StateError as error:
            _LOG.warning("event %s waits: %s", event.detail_type, error)
            return False
        return True
