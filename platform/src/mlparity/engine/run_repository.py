"""Runs and their steps in the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select, update

from mlparity.clock import Clock
from mlparity.engine.runs import Run, RunPlan, RunStatus, Step, StepStatus, StepUpdate
from mlparity.errors import NotFoundError
from mlparity.state.database import Database
from mlparity.state.paging import Page, PageRequest, fetch_page
from mlparity.state.schema.engine import run_steps, runs


@dataclass(frozen=True)
class NewRun:
    """A run to create. ``id`` is the vendor's execution id."""

    id: str
    api: str
    kind: str
    parent: str
    name: str
    request: Mapping[str, Any]
    plan: RunPlan


class RunRepository:
    """Typed access to the ``runs`` and ``run_steps`` tables."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def create(self, new: NewRun) -> Run:
        """Store a run as EXECUTING with all its steps PENDING."""
        now = self._clock.now()
        with self._database.write() as connection:
            connection.execute(
                runs.insert().values(
                    id=new.id,
                    api=new.api,
                    kind=new.kind,
                    parent=new.parent,
                    name=new.name,
                    request=dict(new.request),
                    plan=new.plan.to_json(),
                    status=RunStatus.EXECUTING.value,
                    created_at=now,
                    started_at=now,
                    modified_at=now,
                )
            )
            rows = [
                {
                    "run_id": new.id,
                    "name": step.name,
                    "position": position,
                    "kind": step.kind,
                    "status": StepStatus.PENDING.value,
                    "outputs": {},
                    "details": {},
                }
                for position, step in enumerate(new.plan.steps)
            ]
            if rows:
                connection.execute(run_steps.insert(), rows)
        return self.get(new.id)

    def get(self, run_id: str) -> Run:
        """The run. Raises ``NotFoundError``."""
        with self._database.read() as connection:
            row = connection.execute(select(runs).where(runs.c.id == run_id)).one_or_none()
        if row is None:
            raise NotFoundError(f"run {run_id} does not exist")
        return _run(row)

    def steps(self, run_id: str) -> dict[str, Step]:
        """The run's steps by name, in the plan's order."""
        query = select(run_steps).where(run_steps.c.run_id == run_id).order_by(run_steps.c.position)
        with self._database.read() as connection:
            return {row.name: _step(row) for row in connection.execute(query)}

    def active(self) -> list[Run]:
        """Every run that has not ended, oldest first."""
        states = [status.value for status in RunStatus if not status.is_final]
        query = select(runs).where(runs.c.status.in_(states)).order_by(runs.c.created_at)
        with self._database.read() as connection:
            return [_run(row) for row in connection.execute(query)]

    def counts(self) -> dict[str, int]:
        """How many runs are in each status."""
        query = select(runs.c.status, func.count().label("number")).group_by(runs.c.status)
        with self._database.read() as connection:
            return {row.status: row.number for row in connection.execute(query)}

    def list(
        self,
        api: str,
        kind: str,
        parent: str,
        page: PageRequest,
        *,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
    ) -> Page[Run]:
        """One page of a parent's runs. ``page.sort_by`` is "created_at" or "id"."""
        query = select(runs).where(runs.c.api == api, runs.c.kind == kind, runs.c.parent == parent)
        if created_after:
            query = query.where(runs.c.created_at > created_after)
        if created_before:
            query = query.where(runs.c.created_at < created_before)
        with self._database.read() as connection:
            return fetch_page(connection, query, runs.c[page.sort_by], runs.c.id, page).map(_run)

    def set_status(self, run_id: str, status: RunStatus, failure_reason: str = "") -> tuple[Run, RunStatus]:
        """Move the run on, unless it has ended; the run and the status it had."""
        now = self._clock.now()
        with self._database.write() as connection:
            before = RunStatus(connection.execute(select(runs.c.status).where(runs.c.id == run_id)).scalar_one())
            if not before.is_final and before is not status:
                values: dict[str, Any] = {
                    "status": status.value,
                    "modified_at": now,
                    "failure_reason": failure_reason,
                }
                if status.is_final:
                    values["ended_at"] = now
                connection.execute(update(runs).where(runs.c.id == run_id).values(**values))
        return self.get(run_id), before

    def update_step(self, run_id: str, name: str, change: StepUpdate) -> Step:
        """Apply a change to a step; its times follow from the status."""
        now = self._clock.now()
        where = (run_steps.c.run_id == run_id, run_steps.c.name == name)
        with self._database.write() as connection:
            row = connection.execute(select(run_steps).where(*where)).one()
            values: dict[str, Any] = {"status": change.status.value}
            for column in ("branch", "failure_reason", "job_id"):
                if (value := getattr(change, column)) is not None:
                    values[column] = value
            if change.outputs is not None:
                values["outputs"] = {**row.outputs, **change.outputs}
            if change.details is not None:
                values["details"] = {**row.details, **change.details}
            if change.status is StepStatus.STARTING:
                values["attempt"] = row.attempt + 1
                values["started_at"] = row.started_at or now
            if change.status.is_final:
                values["ended_at"] = now
            connection.execute(update(run_steps).where(*where).values(**values))
            connection.execute(update(runs).where(runs.c.id == run_id).values(modified_at=now))
            return _step(connection.execute(select(run_steps).where(*where)).one())


def _run(row: Row[Any]) -> Run:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    values["plan"] = RunPlan.from_json(values["plan"])
    values["status"] = RunStatus(values["status"])
    return Run(**values)


def _step(row: Row[Any]) -> Step:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    values["status"] = StepStatus(values["status"])
    return Step(**values)
