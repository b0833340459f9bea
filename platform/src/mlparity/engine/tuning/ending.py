"""When a tuning ends, and with what. The sentences are SageMaker's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlparity.engine.tuning.strategies import combinations
from mlparity.engine.tuning.tunings import Method, Trial, TrialState, Tuning, TuningPlan, TuningStatus, best

_ATTEMPTS = 5  # trials after which a search that has learnt nothing is given up
_NONE_SUCCEEDED = (
    f"No training job succeeded after {_ATTEMPTS} attempts. "
    "Please take a look at the training job failures to get more details."
)
_ALL_FAILED = "All training jobs failed. Please take a look at the training jobs failures to get more details."
_NO_OBJECTIVE = (
    "No objective metrics found after running {number} training jobs. Please ensure that the custom algorithm is "
    "emitting the objective metric as defined by the regular expression provided."
)


@dataclass(frozen=True)
class Ending:
    """How a tuning ends."""

    status: TuningStatus
    reason: str = ""


def decide(tuning: Tuning, trials: Sequence[Trial], now: datetime) -> Ending | None:
    """How a searching tuning ends now; None where it goes on."""
    plan = tuning.plan
    ended = [trial for trial in trials if trial.state.is_final]
    if plan.max_seconds is not None and now >= tuning.created_at + timedelta(seconds=plan.max_seconds):
        return Ending(TuningStatus.STOPPED)
    if _is_satisfied(plan, trials):
        return Ending(TuningStatus.COMPLETED)
    if (given_up := _given_up(plan, ended)) is not None:
        return given_up
    if len(ended) == len(trials) and len(trials) >= limit(plan):
        if any(trial.succeeded for trial in ended):
            return Ending(TuningStatus.COMPLETED)
        return _hopeless(ended, _ALL_FAILED)
    return None


def limit(plan: TuningPlan) -> int:
    """How many trials there will be at most."""
    return min(plan.max_trials, combinations(plan.space)) if plan.method is Method.GRID else plan.max_trials


def not_improving(plan: TuningPlan, trials: Sequence[Trial]) -> int:
    """How many trials in a row, the latest last, were not better than the best before them."""
    measured = [trial for trial in trials if trial.succeeded]
    champion = best(plan, measured)
    return sum(trial.number > champion.number for trial in measured) if champion else 0


def _is_satisfied(plan: TuningPlan, trials: Sequence[Trial]) -> bool:
    champion = best(plan, trials)
    if champion is None or champion.objective is None:
        return False
    if plan.target is not None and plan.loss(champion.objective) <= plan.loss(plan.target):
        return True
    return plan.patience is not None and not_improving(plan, trials) >= plan.patience


def _given_up(plan: TuningPlan, ended: Sequence[Trial]) -> Ending | None:
    failed = sum(not trial.succeeded for trial in ended)
    if plan.max_failed is not None:
        return Ending(TuningStatus.FAILED, f"{failed} trials failed.") if failed >= plan.max_failed else None
    return _hopeless(ended, _NONE_SUCCEEDED) if len(ended) >= _ATTEMPTS and failed == len(ended) else None


def _hopeless(ended: Sequence[Trial], otherwise: str) -> Ending:
    """No objective at all: because jobs failed, or because those that did not said nothing of it."""
    if all(trial.state is TrialState.STOPPED for trial in ended):
        return Ending(TuningStatus.STOPPED)
    if any(trial.state is TrialState.COMPLETED for trial in ended):
        return Ending(TuningStatus.FAILED, _NO_OBJECTIVE.format(number=len(ended)))
    return Ending(TuningStatus.FAILED, otherwise)
