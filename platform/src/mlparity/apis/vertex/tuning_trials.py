"""The trials of a hyperparameter tuning job, as Vertex tells them."""

from __future__ import annotations

from mlparity.apis.vertex import tuning_contract as contract
from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.custom_jobs import CUSTOM_JOBS
from mlparity.apis.vertex.job_states import Json, written
from mlparity.engine.jobs import Job
from mlparity.engine.tuning.tunings import Trial, TrialState, Tuning
from mlparity.errors import NotFoundError


def rendered(vertex: Vertex, tuning: Tuning) -> list[Json]:
    """``Trial`` (JSON) for each, in the order they began."""
    return [_rendered(vertex, tuning, trial) for trial in vertex.tunings.repository.trials(tuning.id)]


def _rendered(vertex: Vertex, tuning: Tuning, trial: Trial) -> Json:
    job = _job(vertex, trial)
    values = contract.parameters(tuning.request["job"]["studySpec"], trial.parameters)
    shown: Json = {
        "id": str(trial.number),
        "state": _state(trial, job),
        "parameters": [{"parameterId": name, "value": value} for name, value in values.items()],
        "startTime": written(trial.created_at),
    }
    if trial.ended_at is not None:
        shown["endTime"] = written(trial.ended_at)
    if job is not None:
        shown["customJob"] = job.request["name"]
        if measured := job.results.get("measurements"):
            shown["measurements"] = measured
        if trial.succeeded:
            shown["finalMeasurement"] = job.results["final"]
    if shown["state"] == "INFEASIBLE":
        shown["infeasibleReason"] = _reason(vertex, tuning, trial, job)
    return shown


def _state(trial: Trial, job: Job | None) -> str:
    if trial.state is TrialState.PROPOSED:
        return "REQUESTED"
    if trial.state.is_final:
        return "SUCCEEDED" if trial.succeeded else "INFEASIBLE"
    return "STOPPING" if job is not None and job.stop_requested_at is not None else "ACTIVE"


def _reason(vertex: Vertex, tuning: Tuning, trial: Trial, job: Job | None) -> str:
    if trial.state is TrialState.STOPPED:
        return "The trial was cancelled."
    if trial.state is TrialState.COMPLETED:
        return f"The trial's program ended without having reported the metric {tuning.plan.metric}."
    try:
        resource = vertex.documents.get(CUSTOM_JOBS.message, job.request["name"]).body["resource"] if job else {}
    except NotFoundError:
        resource = {}
    return str(resource.get("error", {}).get("message", "The trial's job could not be started, or was deleted."))


def _job(vertex: Vertex, trial: Trial) -> Job | None:
    if trial.job_id is None:
        return None
    try:
        return vertex.jobs.repository.get(trial.job_id)
    except NotFoundError:
        return None
