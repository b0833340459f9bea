"""Loops and cycles in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from mlparity.clock import Clock
from mlparity.errors import ConflictError, NotFoundError
from mlparity.monitoring.loop.cycles import Cycle, CycleState, Entry, Loop
from mlparity.monitoring.loop.definition import LoopDefinition
from mlparity.state.database import Database
from mlparity.state.schema.monitoring import loop_cycles, loops

_SUPPRESSED = CycleState.SUPPRESSED.value


class LoopRepository:
    """Typed access to the ``loops`` and ``loop_cycles`` tables of one vendor API."""

    def __init__(self, database: Database, clock: Clock, api: str) -> None:
        self._database = database
        self._clock = clock
        self._api = api
        self._known: Sequence[Loop] | None = None  # every event asks for all, and they hardly ever change
        self._version = 0  # of the loops: what was read while they changed is not kept

    def transaction(self) -> AbstractContextManager[object]:
        """What is written in the block happens together or not at all."""
        return self._database.write()

    def put(self, definition: LoopDefinition) -> Loop:
        """Store a loop, or the new definition of a known one; its cycles stay."""
        now = self._clock.now()
        values = {"definition": definition.model_dump(), "modified_at": now}
        with self._database.write() as connection:
            known = connection.execute(update(loops).where(*self._loop(definition.name)).values(**values)).rowcount
            if not known:
                new = {"api": self._api, "name": definition.name, "paused": False, "last_cycle": 0, "created_at": now}
                connection.execute(loops.insert().values(**values, **new))
            self._database.after_commit(self._changed)
        return self.get(definition.name)

    def get(self, name: str) -> Loop:
        """The loop. Raises ``NotFoundError``."""
        with self._database.read() as connection:
            row = connection.execute(select(loops).where(*self._loop(name))).one_or_none()
        if row is None:
            raise NotFoundError(f"there is no loop {name!r}", "", "`mlparity loop list` shows what there is")
        return _loop(row)

    def all(self) -> list[Loop]:
        """Every loop, in the order of their names."""
        known, version = self._known, self._version
        if known is not None and not self._database.in_transaction:
            return list(known)
        with self._database.read() as connection:
            rows = connection.execute(select(loops).where(loops.c.api == self._api).order_by(loops.c.name)).all()
        found = [_loop(row) for row in rows]
        if version == self._version and not self._database.in_transaction:
            self._known = found
        return list(found)

    def _changed(self) -> None:
        self._version += 1
        self._known = None

    def pause(self, name: str, *, paused: bool) -> Loop:
        """Let a loop act, or not. Raises ``NotFoundError``."""
        self.get(name)
        with self._database.write() as connection:
            values = {"paused": paused, "modified_at": self._clock.now()}
            connection.execute(update(loops).where(*self._loop(name)).values(**values))
            self._database.after_commit(self._changed)
        return self.get(name)

    def delete(self, name: str) -> None:
        """Forget a loop and its cycles. Raises ``NotFoundError``, or ``ConflictError`` while a cycle is under way."""
        self.get(name)
        with self._database.write() as connection:
            if self.active(name) is not None:
                raise ConflictError(
                    f"loop {name} cannot be deleted", "a cycle is under way", f"wait, or `mlparity loop stop {name}`"
                )
            connection.execute(delete(loop_cycles).where(*self._cycles(name)))
            connection.execute(delete(loops).where(*self._loop(name)))
            self._database.after_commit(self._changed)

    def open(
        self,
        loop: str,
        state: CycleState,
        *,
        key: str,
        trigger: str,
        event: Mapping[str, Any],
        facts: Mapping[str, Any],
        reason: str,
    ) -> Cycle:
        """Store a new cycle."""
        now = self._clock.now()
        with self._database.write() as connection:
            number = connection.execute(select(loops.c.last_cycle).where(*self._loop(loop))).scalar_one() + 1
            connection.execute(update(loops).where(*self._loop(loop)).values(last_cycle=number))
            row = {
                "api": self._api,
                "loop": loop,
                "number": number,
                "state": state.value,
                "dedupe_key": key,
                "trigger": trigger,
                "event": dict(event),
                "facts": dict(facts),
                "history": [{"at": now.isoformat(), "state": state.value, "reason": reason}],
                "created_at": now,
                "modified_at": now,
                "due_at": None if state.is_final else now,
            }
            try:
                connection.execute(loop_cycles.insert().values(**row))
            except IntegrityError as error:
                raise ConflictError(f"cycle {number} of {loop} exists already") from error
        return self.cycle(loop, number)

    def cycle(self, loop: str, number: int) -> Cycle:
        """The cycle. Raises ``NotFoundError``."""
        query = select(loop_cycles).where(*self._cycles(loop), loop_cycles.c.number == number)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise NotFoundError(f"loop {loop} has no cycle {number}")
        return _cycle(row)

    def move(
        self, cycle: Cycle, state: CycleState, reason: str, facts: Mapping[str, Any], due_at: datetime | None
    ) -> Cycle:
        """Enter ``state``, with its reason and what is known by now. A cycle that has ended stays as it is."""
        now = self._clock.now()
        with self._database.write() as connection:
            found = self.cycle(cycle.loop, cycle.number)
            if found.state.is_final:
                return found
            history = [*_stored(found.history), {"at": now.isoformat(), "state": state.value, "reason": reason}]
            values = {
                "state": state.value,
                "facts": {**found.facts, **facts},
                "history": history,
                "modified_at": now,
                "due_at": None if state.is_final else due_at or now,
            }
            connection.execute(update(loop_cycles).where(*self._one(cycle)).values(**values))
        return self.cycle(cycle.loop, cycle.number)

    def note(self, cycle: Cycle, due_at: datetime | None, facts: Mapping[str, Any] | None = None) -> Cycle:
        """Keep facts, and look again at ``due_at``; the state stays."""
        with self._database.write() as connection:
            found = self.cycle(cycle.loop, cycle.number)
            values: dict[str, Any] = {"due_at": due_at}
            if facts:
                values |= {"facts": {**found.facts, **facts}, "modified_at": self._clock.now()}
            connection.execute(update(loop_cycles).where(*self._one(cycle)).values(**values))
        return self.cycle(cycle.loop, cycle.number)

    def history(self, loop: str, limit: int) -> list[Cycle]:
        """The newest cycles, newest first."""
        query = select(loop_cycles).where(*self._cycles(loop)).order_by(loop_cycles.c.number.desc()).limit(limit)
        with self._database.read() as connection:
            return [_cycle(row) for row in connection.execute(query)]

    def active(self, loop: str) -> Cycle | None:
        """The cycle that is under way."""
        query = select(loop_cycles).where(*self._cycles(loop), loop_cycles.c.due_at.is_not(None))
        with self._database.read() as connection:
            row = connection.execute(query.limit(1)).one_or_none()
        return None if row is None else _cycle(row)

    def retrainings_since(self, loop: str, since: datetime, key: str | None = None) -> Sequence[Cycle]:
        """The cycles that started a retraining at or after ``since``, newest first; of one dedupe key, or of all."""
        query = select(loop_cycles).where(
            *self._cycles(loop), loop_cycles.c.created_at >= since, loop_cycles.c.state != _SUPPRESSED
        )
        if key is not None:
            query = query.where(loop_cycles.c.dedupe_key == key)
        with self._database.read() as connection:
            return [_cycle(row) for row in connection.execute(query.order_by(loop_cycles.c.number.desc()))]

    def next_due(self) -> datetime | None:
        """When the first cycle is to be looked at."""
        query = select(func.min(loop_cycles.c.due_at)).where(loop_cycles.c.api == self._api)
        with self._database.read() as connection:
            due: datetime | None = connection.execute(query).scalar_one()
        return due

    def due(self, now: datetime) -> list[Cycle]:
        """The cycles to look at."""
        query = select(loop_cycles).where(loop_cycles.c.api == self._api, loop_cycles.c.due_at <= now)
        with self._database.read() as connection:
            return [_cycle(row) for row in connection.execute(query.order_by(loop_cycles.c.due_at))]

    def _loop(self, name: str) -> tuple[Any, ...]:
        return loops.c.api == self._api, loops.c.name == name

    def _cycles(self, loop: str) -> tuple[Any, ...]:
        return loop_cycles.c.api == self._api, loop_cycles.c.loop == loop

    def _one(self, cycle: Cycle) -> tuple[Any, ...]:
        return *self._cycles(cycle.loop), loop_cycles.c.number == cycle.number


def _loop(row: Row[Any]) -> Loop:
    return Loop(LoopDefinition.model_validate(row.definition), row.paused, row.created_at, row.modified_at)


def _cycle(row: Row[Any]) -> Cycle:
    history = [
        Entry(datetime.fromisoformat(item["at"]), CycleState(item["state"]), item["reason"]) for item in row.history
    ]
    values = {name: value for name, value in row._mapping.items() if name != "api"}  # noqa: SLF001 - SQLAlchemy's name
    return Cycle(**{**values, "state": CycleState(row.state), "history": history})


def _stored(history: Sequence[Entry]) -> list[dict[str, str]]:
    return [{"at": item.at.isoformat(), "state": item.state.value, "reason": item.reason} for item in history]
