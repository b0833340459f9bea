"""A run's state as KFP tells it, kept beside the run: told by the engine, in the engine's own transactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlparity.apis.kubeflow.context import API, Kubeflow
from mlparity.apis.kubeflow.listing import stored_time
from mlparity.engine.runs import Run, RunStatus
from mlparity.errors import NotFoundError

KIND = "Run"
PENDING, RUNNING = "PENDING", "RUNNING"
ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
_STATES: Mapping[RunStatus, str] = {
    RunStatus.EXECUTING: RUNNING,
    RunStatus.STOPPING: "CANCELING",
    RunStatus.STOPPED: "CANCELED",
    RunStatus.FAILED: "FAILED",
    RunStatus.SUCCEEDED: "SUCCEEDED",
}


def on_run(api: Kubeflow, run: Run, _before: RunStatus | None) -> None:
    """To be told of every change of a run (``RunEngine.listen``)."""
    if run.api != API or run.enclosing_run is not None:
        return
    try:
        known = api.documents.get(KIND, run.id).body
    except NotFoundError:
        return  # deleted while it ran
    state = _STATES[run.status]
    changes: dict[str, Any] = {
        "state": state,
        "state_history": [*known["state_history"], entry(state, stored_time(api.clock.now()))],
        "finished_at": stored_time(run.ended_at) if run.ended_at else "",
        "error": run.failure_reason if run.status is RunStatus.FAILED else "",
    }
    api.documents.merge(KIND, run.id, changes)
    if state in ENDED and known.get("recurring_run_id"):
        api.after_commit(api.wake_timers)  # the next run of it may have waited for this one


def entry(state: str, at: str) -> dict[str, str]:
    """One line of a state history, as stored."""
    return {"state": state, "update_time": at}


def is_active(state: Any) -> bool:
    """Whether something follows."""
    return state not in ENDED


def of_task(
    state: str, created: Any, started: Any, ended: Any, error: Mapping[str, Any] | None
) -> Sequence[dict[str, Any]]:
    """A task's state history, from its times."""
    history = [{"state": PENDING, "update_time": created}] if created else []
    if started and state != PENDING:
        history.append({"state": RUNNING, "update_time": started})
    if state not in {PENDING, RUNNING}:
        history.append(
            {"state": state, "update_time": ended or started or created, **({"error": error} if error else {})}
        )
    return history
