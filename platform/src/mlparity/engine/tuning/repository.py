"""Tunings and their trials in the database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, select, update
from sqlalchemy.exc import IntegrityError

from mlparity.clock import Clock
from mlparity.engine.tuning.space import Values
from mlparity.engine.tuning.tunings import NewTuning, Trial, TrialState, Tuning, TuningPlan, TuningStatus
from mlparity.errors import ConflictError, NotFoundError
from mlparity.ids import IdSource
from mlparity.state.database import Database
from mlparity.state.paging import Page, PageRequest, fetch_page
from mlparity.state.schema.tuning import trials, tunings

_ACTIVE = tuple(status.value for status in TuningStatus if not status.is_final)


@dataclass(frozen=True)
class TuningFilter:
    """Which tunings to list. None means any."""

    api: str
    kind: str
    name_contains: str | None = None
    statuses: Sequence[tuple[TuningStatus, TuningStatus | None]] | None = None  # (status, outcome; None: any)
    created_after: datetime | None = None
    created_before: datetime | None = None
    modified_after: datetime | None = None
    modified_before: datetime | None = None


class TuningRepository:
    """Typed access to the ``tunings`` and ``trials`` tables."""

    def __init__(self, database: Database, clock: Clock, ids: IdSource) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids

    def transaction(self) -> AbstractContextManager[object]:
        """What is written in the block happens together or not at all."""
        return self._database.write()

    def after_commit(self, action: Callable[[], None]) -> None:
        """Call ``action`` once what this thread is writing is committed."""
        self._database.after_commit(action)

    def create(self, new: NewTuning) -> Tuning:
        """Store a tuning. Raises ``ConflictError`` where the name is taken."""
        now = self._clock.now()
        row = {
            "id": self._ids.uuid(),
            "api": new.api,
            "kind": new.kind,
            "name": new.name,
            "request": dict(new.request),
            "plan": new.plan.to_json(),
            "status": TuningStatus.SEARCHING.value,
            "outcome": "",
            "failure_reason": "",
            "created_at": now,
            "modified_at": now,
            "run_id": new.run_id,
            "step": new.step,
        }
        try:
            with self._database.write() as connection:
                connection.execute(tunings.insert().values(**row))
        except IntegrityError as error:
            raise ConflictError(f"{new.kind} {new.name} exists already", "names are unique") from error
        return self.get(str(row["id"]))

    def get(self, tuning_id: str) -> Tuning:
        """The tuning. Raises ``NotFoundError``."""
        with self._database.read() as connection:
            row = connection.execute(select(tunings).where(tunings.c.id == tuning_id)).one_or_none()
        if row is None:
            raise NotFoundError(f"tuning {tuning_id} does not exist")
        return _tuning(row)

    def find(self, api: str, kind: str, name: str) -> Tuning:
        """The tuning of that name. Raises ``NotFoundError``."""
        query = select(tunings).where(tunings.c.api == api, tunings.c.kind == kind, tunings.c.name == name)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise NotFoundError(f"{kind} {name} does not exist")
        return _tuning(row)

    def active(self) -> list[Tuning]:
        """Every tuning that has not ended, oldest first."""
        query = select(tunings).where(tunings.c.status.in_(_ACTIVE)).order_by(tunings.c.created_at)
        with self._database.read() as connection:
            return [_tuning(row) for row in connection.execute(query)]

    def begin_end(self, tuning_id: str, outcome: TuningStatus, reason: str = "") -> Tuning:
        """Record what the tuning ends with. The first time counts; an ended one stays as it is."""
        changes = {
            "status": TuningStatus.ENDING.value,
            "outcome": outcome.value,
            "failure_reason": reason,
            "modified_at": self._clock.now(),
        }
        with self._database.write() as connection:
            searching = tunings.c.status == TuningStatus.SEARCHING.value
            connection.execute(update(tunings).where(tunings.c.id == tuning_id, searching).values(**changes))
        return self.get(tuning_id)

    def end(self, tuning_id: str) -> Tuning:
        """An ``ENDING`` tuning has ended, with its outcome."""
        now = self._clock.now()
        with self._database.write() as connection:
            ending = tunings.c.status == TuningStatus.ENDING.value
            changes = {"status": tunings.c.outcome, "ended_at": now, "modified_at": now}
            connection.execute(update(tunings).where(tunings.c.id == tuning_id, ending).values(**changes))
        return self.get(tuning_id)

    def delete(self, tuning_id: str) -> None:
        """Forget the tuning and its trials; their jobs stay."""
        with self._database.write() as connection:
            connection.execute(delete(trials).where(trials.c.tuning_id == tuning_id))
            connection.execute(delete(tunings).where(tunings.c.id == tuning_id))

    def trials(self, tuning_id: str) -> list[Trial]:
        """The tuning's trials in the order they began."""
        query = select(trials).where(trials.c.tuning_id == tuning_id).order_by(trials.c.number)
        with self._database.read() as connection:
            return [_trial(row) for row in connection.execute(query)]

    def tuning_of(self, job_id: str) -> str | None:
        """The tuning that a job is a trial of, if any."""
        with self._database.read() as connection:
            found = connection.execute(select(trials.c.tuning_id).where(trials.c.job_id == job_id)).scalar()
        return None if found is None else str(found)

    def propose(self, tuning_id: str, number: int, name: str, values: Values) -> Trial:
        """Write down a trial before its job is made."""
        trial = Trial(tuning_id, number, name, dict(values), TrialState.PROPOSED, None, None, self._clock.now(), None)
        with self._database.write() as connection:
            connection.execute(trials.insert().values(**{**vars(trial), "state": trial.state.value}))
        return trial

    def update_trial(self, trial: Trial, state: TrialState, **columns: Any) -> None:
        """A trial's new state, with what changed beside it."""
        if state.is_final:
            columns["ended_at"] = self._clock.now()
        where = (trials.c.tuning_id == trial.tuning_id, trials.c.number == trial.number)
        with self._database.write() as connection:
            connection.execute(update(trials).where(*where).values(state=state.value, **columns))
            connection.execute(
                update(tunings).where(tunings.c.id == trial.tuning_id).values(modified_at=self._clock.now())
            )

    def list(self, wanted: TuningFilter, page: PageRequest) -> Page[Tuning]:
        """One page. ``page.sort_by`` is "name", "created_at", "modified_at" or "status"."""
        query = select(tunings).where(tunings.c.api == wanted.api, tunings.c.kind == wanted.kind)
        if wanted.name_contains:
            query = query.where(tunings.c.name.contains(wanted.name_contains, autoescape=True))
        if wanted.statuses is not None:
            pairs = [f"{status.value}/{outcome or ''}" for status, outcome in wanted.statuses]
            query = query.where((tunings.c.status + "/" + tunings.c.outcome).in_(pairs))
        conditions = (
            (tunings.c.created_at > wanted.created_after) if wanted.created_after else None,
            (tunings.c.created_at < wanted.created_before) if wanted.created_before else None,
            (tunings.c.modified_at > wanted.modified_after) if wanted.modified_after else None,
            (tunings.c.modified_at < wanted.modified_before) if wanted.modified_before else None,
        )
        for condition in conditions:
            if condition is not None:
                query = query.where(condition)
        with self._database.read() as connection:
            return fetch_page(connection, query, tunings.c[page.sort_by], tunings.c.id, page).map(_tuning)


def _tuning(row: Row[Any]) -> Tuning:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    values["plan"] = TuningPlan.from_json(values["plan"])
    values["status"] = TuningStatus(values["status"])
    values["outcome"] = TuningStatus(values["outcome"]) if values["outcome"] else None
    return Tuning(**values)


def _trial(row: Row[Any]) -> Trial:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    return Trial(**{**values, "state": TrialState(values["state"])})
