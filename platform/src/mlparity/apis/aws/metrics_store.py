"""Metric data in the state database: a row a datum, kept for 15 days."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update

from mlparity.state import Database
from mlparity.state.schema.aws import metric_data, metric_series


@dataclass(frozen=True)
class Series:
    """A metric: a name in a namespace with certain dimensions."""

    region: str
    namespace: str
    name: str
    dimensions: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """A digest: the same for the same metric, whatever the order of its dimensions."""
        parts = [self.region, self.namespace, self.name, sorted(self.dimensions.items())]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Datum:
    """What was put at one time. ``samples`` are values with their counts; None where only a summary is known."""

    at: datetime
    count: float
    total: float
    low: float
    high: float
    unit: str = "None"
    samples: Sequence[tuple[float, float]] | None = None

    @classmethod
    def of(cls, at: datetime, samples: Sequence[tuple[float, float]], unit: str = "None") -> Datum:
        """From values with their counts; at least one."""
        values = [value for value, _ in samples]
        count = sum(times for _, times in samples)
        total = sum(value * times for value, times in samples)
        return cls(at, count, total, min(values), max(values), unit, samples)


class MetricStore:
    """One method a question."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, data: Sequence[tuple[Series, Datum]]) -> None:
        """Keep data. All of it, or nothing."""
        with self._database.write() as connection:
            newest: dict[str, tuple[Series, datetime]] = {}
            for series, datum in data:
                known = newest.get(series.id)
                if known is None or datum.at > known[1]:
                    newest[series.id] = (series, datum.at)
            for key, (series, at) in newest.items():
                _touch(connection, key, series, at)
            connection.execute(metric_data.insert(), [_row(series.id, datum) for series, datum in data])

    def read(self, series: Series, start: datetime, end: datetime, unit: str | None = None) -> list[Datum]:
        """The data of ``start`` ≤ time < ``end``, oldest first; of one unit where one is given."""
        table = metric_data
        columns = (table.c.at, table.c.count, table.c.total, table.c.low, table.c.high, table.c.unit, table.c.samples)
        query = select(*columns).where(table.c.series_id == series.id, table.c.at >= start, table.c.at < end)
        if unit is not None:
            query = query.where(table.c.unit == unit)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(table.c.at, table.c.sequence)).all()
        return [Datum(*row[:-1], _samples(row[-1])) for row in rows]

    def page(
        self, region: str, *, namespace: str | None, name: str | None, since: datetime, after: str, limit: int
    ) -> list[Series]:
        """Metrics with data since then, in the order of their ids, beginning after ``after``."""
        table = metric_series
        query = select(table).where(table.c.region == region, table.c.last_at >= since, table.c.id > after)
        if namespace is not None:
            query = query.where(table.c.namespace == namespace)
        if name is not None:
            query = query.where(table.c.name == name)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(table.c.id).limit(limit)).all()
        return [Series(row.region, row.namespace, row.name, row.dimensions) for row in rows]

    def forget_before(self, moment: datetime) -> None:
        """Drop what is older."""
        with self._database.write() as connection:
            connection.execute(delete(metric_data).where(metric_data.c.at < moment))
            connection.execute(delete(metric_series).where(metric_series.c.last_at < moment))


def _touch(connection: Connection, key: str, series: Series, at: datetime) -> None:
    table = metric_series
    known = connection.execute(select(table.c.last_at).where(table.c.id == key)).scalar_one_or_none()
    if known is None:
        connection.execute(
            table.insert().values(
                id=key,
                region=series.region,
                namespace=series.namespace,
                name=series.name,
                dimensions=dict(series.dimensions),
                last_at=at,
            )
        )
    elif known < at:
        connection.execute(update(table).where(table.c.id == key).values(last_at=at))


def _row(series_id: str, datum: Datum) -> dict[str, Any]:
    return {
        "series_id": series_id,
        "at": datum.at,
        "unit": datum.unit,
        "count": datum.count,
        "total": datum.total,
        "low": datum.low,
        "high": datum.high,
        "samples": None if datum.samples is None else [list(sample) for sample in datum.samples],
    }


def _samples(stored: Any) -> Sequence[tuple[float, float]] | None:
    return None if stored is None else [(value, count) for value, count in stored]
