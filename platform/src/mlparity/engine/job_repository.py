"""Jobs in the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from mlparity.clock import Clock
from mlparity.engine.jobs import Job, JobSpec, NewJob, Phase, PhaseEntry
from mlparity.errors import ConflictError, NotFoundError
from mlparity.ids import IdSource
from mlparity.state.database import Database
from mlparity.state.paging import Page, PageRequest, fetch_page
from mlparity.state.schema.engine import jobs

ACTIVE = tuple(phase.value for phase in Phase if not phase.is_final)

# What every job needs a dozen times. Made once: to make and to analyse a statement takes longer than to run it.
_ONE = jobs.c.id == bindparam("job")
_GET = select(jobs).where(_ONE)
_STATE = select(jobs.c.phase, jobs.c.history, jobs.c.results, jobs.c.started_at).where(_ONE)
_CREATE = insert(jobs).returning(*jobs.c)
_CHANGE = update(jobs).where(_ONE).returning(*jobs.c)
_OF_STEP = (
    select(jobs).where(jobs.c.run_id == bindparam("run"), jobs.c.step == bindparam("of")).order_by(jobs.c.created_at)
)


@dataclass(frozen=True)
class JobFilter:
    """Which jobs to list. None means any."""

    api: str
    kind: str
    name_contains: str | None = None
    phases: Sequence[Phase] | None = None
    stopping: bool | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    modified_after: datetime | None = None
    modified_before: datetime | None = None


class JobRepository:
    """Typed access to the ``jobs`` table."""

    def __init__(self, database: Database, clock: Clock, ids: IdSource) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids

    def transaction(self) -> AbstractContextManager[object]:
        """Everything that this thread writes in the block, here or through others, happens together or not at all."""
        return self._database.write()

    def after_commit(self, action: Callable[[], None]) -> None:
        """Call ``action`` when the open transaction is committed; at once where there is none."""
        self._database.after_commit(action)

    def create(self, new: NewJob) -> Job:
        """Store a job as PENDING. Raises ``ConflictError`` where the name is taken."""
        now = self._clock.now()
        job_id = self._ids.uuid()
        entry = {"phase": Phase.PENDING.value, "at": now.isoformat(), "message": ""}
        row = {
            "id": job_id,
            "api": new.api,
            "kind": new.kind,
            "name": new.name,
            "request": dict(new.request),
            "spec": new.spec.to_json(),
            "phase": Phase.PENDING.value,
            "history": [entry],
            "failure_reason": "",
            "results": {},
            "created_at": now,
            "modified_at": now,
            "run_id": new.run_id,
            "step": new.step,
        }
        try:
            with self._database.write() as connection:
                return _job(connection.execute(_CREATE, row).one())
        except IntegrityError as error:
            raise ConflictError(f"{new.kind} {new.name} exists already", "names are unique") from error

    def get(self, job_id: str) -> Job:
        """The job. Raises ``NotFoundError``."""
        with self._database.read() as connection:
            row = connection.execute(_GET, {"job": job_id}).one_or_none()
        if row is None:
            raise NotFoundError(f"job {job_id} does not exist")
        return _job(row)

    def find(self, api: str, kind: str, name: str) -> Job:
        """The job of that name. Raises ``NotFoundError``."""
        with self._database.read() as connection:
            row = connection.execute(
                select(jobs).where(jobs.c.api == api, jobs.c.kind == kind, jobs.c.name == name)
            ).one_or_none()
        if row is None:
            raise NotFoundError(f"{kind} {name} does not exist")
        return _job(row)

    def find_by_name(self, name: str) -> list[Job]:
        """Every job of that name, whatever its kind, newest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(jobs).where(jobs.c.name == name).order_by(jobs.c.created_at.desc()))
            return [_job(row) for row in rows]

    def of_run(self, run_id: str, step: str | None = None) -> list[Job]:
        """The jobs that a run (or one of its steps) started, oldest first."""
        if step is not None:
            query, values = _OF_STEP, {"run": run_id, "of": step}
        else:
            query, values = select(jobs).where(jobs.c.run_id == run_id).order_by(jobs.c.created_at), {}
        with self._database.read() as connection:
            return [_job(row) for row in connection.execute(query, values)]

    def active(self) -> list[Job]:
        """Every job that has not ended, oldest first."""
        query = select(jobs).where(jobs.c.phase.in_(ACTIVE)).order_by(jobs.c.created_at)
        with self._database.read() as connection:
            return [_job(row) for row in connection.execute(query)]

    def untracked(self) -> list[Job]:
        """The jobs that have ended and whose tracking runs have not been told, oldest first."""
        told = jobs.c.results["tracking"]["ended"].as_boolean()
        query = select(jobs).where(jobs.c.phase.not_in(ACTIVE), told.is_(False)).order_by(jobs.c.created_at)
        with self._database.read() as connection:
            return [_job(row) for row in connection.execute(query)]

    def recent(self, limit: int) -> list[Job]:
        """The newest jobs, newest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(jobs).order_by(jobs.c.created_at.desc()).limit(limit))
            return [_job(row) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many jobs are in each phase."""
        with self._database.read() as connection:
            rows = connection.execute(select(jobs.c.phase, func.count().label("number")).group_by(jobs.c.phase))
            return {row.phase: row.number for row in rows}

    def list(self, wanted: JobFilter, page: PageRequest) -> Page[Job]:
        """One page. ``page.sort_by`` is "name", "created_at", "modified_at" or "phase"."""
        query = select(jobs).where(jobs.c.api == wanted.api, jobs.c.kind == wanted.kind)
        if wanted.name_contains:
            query = query.where(jobs.c.name.contains(wanted.name_contains, autoescape=True))
        if wanted.phases is not None:
            query = query.where(jobs.c.phase.in_([phase.value for phase in wanted.phases]))
        if wanted.stopping is not None:
            column = jobs.c.stop_requested_at
            query = query.where(column.is_not(None) if wanted.stopping else column.is_(None))
        bounds = (
            (jobs.c.created_at > wanted.created_after) if wanted.created_after else None,
            (jobs.c.created_at < wanted.created_before) if wanted.created_before else None,
            (jobs.c.modified_at > wanted.modified_after) if wanted.modified_after else None,
            (jobs.c.modified_at < wanted.modified_before) if wanted.modified_before else None,
        )
        for bound in bounds:
            if bound is not None:
                query = query.where(bound)
        with self._database.read() as connection:
            return fetch_page(connection, query, jobs.c[page.sort_by], jobs.c.id, page).map(_job)

    def enter(
        self, job_id: str, phase: Phase, *, message: str = "", results: Mapping[str, Any] | None = None, **columns: Any
    ) -> Job:
        """Record that the job enters ``phase``; ``results`` are merged, ``columns`` are set. Final phases stay."""
        now = self._clock.now()
        with self._database.write(apart=False) as connection:
            row = connection.execute(_STATE, {"job": job_id}).one()
            if Phase(row.phase).is_final:
                return self.get(job_id)
            history = [*row.history, {"phase": phase.value, "at": now.isoformat(), "message": message}]
            values: dict[str, Any] = {"phase": phase.value, "history": history, "modified_at": now, **columns}
            values["results"] = {**row.results, **(results or {})}
            if phase is Phase.RUNNING:
                values["started_at"] = row.started_at or now  # of the first attempt
            if phase.is_final:
                values["ended_at"] = now
            return _job(connection.execute(_CHANGE, {"job": job_id, **values}).one())

    def merge_results(self, job_id: str, results: Mapping[str, Any]) -> Job:
        """Add to the job's results, in any phase."""
        with self._database.write() as connection:
            row = connection.execute(select(jobs.c.results).where(jobs.c.id == job_id)).one()
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(results={**row.results, **results}))
        return self.get(job_id)

    def request_stop(self, job_id: str) -> Job:
        """Record that somebody wants the job stopped. The first time counts; a job that has ended stays as it is."""
        now = self._clock.now()
        with self._database.write() as connection:
            connection.execute(
                update(jobs)
                .where(jobs.c.id == job_id, jobs.c.stop_requested_at.is_(None), jobs.c.phase.in_(ACTIVE))
                .values(stop_requested_at=now, modified_at=now)
            )
        return self.get(job_id)

    def delete(self, job_id: str) -> None:
        """Forget the job."""
        with self._database.write() as connection:
            connection.execute(jobs.delete().where(jobs.c.id == job_id))


def _job(row: Row[Any]) -> Job:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    values["spec"] = JobSpec.from_json(values["spec"])
    values["phase"] = Phase(values["phase"])
    values["history"] = tuple(
        PhaseEntry(Phase(entry["phase"]), datetime.fromisoformat(entry["at"]), entry["message"])
        for entry in values["history"]
    )
    return Job(**values)
