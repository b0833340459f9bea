"""What a tuning is: a space, a strategy, limits, and trials that are jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from mlparity.engine.jobs import Job
from mlparity.engine.tuning.space import Space, Values
from mlparity.engine.tuning.strategies import BayesianSearch, Fate, GridSearch, Observation, RandomSearch, Strategy


class TuningStatus(StrEnum):
    """Where a tuning is. The last three are final."""

    SEARCHING = "searching"
    ENDING = "ending"  # nothing new is started; what runs is being stopped
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows."""
        return self in {TuningStatus.COMPLETED, TuningStatus.FAILED, TuningStatus.STOPPED}


class TrialState(StrEnum):
    """Where a trial is. The last three are final."""

    PROPOSED = "proposed"  # written down; its job may or may not exist
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows."""
        return self in {TrialState.COMPLETED, TrialState.FAILED, TrialState.STOPPED}


class Method(StrEnum):
    """The strategies there are."""

    GRID = "grid"
    RANDOM = "random"
    BAYESIAN = "bayesian"

    def strategy(self, seed: int) -> Strategy:
        """The strategy, seeded."""
        if self is Method.GRID:
            return GridSearch()
        return RandomSearch(seed) if self is Method.RANDOM else BayesianSearch(seed)


@dataclass(frozen=True)
class TuningPlan:
    """What to search and when to end. None: no such limit.

    ``earlier`` are trials of other tunings to learn from: (values, objective).
    """

    space: Space
    method: Method
    seed: int
    metric: str
    maximize: bool
    max_trials: int
    max_parallel: int
    max_seconds: int | None = None
    target: float | None = None
    patience: int | None = None  # trials without a better objective
    earlier: Sequence[tuple[Values, float]] = ()
    max_failed: int | None = None  # trials that failed, after which it is given up; None: five without a success

    def to_json(self) -> dict[str, Any]:
        """As stored in the database."""
        return {**vars(self), "space": self.space.to_json(), "earlier": [list(item) for item in self.earlier]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TuningPlan:
        """The inverse of ``to_json``."""
        return cls(
            **{
                **document,
                "space": Space.from_json(document["space"]),
                "method": Method(document["method"]),
                "earlier": tuple((values, objective) for values, objective in document["earlier"]),
            }
        )

    def loss(self, objective: float) -> float:
        """Small is good."""
        return -objective if self.maximize else objective


@dataclass(frozen=True)
class Tuning:
    """A tuning as the database knows it. ``outcome`` is what it is ending with, while it is ``ENDING``."""

    id: str
    api: str
    kind: str
    name: str
    request: Mapping[str, Any]
    plan: TuningPlan
    status: TuningStatus
    outcome: TuningStatus | None
    failure_reason: str
    created_at: datetime
    ended_at: datetime | None
    modified_at: datetime
    run_id: str | None  # the DAG run and step that started it
    step: str | None


@dataclass(frozen=True)
class Trial:
    """One set of values and the job that measures it."""

    tuning_id: str
    number: int
    name: str
    parameters: Values
    state: TrialState
    objective: float | None
    job_id: str | None
    created_at: datetime
    ended_at: datetime | None

    @property
    def succeeded(self) -> bool:
        """Whether it gave an objective to compare."""
        return self.state is TrialState.COMPLETED and self.objective is not None


@dataclass(frozen=True)
class NewTuning:
    """A tuning to create."""

    api: str
    kind: str
    name: str
    request: Mapping[str, Any]
    plan: TuningPlan
    run_id: str | None = None
    step: str | None = None


class TrialJobs(Protocol):
    """A vendor's way to measure a trial: a job."""

    def submit(self, tuning: Tuning, trial: Trial) -> Job:
        """The trial's job, made unless it exists already. Raises ``MlparityError`` where it is refused."""
        ...


def best(plan: TuningPlan, trials: Sequence[Trial]) -> Trial | None:
    """The trial with the best objective; of equal ones the first."""
    measured = [trial for trial in trials if trial.succeeded]
    return min(measured, key=lambda trial: (plan.loss(trial.objective or 0.0), trial.number), default=None)


def history(plan: TuningPlan, trials: Sequence[Trial]) -> list[Observation]:
    """What a strategy learns from: earlier tunings' trials, then this one's in the order they began."""
    seen = [Observation(values, Fate.MEASURED, plan.loss(objective)) for values, objective in plan.earlier]
    for trial in trials:
        if trial.succeeded:
            seen.append(Observation(trial.parameters, Fate.MEASURED, plan.loss(trial.objective or 0.0)))
        else:
            seen.append(Observation(trial.parameters, Fate.LOST if trial.state.is_final else Fate.RUNNING))
    return seen
