"""Runs and steps as rows of the database, and back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from mlparity.engine.runs import Reuse, Run, RunPlan, RunStatus, Step, StepStatus, StepUpdate


@dataclass(frozen=True)
class NewRun:
    """A run to create. ``id`` is the vendor's execution id.

    ``reused``: steps that have succeeded already, with the results of those of an earlier run. ``left_out``: steps
    that this run does not do. ``enclosing_run`` and ``enclosing_step``: the step that this run lies inside;
    ``iteration``: which one of a loop's runs it is.
    """

    id: str
    api: str
    kind: str
    parent: str
    name: str
    request: Mapping[str, Any]
    plan: RunPlan
    reused: Mapping[str, Step] = field(default_factory=dict)
    left_out: Collection[str] = ()
    enclosing_run: str | None = None
    enclosing_step: str = ""
    iteration: int = -1


def to_do_again(plan: RunPlan, rows: Mapping[str, Row[Any]]) -> list[str]:
    """The steps that failed or were stopped, and those that have ended after one that is to be done again."""
    again = {name for name, row in rows.items() if row.status in {"failed", "stopped"}}
    while True:
        after = {
            step.name
            for step in plan.steps
            if step.name not in again
            and again.intersection(step.depends_on)
            and StepStatus(rows[step.name].status).is_final
        }
        if not after:
            return sorted(again)
        again |= after


def step_names(new: NewRun) -> list[str]:
    """The names of the steps of a run to create, in the plan's order."""
    return [step.name for step in new.plan.steps]


def new_step(new: NewRun, name: str, position: int, now: datetime) -> dict[str, Any]:
    """A step's first row. Every row has the same keys: they are inserted together."""
    source = new.reused.get(name)
    status = StepStatus.PENDING
    if source is not None:
        status = StepStatus.SUCCEEDED
    elif name in new.left_out:
        status = StepStatus.SKIPPED
    return {
        "run_id": new.id,
        "name": name,
        "position": position,
        "kind": new.plan.steps[position].kind,
        "status": status.value,
        "past_jobs": [],
        "branch": source.branch if source else "",
        "outputs": dict(source.outputs) if source else {},
        "details": dict(source.details) if source else {},
        "reuse": Reuse.SELECTION.value if source else Reuse.NONE.value,
        "reused_from": source.run_id if source else None,
        "started_at": now if source else None,
        "ended_at": now if source else None,
    }


def changed(row: Row[Any], change: StepUpdate, now: datetime) -> dict[str, Any]:
    """The columns of a step that an update changes."""
    values: dict[str, Any] = {"status": change.status.value, "due_at": change.due_at}
    for column in ("branch", "failure_reason", "job_id", "fault", "cache_key", "reuse", "reused_from"):
        if (value := getattr(change, column)) is not None:
            values[column] = value
    if change.outputs is not None:
        values["outputs"] = {**row.outputs, **change.outputs}
    if change.details is not None:
        values["details"] = {**row.details, **change.details}
    if change.status is StepStatus.STARTING:
        values["attempt"] = row.attempt + 1
        values["failure_reason"] = ""
    if change.status is StepStatus.RETRYING:
        values |= _past(row, change)
    if change.status is not StepStatus.SKIPPED:
        values["started_at"] = row.started_at or now
    if change.status.is_final:
        values["ended_at"] = now
    return values


def _past(row: Row[Any], change: StepUpdate | None = None) -> dict[str, Any]:
    """The job of the attempt that has ended joins the earlier ones."""
    job_id = (change.job_id if change else None) or row.job_id
    return {"job_id": None, "past_jobs": [*row.past_jobs, job_id] if job_id else row.past_jobs}


def from_the_start(row: Row[Any]) -> dict[str, Any]:
    """The columns of a step that is to be done again."""
    return {
        **_past(row),
        "status": StepStatus.PENDING.value,
        "attempt": 0,
        "branch": "",
        "failure_reason": "",
        "fault": "",
        "outputs": {},
        "details": {},
        "due_at": None,
        "started_at": None,
        "ended_at": None,
    }


def to_run(row: Row[Any]) -> Run:
    """A row of ``runs``."""
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    values["plan"] = RunPlan.from_json(values["plan"])
    values["status"] = RunStatus(values["status"])
    return Run(**values)


def to_step(row: Row[Any]) -> Step:
    """A row of ``run_steps``."""
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    values["status"] = StepStatus(values["status"])
    values["reuse"] = Reuse(values["reuse"])
    return Step(**values)
