"""The journal of events: written first, then delivered to every subscriber, also after a crash."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import select, update

from mlparity.clock import Clock
from mlparity.errors import StateError
from mlparity.ids import IdSource
from mlparity.state.database import Database
from mlparity.state.schema.engine import events

_LOG = logging.getLogger(__name__)
_PATIENCE = 1.0  # seconds before what the database refused is tried again
# Delivered events are marked together: a write for each would be a third of all that a job's states cost.
_LINGER = 0.05  # seconds without another event until those before are marked
_MOST = 100  # events until they are marked, however quickly others follow


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
    """Publishes in order from one thread. Delivery is at least once: a crash repeats what was not marked yet."""

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
        taken: list[int] = []  # delivered, and not marked yet
        while True:
            try:
                event = self._queue.get(timeout=_LINGER if taken else None)
            except queue.Empty:
                event = None
            else:
                if event is None:  # closing
                    self._until_done(partial(self._mark, taken))
                    return
                if not self._until_done(partial(self._deliver, event)):
                    return
                taken.append(event.sequence)
            if event is None or len(taken) >= _MOST:
                if not self._until_done(partial(self._mark, taken)):
                    return
                taken = []

    def _until_done(self, action: Callable[[], None]) -> bool:
        """Try until the database does not refuse (a full disk); False where the journal closes first.

        The next start then delivers again what nobody knows to be taken.
        """
        while True:
            try:
                action()
            except StateError as error:
                _LOG.warning("events wait: %s", error)
                if self._closing.wait(_PATIENCE):
                    return False
            else:
                return True

    def _deliver(self, event: Event) -> None:
        for subscriber in self._subscribers:
            try:
                subscriber(event)
            except StateError:
                raise
            except Exception:  # noqa: BLE001 - one subscriber must not stop the others
                _LOG.exception("event %s was not taken", event.detail_type)

    def _mark(self, sequences: Sequence[int]) -> None:
        if sequences:
            with self._database.write() as connection:
                connection.execute(
                    update(events).where(events.c.sequence.in_(sequences)).values(delivered_at=self._clock.now())
                )
