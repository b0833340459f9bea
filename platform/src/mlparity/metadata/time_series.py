"""Points of time series, as TensorBoard keeps them: a value at a step, with the time when it was measured."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, func, or_, select

from mlparity.state.database import Database
from mlparity.state.schema.ml_metadata import ml_points

_BATCH = 400


@dataclass(frozen=True)
class Point:
    """One value. A scalar is in ``value``; a tensor is in ``tensor``, as the caller serialised it."""

    step: int
    at: datetime
    value: float = 0.0
    tensor: bytes | None = None
    version: int = 0


@dataclass(frozen=True)
class Extent:
    """How far a series goes."""

    max_step: int
    max_at: datetime
    points: int


class TimeSeries:
    """The points of all series, which are known by their full resource names."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, series: str, points: Iterable[Point]) -> None:
        """Add points; one at a step that has one replaces it."""
        rows = [_row(series, point) for point in {point.step: point for point in points}.values()]
        with self._database.write() as connection:
            for begin in range(0, len(rows), _BATCH):
                steps = [row["step"] for row in rows[begin : begin + _BATCH]]
                connection.execute(delete(ml_points).where(ml_points.c.series == series, ml_points.c.step.in_(steps)))
            if rows:
                connection.execute(ml_points.insert(), rows)

    def read(self, series: str, most: int = 0) -> Sequence[Point]:
        """The points by step; where there are more than ``most`` (0: any number), so many, evenly spread.

        The first and the last are always among them.
        """
        query = select(ml_points).where(ml_points.c.series == series).order_by(ml_points.c.step)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [_point(row) for row in _spread(rows, most)]

    def page(self, series: str, size: int, after: int | None) -> Sequence[Point]:
        """The next ``size`` points after a step."""
        query = select(ml_points).where(ml_points.c.series == series).order_by(ml_points.c.step).limit(size)
        if after is not None:
            query = query.where(ml_points.c.step > after)
        with self._database.read() as connection:
            return [_point(row) for row in connection.execute(query)]

    def extents(self, series: Collection[str]) -> dict[str, Extent]:
        """How far each of the series goes; those without points are left out."""
        wanted, found = list(series), dict[str, Extent]()
        table = ml_points.c
        with self._database.read() as connection:
            for begin in range(0, len(wanted), _BATCH):
                query = (
                    select(table.series, func.max(table.step), func.max(table.at), func.count())
                    .where(table.series.in_(wanted[begin : begin + _BATCH]))
                    .group_by(table.series)
                )
                found.update((name, Extent(step, at, count)) for name, step, at, count in connection.execute(query))
        return found

    def delete(self, name: str) -> None:
        """Forget the series of that name, and all that lie under it."""
        under = and_(ml_points.c.series > f"{name}/", ml_points.c.series < f"{name}0")  # "0" follows "/"
        with self._database.write() as connection:
            connection.execute(delete(ml_points).where(or_(ml_points.c.series == name, under)))


def _row(series: str, point: Point) -> dict[str, Any]:
    return {
        "series": series,
        "step": point.step,
        "at": point.at,
        "value": None if math.isnan(point.value) else point.value,
        "tensor": point.tensor,
        "version": point.version,
    }


def _point(row: Any) -> Point:
    value = math.nan if row.value is None else row.value
    return Point(row.step, row.at, value, row.tensor, row.version)


def _spread(rows: Sequence[Any], most: int) -> Sequence[Any]:
    if not most or len(rows) <= most:
        return rows
    if most == 1:
        return rows[-1:]
    return [rows[round(number * (len(rows) - 1) / (most - 1))] for number in range(most)]
