"""Alarms and their history in the state database. A change of state, its history and what follows are one write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select, update

from mlparity.state import Database
from mlparity.state.schema.aws import alarm_history, alarms

HISTORY = timedelta(days=30)
NEW_REASON = "Unchecked: Initial alarm creation"


@dataclass(frozen=True)
class Alarm:
    """An alarm; ``body`` has the members of PutMetricAlarm but for ActionsEnabled."""

    region: str
    name: str
    body: Mapping[str, Any]
    actions_enabled: bool
    state: str
    state_reason: str
    state_data: str
    state_at: datetime
    transitioned_at: datetime
    created_at: datetime
    updated_at: datetime

    def arn(self, account_id: str) -> str:
        """The alarm's ARN."""
        return f"arn:aws:cloudwatch:{self.region}:{account_id}:alarm:{self.name}"


@dataclass(frozen=True)
class HistoryItem:
    """One line of an alarm's history."""

    sequence: int
    alarm: str
    kind: str
    at: datetime
    summary: str
    data: str


class AlarmStore:
    """One method a question."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, region: str, name: str) -> Alarm | None:
        """None where there is none."""
        with self._database.read() as connection:
            return _get(connection, region, name)

    def select(
        self, region: str | None = None, *, prefix: str = "", state: str | None = None, after: str = "", limit: int = 0
    ) -> list[Alarm]:
        """In the order of their names; ``limit`` 0 is all of them."""
        query = select(alarms).order_by(alarms.c.region, alarms.c.name)
        if region is not None:
            query = query.where(alarms.c.region == region)
        if prefix:
            query = query.where(alarms.c.name.startswith(prefix, autoescape=True))
        if state is not None:
            query = query.where(alarms.c.state == state)
        if after:
            query = query.where(alarms.c.name > after)
        if limit:
            query = query.limit(limit)
        with self._database.read() as connection:
            return [_alarm(row) for row in connection.execute(query)]

    def put(self, alarm: Alarm, summary: str, data: str) -> None:
        """Store a new alarm, or the definition of a known one: its state stays."""
        with self._database.write() as connection:
            if _get(connection, alarm.region, alarm.name) is None:
                connection.execute(alarms.insert().values(**{**vars(alarm), "body": dict(alarm.body)}))
            else:
                values = {
                    "body": dict(alarm.body),
                    "actions_enabled": alarm.actions_enabled,
                    "updated_at": alarm.updated_at,
                }
                connection.execute(update(alarms).where(*_key(alarm.region, alarm.name)).values(**values))
            _remember(connection, alarm.region, alarm.name, "ConfigurationUpdate", alarm.updated_at, summary, data)

    def set_state(
        self,
        alarm: Alarm,
        changed: Alarm,
        summary: str,
        data: str,
        also: Callable[[Connection], None],
    ) -> bool:
        """Go from ``alarm`` to ``changed``, remember it, and do what follows in the same write.

        False, and nothing is done, where the alarm is another by now.
        """
        with self._database.write() as connection:
            if _get(connection, alarm.region, alarm.name) != alarm:
                return False
            values = {
                name: getattr(changed, name)
                for name in ("state", "state_reason", "state_data", "state_at", "transitioned_at")
            }
            connection.execute(update(alarms).where(*_key(alarm.region, alarm.name)).values(**values))
            _remember(connection, alarm.region, alarm.name, "StateUpdate", changed.state_at, summary, data)
            also(connection)
        return True

    def enable_actions(self, region: str, names: tuple[str, ...], at: datetime, *, enabled: bool) -> None:
        """Switch the actions of alarms on or off; names that are not there are ignored, as the vendor does."""
        with self._database.write() as connection:
            connection.execute(
                update(alarms)
                .where(alarms.c.region == region, alarms.c.name.in_(names))
                .values(actions_enabled=enabled, updated_at=at)
            )

    def delete(self, region: str, names: tuple[str, ...]) -> None:
        """Forget alarms. Their history stays."""
        with self._database.write() as connection:
            connection.execute(delete(alarms).where(alarms.c.region == region, alarms.c.name.in_(names)))

    def remember(self, region: str, name: str, kind: str, at: datetime, summary: str, data: str) -> None:
        """Add to an alarm's history."""
        with self._database.write() as connection:
            _remember(connection, region, name, kind, at, summary, data)

    def history(
        self, region: str, wanted: Mapping[str, Any], before: int | None, limit: int, *, oldest_first: bool
    ) -> list[HistoryItem]:
        """A page; ``wanted`` may have "alarm", "kind", "start" and "end", ``before`` is the last sequence shown."""
        table = alarm_history
        query = select(table).where(table.c.region == region)
        if wanted.get("alarm"):
            query = query.where(table.c.alarm == wanted["alarm"])
        if wanted.get("kind"):
            query = query.where(table.c.kind == wanted["kind"])
        if wanted.get("start"):
            query = query.where(table.c.at >= wanted["start"])
        if wanted.get("end"):
            query = query.where(table.c.at <= wanted["end"])
        if before is not None:
            query = query.where(table.c.sequence > before if oldest_first else table.c.sequence < before)
        order = table.c.sequence.asc() if oldest_first else table.c.sequence.desc()
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(order).limit(limit)).all()
        return [HistoryItem(row.sequence, row.alarm, row.kind, row.at, row.summary, row.data) for row in rows]

    def forget_history(self, before: datetime) -> None:
        """Drop what is older."""
        with self._database.write() as connection:
            connection.execute(delete(alarm_history).where(alarm_history.c.at < before))


def _key(region: str, name: str) -> tuple[Any, ...]:
    return alarms.c.region == region, alarms.c.name == name


def _get(connection: Connection, region: str, name: str) -> Alarm | None:
    row = connection.execute(select(alarms).where(*_key(region, name))).one_or_none()
    return None if row is None else _alarm(row)


def _alarm(row: Any) -> Alarm:
    return Alarm(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it


def _remember(
    connection: Connection, region: str, alarm: str, kind: str, at: datetime, summary: str, data: str
) -> None:
    values = {"region": region, "alarm": alarm, "kind": kind, "at": at, "summary": summary, "data": data}
    connection.execute(alarm_history.insert().values(**values))
