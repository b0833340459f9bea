"""What an endpoint does next, besides rollouts: create, change counts, replace what failed, delete. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from mlparity.serving.endpoints import rollout as rollouts
from mlparity.serving.endpoints.endpoints import EndpointPhase
from mlparity.serving.endpoints.record import SERVING, EndpointRecord, Reshaping
from mlparity.serving.endpoints.view import View

_RESTART_SECONDS = 30  # between starts of what could not be started again after a restart of the stack


def advance(record: EndpointRecord, view: View) -> EndpointRecord | None:
    """The endpoint after its next step; None where there is something to wait for.

    Called after the fleet was asked for what ``record`` wants and the router has its table.
    """
    left = tuple(one for one in record.retiring if not view.is_gone(one))
    if len(left) < len(record.retiring):
        return replace(record, retiring=left)
    if record.phase in SERVING:
        after = _replace_failed(record, view)
        if after is not None:
            return after
        if record.active is not None:
            return rollouts.advance(record, record.active, view)
    return _by_phase(record, view)


def wake_times(record: EndpointRecord) -> list[datetime]:
    """When time alone makes a difference."""
    times = [record.scale_until, record.restart_at]
    if record.active is not None:
        times += [record.active.due_at, record.active.deadline, rollouts.patience(record.active)]
    return [at for at in times if at is not None]


def is_ready(record: EndpointRecord, view: View) -> bool:
    """Whether every worker that a new endpoint wants answers."""
    return all(view.is_whole(member, workers) for member, workers in record.wanted())


def _by_phase(record: EndpointRecord, view: View) -> EndpointRecord | None:
    if record.phase is EndpointPhase.CREATING:
        return _create(record, view)
    if record.phase is EndpointPhase.UPDATING:
        return _scale(record, view) if record.reshaping is None else _reshape(record, record.reshaping, view)
    if record.phase is EndpointPhase.ROLLING_BACK:
        return record.enter(EndpointPhase.IN_SERVICE, view.now)
    if record.phase is EndpointPhase.DELETING and not record.retiring:
        return record.enter(EndpointPhase.DELETED, view.now)
    return None


def _create(record: EndpointRecord, view: View) -> EndpointRecord | None:
    failure = view.failure(record.blue.members)
    if failure is not None:
        all_of_it = tuple(member.deployment for member in record.blue.members)
        return record.enter(EndpointPhase.FAILED, view.now, failure_reason=failure, retiring=all_of_it)
    return record.enter(EndpointPhase.IN_SERVICE, view.now) if is_ready(record, view) else None


def _scale(record: EndpointRecord, view: View) -> EndpointRecord | None:
    changed = [
        member
        for member in record.blue.members
        if member.deployment in record.before and record.before[member.deployment][1] != member.instances
    ]
    if all(view.is_settled(member, member.instances) for member in changed):
        return record.enter(EndpointPhase.IN_SERVICE, view.now, before={}, scale_until=None, failure_reason="")
    if record.scale_until is None or view.now < record.scale_until:
        return None
    names = ", ".join(member.plan.name for member in changed if not view.is_settled(member, member.instances))
    members = tuple(
        replace(member, weight=record.before[member.deployment][0], instances=record.before[member.deployment][1])
        if member.deployment in record.before
        else member
        for member in record.blue.members
    )
    return record.enter(
        EndpointPhase.ROLLING_BACK,
        view.now,
        blue=replace(record.blue, members=members),
        before={},
        scale_until=None,
        failure_reason=f"The number of instances could not be changed in time: variant {names}.",
    )


def _reshape(record: EndpointRecord, reshaping: Reshaping, view: View) -> EndpointRecord | None:
    """All that come take requests once all their workers answer; what goes has finished its own before it is over."""
    if reshaping.applied:
        return None if record.retiring else record.enter(EndpointPhase.IN_SERVICE, view.now, reshaping=None)
    failure = view.failure(reshaping.added)
    if failure is not None:
        added = tuple(member.deployment for member in reshaping.added)
        return record.enter(
            EndpointPhase.ROLLING_BACK,
            view.now,
            reshaping=None,
            failure_reason=failure,
            retiring=(*record.retiring, *added),
        )
    if not all(view.is_whole(member, member.instances) for member in reshaping.added):
        return None
    side = reshaping.side(record.blue)
    kept = {member.deployment for member in side.members}
    gone = tuple(member.deployment for member in record.blue.members if member.deployment not in kept)
    applied = replace(reshaping, applied=True)
    return replace(record, blue=side, retiring=(*record.retiring, *gone), reshaping=applied)


def _replace_failed(record: EndpointRecord, view: View) -> EndpointRecord | None:
    """Deployments that had served and could not be started again get another try under another id, and another."""
    if view.failure(record.blue.members) is None:
        return replace(record, restart_at=None) if record.restart_at else None
    if record.restart_at is None:
        return replace(record, restart_at=view.now + timedelta(seconds=_RESTART_SECONDS))
    if view.now < record.restart_at:
        return None
    failed = [one.deployment for one in record.blue.members if view.failure([one]) is not None]
    members = tuple(
        replace(one, deployment=_again(one.deployment)) if one.deployment in failed else one
        for one in record.blue.members
    )
    before = {_again(one) if one in failed else one: values for one, values in record.before.items()}
    return replace(
        record,
        blue=replace(record.blue, members=members),
        retiring=(*record.retiring, *failed),
        before=before,
        restart_at=None,
    )


def _again(deployment: str) -> str:
    """The id of the next try: "d-3f9c" is followed by "d-3f9c-2"."""
    head, _, number = deployment.rpartition("-")
    return f"{head}-{int(number) + 1}" if number.isdigit() and "-" in head else f"{deployment}-2"
