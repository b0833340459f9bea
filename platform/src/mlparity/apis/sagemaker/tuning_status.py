"""How tunings and their trials read in SageMaker's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlparity.apis.sagemaker.context import Response, SageMaker
from mlparity.apis.sagemaker.job_status import failure_reason, job_status
from mlparity.apis.sagemaker.tuning_contract import definition
from mlparity.engine.jobs import Job
from mlparity.engine.tuning.tunings import Trial, TrialState, Tuning, TuningStatus
from mlparity.errors import NotFoundError

_FINAL = {
    TuningStatus.COMPLETED: "Completed",
    TuningStatus.FAILED: "Failed",
    TuningStatus.STOPPED: "Stopped",
}
_TRIALS = {TrialState.COMPLETED: "Completed", TrialState.FAILED: "Failed", TrialState.STOPPED: "Stopped"}
# The statuses to look for, as (ours, what it is ending with): see ``TuningFilter``.
_IN_PROGRESS = (
    (TuningStatus.SEARCHING, None),
    (TuningStatus.ENDING, TuningStatus.COMPLETED),
    (TuningStatus.ENDING, TuningStatus.FAILED),
)
_STOPPING = ((TuningStatus.ENDING, TuningStatus.STOPPED),)


def tuning_status(tuning: Tuning) -> str:
    """``HyperParameterTuningJobStatus``."""
    if tuning.status.is_final:
        return _FINAL[tuning.status]
    return "Stopping" if (tuning.status, tuning.outcome) in _STOPPING else "InProgress"


def statuses(wanted: str | None) -> Sequence[tuple[TuningStatus, TuningStatus | None]] | None:
    """The inverse, for List's filter: nothing of ours reads as Deleting or DeleteFailed."""
    if wanted is None:
        return None
    if wanted == "InProgress":
        return _IN_PROGRESS
    if wanted == "Stopping":
        return _STOPPING
    return [(ours, ours) for ours, theirs in _FINAL.items() if theirs == wanted]


def counters(trials: Sequence[Trial]) -> Response:
    """``TrainingJobStatusCounters`` and ``ObjectiveStatusCounters``."""
    states = [trial.state for trial in trials]
    objectives = [objective_status(trial) for trial in trials]
    return {
        "TrainingJobStatusCounters": {
            "Completed": states.count(TrialState.COMPLETED),
            "InProgress": sum(not state.is_final for state in states),
            "RetryableError": 0,
            "NonRetryableError": states.count(TrialState.FAILED),
            "Stopped": states.count(TrialState.STOPPED),
        },
        "ObjectiveStatusCounters": {name: objectives.count(name) for name in ("Succeeded", "Pending", "Failed")},
    }


def objective_status(trial: Trial) -> str:
    """``ObjectiveStatus``."""
    if not trial.state.is_final:
        return "Pending"
    return "Succeeded" if trial.succeeded else "Failed"


def summary(api: SageMaker, tuning: Tuning, trial: Trial) -> Response:
    """``HyperParameterTrainingJobSummary``."""
    job = _job(api, trial)
    shown: dict[str, Any] = {
        "TrainingJobName": trial.name,
        "TrainingJobArn": api.arns.training_job(trial.name),
        "CreationTime": job.created_at if job else trial.created_at,
        "TrainingJobStatus": job_status(job) if job else _TRIALS.get(trial.state, "InProgress"),
        "TunedHyperParameters": {name: str(value) for name, value in trial.parameters.items()},
        "ObjectiveStatus": objective_status(trial),
    }
    if name := definition(tuning.request).get("DefinitionName"):
        shown["TrainingJobDefinitionName"] = name
    if trial.objective is not None:
        shown["FinalHyperParameterTuningJobObjectiveMetric"] = {
            "MetricName": tuning.plan.metric,
            "Value": trial.objective,
        }
    if job is not None:
        if job.started_at is not None:
            shown["TrainingStartTime"] = job.started_at
        if job.ended_at is not None:
            shown["TrainingEndTime"] = job.ended_at
        if reason := failure_reason(job):
            shown["FailureReason"] = reason
    return shown


def seconds_used(api: SageMaker, trials: Sequence[Trial]) -> int:
    """What ``ConsumedResources`` counts: the time that the training jobs ran."""
    jobs = [job for job in (_job(api, trial) for trial in trials) if job is not None]
    spans = [
        (job.ended_at - job.started_at).total_seconds() for job in jobs if job.started_at is not None and job.ended_at
    ]
    return round(sum(spans))


def _job(api: SageMaker, trial: Trial) -> Job | None:
    if trial.job_id is None:
        return None
    try:
        return api.jobs.repository.get(trial.job_id)
    except NotFoundError:
        return None
