"""Runs and their steps in the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, func, select, update

from mlparity.clock import Clock
from mlparity.engine.run_rows import (
    NewRun,
    changed,
    from_the_start,
    new_step,
    step_names,
    to_do_again,
    to_run,
    to_step,
)
from mlparity.engine.runs import ChildRun, Reuse, Run, RunPlan, RunStatus, Step, StepStatus, StepUpdate
from mlparity.errors import NotFoundError
from mlparity.state.database import Database
from mlparity.state.paging import Page, PageRequest, fetch_page
from mlparity.state.schema.engine import run_steps, runs

__all__ = ["NewRun", "RunRepository"]

# What every step needs several times. Made once: to make and to analyse a statement takes longer than to run it.
_ONE_RUN = runs.c.id == bindparam("run")
_GET = select(runs).where(_ONE_RUN)
_STATUS = select(runs.c.status).where(_ONE_RUN)
_CHANGE = update(runs).where(_ONE_RUN)
_STEPS = select(run_steps).where(run_steps.c.run_id == bindparam("run")).order_by(run_steps.c.position)
_ONE_STEP = (run_steps.c.run_id == bindparam("run"), run_steps.c.name == bindparam("step"))
_GET_STEP = select(run_steps).where(*_ONE_STEP)
_CHANGE_STEP = update(run_steps).where(*_ONE_STEP).returning(*run_steps.c)


class RunRepository:
    """Typed access to the ``runs`` and ``run_steps`` tables."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def transaction(self) -> AbstractContextManager[object]:
        """Everything that this thread writes in the block, here or through others, happens together or not at all."""
        return self._database.write()

    def after_commit(self, action: Callable[[], None]) -> None:
        """Call ``action`` when the open transaction is committed; at once where there is none."""
        self._database.after_commit(action)

    def create(self, new: NewRun) -> Run:
        """Store a run as EXECUTING with its steps PENDING, but for those reused or left out."""
        now = self._clock.now()
        with self._database.write() as connection:
            root = new.id
            if new.enclosing_run is not None:
                root = connection.execute(select(runs.c.root_run).where(runs.c.id == new.enclosing_run)).scalar_one()
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
                    enclosing_run=new.enclosing_run,
                    enclosing_step=new.enclosing_step,
                    iteration=new.iteration,
                    root_run=root,
                )
            )
            rows = [new_step(new, name, position, now) for position, name in enumerate(step_names(new))]
            if rows:
                connection.execute(run_steps.insert(), rows)
        return self.get(new.id)

    def get(self, run_id: str) -> Run:
        """The run. Raises ``NotFoundError``."""
        with self._database.read() as connection:
            row = connection.execute(_GET, {"run": run_id}).one_or_none()
        if row is None:
            raise NotFoundError(f"run {run_id} does not exist")
        return to_run(row)

    def exists(self, run_id: str) -> bool:
        """Whether there is such a run."""
        with self._database.read() as connection:
            return connection.execute(select(runs.c.id).where(runs.c.id == run_id)).one_or_none() is not None

    def children(self, run_id: str, step: str) -> Sequence[ChildRun]:
        """The runs inside a step, by iteration."""
        query = (
            select(runs.c.id, runs.c.iteration, runs.c.status, runs.c.failure_reason)
            .where(runs.c.enclosing_run == run_id, runs.c.enclosing_step == step)
            .order_by(runs.c.iteration, runs.c.id)
        )
        with self._database.read() as connection:
            return [
                ChildRun(row.id, row.iteration, RunStatus(row.status), row.failure_reason)
                for row in connection.execute(query)
            ]

    def tree(self, root_id: str) -> Sequence[Run]:
        """A root run and all runs inside it, however deep, oldest first."""
        query = select(runs).where(runs.c.root_run == root_id).order_by(runs.c.created_at, runs.c.id)
        with self._database.read() as connection:
            return [to_run(row) for row in connection.execute(query)]

    def tree_steps(self, root_id: str) -> Sequence[Step]:
        """The steps of a root run and of all runs inside it, each run's in the plan's order."""
        query = (
            select(run_steps)
            .join(runs, runs.c.id == run_steps.c.run_id)
            .where(runs.c.root_run == root_id)
            .order_by(runs.c.created_at, runs.c.id, run_steps.c.position)
        )
        with self._database.read() as connection:
            return [to_step(row) for row in connection.execute(query)]

    def delete(self, root_id: str) -> None:
        """Forget a root run, all runs inside it, and their steps."""
        inside = select(runs.c.id).where(runs.c.root_run == root_id)
        with self._database.write() as connection:
            connection.execute(delete(run_steps).where(run_steps.c.run_id.in_(inside)))
            connection.execute(delete(runs).where(runs.c.root_run == root_id))

    def steps(self, run_id: str) -> dict[str, Step]:
        """The run's steps by name, in the plan's order."""
        with self._database.read() as connection:
            return {row.name: to_step(row) for row in connection.execute(_STEPS, {"run": run_id})}

    def active(self) -> list[Run]:
        """Every run that has not ended, oldest first."""
        states = [status.value for status in RunStatus if not status.is_final]
        query = select(runs).where(runs.c.status.in_(states)).order_by(runs.c.created_at)
        with self._database.read() as connection:
            return [to_run(row) for row in connection.execute(query)]

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
        """One page of a parent's runs, without those inside others. ``page.sort_by`` is "created_at" or "id"."""
        query = select(runs).where(runs.c.api == api, runs.c.kind == kind, runs.c.parent == parent)
        query = query.where(runs.c.enclosing_run.is_(None))
        if created_after:
            query = query.where(runs.c.created_at > created_after)
        if created_before:
            query = query.where(runs.c.created_at < created_before)
        with self._database.read() as connection:
            return fetch_page(connection, query, runs.c[page.sort_by], runs.c.id, page).map(to_run)

    def set_status(self, run_id: str, status: RunStatus, failure_reason: str = "") -> tuple[Run, RunStatus]:
        """Move the run on, unless it has ended; the run and the status it had."""
        now = self._clock.now()
        with self._database.write() as connection:
            before = RunStatus(connection.execute(_STATUS, {"run": run_id}).scalar_one())
            if not before.is_final and before is not status:
                values: dict[str, Any] = {
                    "status": status.value,
                    "modified_at": now,
                    "failure_reason": failure_reason,
                }
                if status.is_final:
                    values["ended_at"] = now
                connection.execute(_CHANGE, {"run": run_id, **values})
        return self.get(run_id), before

    def amend(
        self,
        run_id: str,
        *,
        name: str | None = None,
        request: Mapping[str, Any] | None = None,
        max_parallel_steps: int | None = None,
    ) -> Run:
        """Change what may change of a run: its name, members of its request, its parallelism."""
        with self._database.write() as connection:
            row = connection.execute(select(runs).where(runs.c.id == run_id)).one()
            values: dict[str, Any] = {"modified_at": self._clock.now()}
            if name is not None:
                values["name"] = name
            if request:
                values["request"] = {**row.request, **request}
            if max_parallel_steps is not None:
                values["plan"] = {**row.plan, "max_parallel_steps": max_parallel_steps}
            connection.execute(update(runs).where(runs.c.id == run_id).values(**values))
        return self.get(run_id)

    def reopen(self, run_id: str) -> tuple[Run, RunStatus]:
        """Make a FAILED or STOPPED run EXECUTING again, its failed and stopped steps PENDING; the status it had.

        So is what began after their failure, as an exit handler does. What else has succeeded stays. A run in any
        other status stays as it is.
        """
        now = self._clock.now()
        with self._database.write() as connection:
            before = RunStatus(connection.execute(select(runs.c.status).where(runs.c.id == run_id)).scalar_one())
            if before in {RunStatus.FAILED, RunStatus.STOPPED}:
                again = {"status": RunStatus.EXECUTING.value, "failure_reason": "", "ended_at": None}
                connection.execute(update(runs).where(runs.c.id == run_id).values(**again, modified_at=now))
                plan = RunPlan.from_json(
                    connection.execute(select(runs.c.plan).where(runs.c.id == run_id)).scalar_one()
                )
                rows = {
                    row.name: row for row in connection.execute(select(run_steps).where(run_steps.c.run_id == run_id))
                }
                for row in (rows[name] for name in to_do_again(plan, rows)):
                    where = (run_steps.c.run_id == run_id, run_steps.c.name == row.name)
                    connection.execute(update(run_steps).where(*where).values(**from_the_start(row)))
        return self.get(run_id), before

    def reusable(self, cache_key: str, not_before: datetime) -> Step | None:
        """The newest step with this key that succeeded by its own work, at ``not_before`` or later."""
        query = (
            select(run_steps)
            .where(
                run_steps.c.cache_key == cache_key,
                run_steps.c.status == StepStatus.SUCCEEDED.value,
                run_steps.c.ended_at >= not_before,
                run_steps.c.reuse == Reuse.NONE.value,
            )
            .order_by(run_steps.c.ended_at.desc())
            .limit(1)
        )
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else to_step(row)

    def update_step(self, run_id: str, name: str, change: StepUpdate) -> Step:
        """Apply a change to a step; its times follow from the status. A step that has ended stays as it is."""
        now = self._clock.now()
        which = {"run": run_id, "step": name}
        with self._database.write(apart=False) as connection:
            row = connection.execute(_GET_STEP, which).one()
            if StepStatus(row.status).is_final:
                return to_step(row)
            row = connection.execute(_CHANGE_STEP, {**which, **changed(row, change, now)}).one()
            connection.execute(_CHANGE, {"run": run_id, "modified_at": now})
            return to_step(row)
