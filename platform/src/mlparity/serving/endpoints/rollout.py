"""The rollout's own decisions: what is next, forward and back. Pure: a record and a view in, a record out.

Follows SageMaker's deployment guardrails (docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails.html): an
alarm that is in ALARM at any time from the start to the end of the last bake rolls everything back; after that, in
the termination wait, alarms no longer count, while the timeout still does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from mlparity.serving.endpoints import steps
from mlparity.serving.endpoints.endpoints import EndpointPhase, RolloutPhase, RolloutStage
from mlparity.serving.endpoints.plans import Revision, RolloutPolicy, Strategy
from mlparity.serving.endpoints.record import EndpointRecord, Member, RolloutRecord, Side
from mlparity.serving.endpoints.view import View

_WATCHED = {RolloutStage.PROVISIONING, RolloutStage.SHIFTING, RolloutStage.BAKING}


def begin(
    record: EndpointRecord,
    rollout_id: str,
    revision: Revision,
    policy: RolloutPolicy,
    names: Sequence[str],
    now: datetime,
) -> RolloutRecord:
    """A rollout of ``record`` to ``revision``; ``names`` are new deployment ids, one a variant."""
    kept = {member.plan.name: member for member in record.blue.members} if policy.retain_weights else {}
    members = tuple(
        Member(
            name,
            plan,
            kept[plan.name].weight if plan.name in kept else plan.weight,
            kept[plan.name].instances if plan.name in kept else plan.instances,
        )
        for plan, name in zip(revision.variants, names, strict=True)
    )
    shares = steps.forward(policy, _biggest(members))
    timeout = policy.timeout_seconds
    rollout = RolloutRecord(
        id=rollout_id,
        number=record.rollout.number + 1 if record.rollout else 1,
        from_revision=record.blue.revision,
        policy=policy,
        green=Side(revision, members),
        shares=shares,
        started_at=now,
        stage_at=now,
        green_capacity=shares[0] if policy.strategy is Strategy.ROLLING else 1.0,
        deadline=now + timedelta(seconds=timeout) if timeout else None,
    )
    return rollout.enter(RolloutStage.PROVISIONING, now, f"from {record.blue.revision.name} to {revision.name}")


def is_watched(rollout: RolloutRecord) -> bool:
    """Whether its alarms count now."""
    return bool(rollout.policy.alarms) and rollout.phase is RolloutPhase.IN_PROGRESS and rollout.stage in _WATCHED


def advance(record: EndpointRecord, rollout: RolloutRecord, view: View) -> EndpointRecord | None:
    """The endpoint after the next step of its rollout; None where there is something to wait for."""
    if rollout.phase is RolloutPhase.ROLLING_BACK:
        return _back(record, rollout, view)
    if view.tripped and is_watched(rollout):
        names = ", ".join(view.tripped)
        return _turn(record, rollout, view.now, f"the following alarms are in ALARM state: {names}", view.tripped)
    if rollout.stage is not RolloutStage.RETIRING and rollout.deadline and view.now >= rollout.deadline:
        seconds = rollout.policy.timeout_seconds
        return _turn(record, rollout, view.now, f"the deployment did not end within its {seconds} seconds")
    return _forward(record, rollout, view)


def patience(rollout: RolloutRecord) -> datetime | None:
    """When a new fleet whose workers died at the end of a bake or wait is given up."""
    if rollout.due_at is None or rollout.stage not in {RolloutStage.BAKING, RolloutStage.WAITING}:
        return None
    return rollout.due_at + timedelta(seconds=rollout.green.startup_seconds)


def _forward(record: EndpointRecord, rollout: RolloutRecord, view: View) -> EndpointRecord | None:
    if rollout.stage is RolloutStage.RETIRING:
        return None if record.retiring else _succeed(record, rollout, view.now)
    if rollout.stage is RolloutStage.SHIFTING:  # the router knows: it is told before every decision
        return replace(record, rollout=_bake(rollout, view.now))
    failure = view.failure(rollout.green.members)
    if failure is not None:
        return _turn(record, rollout, view.now, f"the new fleet did not get ready: {failure}")
    whole = all(view.is_whole(one, one.workers(rollout.green_capacity)) for one in rollout.green.members)
    if rollout.stage is RolloutStage.PROVISIONING and whole:
        return replace(record, rollout=_shift(rollout, rollout.step, view.now))
    return _baked(record, rollout, view, whole=whole)


def _baked(record: EndpointRecord, rollout: RolloutRecord, view: View, *, whole: bool) -> EndpointRecord | None:
    """After a bake or a wait, or too long a start of a batch, where that is over."""
    if rollout.due_at is None or view.now < rollout.due_at:
        return None
    if rollout.stage is RolloutStage.PROVISIONING:
        return _turn(record, rollout, view.now, "the workers of the next batch did not get ready in time")
    if whole:
        return _next(record, rollout, view.now)
    given_up = patience(rollout)
    if given_up is not None and view.now >= given_up:
        return _turn(record, rollout, view.now, "the workers of the new fleet did not stay ready")
    return None


def _shift(rollout: RolloutRecord, step: int, now: datetime) -> RolloutRecord:
    share = rollout.shares[step]
    return rollout.enter(
        RolloutStage.SHIFTING, now, f"{share:.0%} of the traffic to the new fleet", step=step, share=share
    )


def _bake(rollout: RolloutRecord, now: datetime) -> RolloutRecord:
    seconds = rollout.policy.wait_seconds
    return rollout.enter(RolloutStage.BAKING, now, f"for {seconds} seconds", due_at=now + timedelta(seconds=seconds))


def _next(record: EndpointRecord, rollout: RolloutRecord, now: datetime) -> EndpointRecord:
    following = rollout.step + 1
    if following < len(rollout.shares):
        if not rollout.is_rolling:
            return replace(record, rollout=_shift(rollout, following, now))
        batch = rollout.enter(
            RolloutStage.PROVISIONING,
            now,
            "the next batch",
            step=following,
            due_at=now + timedelta(seconds=rollout.green.startup_seconds),
            blue_capacity=1 - rollout.share,
            green_capacity=rollout.shares[following],
        )
        return replace(record, rollout=batch)
    wait = rollout.policy.termination_wait_seconds
    if rollout.stage is RolloutStage.BAKING and wait:
        waiting = rollout.enter(
            RolloutStage.WAITING, now, f"{wait} seconds before the old fleet ends", due_at=now + timedelta(seconds=wait)
        )
        return replace(record, rollout=waiting)
    old = tuple(member.deployment for member in record.blue.members)
    retiring = rollout.enter(RolloutStage.RETIRING, now, "the old fleet ends", blue_capacity=1.0, green_capacity=1.0)
    return replace(record, blue=rollout.green, retiring=(*record.retiring, *old), rollout=retiring)


def _succeed(record: EndpointRecord, rollout: RolloutRecord, now: datetime) -> EndpointRecord:
    message = f"{rollout.green.revision.name} is in service"
    ended = rollout.enter(RolloutStage.ENDED, now, message, phase=RolloutPhase.SUCCEEDED, ended_at=now)
    return record.enter(EndpointPhase.IN_SERVICE, now, rollout=ended, failure_reason="")


def _turn(
    record: EndpointRecord, rollout: RolloutRecord, now: datetime, reason: str, alarms: Sequence[str] = ()
) -> EndpointRecord:
    """From forward to back."""
    turned = replace(
        rollout,
        phase=RolloutPhase.ROLLING_BACK,
        reason=reason,
        alarms=tuple(alarms),
        back=steps.backward(rollout.share, rollout.policy, _biggest(rollout.green.members)),
    )
    said = f"Rolled back to {rollout.from_revision.name}: {reason}."
    return record.enter(
        EndpointPhase.ROLLING_BACK, now, rollout=_restore(record, turned, now, reason), failure_reason=said
    )


def _restore(record: EndpointRecord, rollout: RolloutRecord, now: datetime, message: str) -> RolloutRecord:
    capacity = max(rollout.blue_capacity, 1 - rollout.back[0]) if rollout.is_rolling else 1.0
    until = now + timedelta(seconds=record.blue.startup_seconds)
    return rollout.enter(RolloutStage.RESTORING, now, message, blue_capacity=capacity, due_at=until)


def _back(record: EndpointRecord, rollout: RolloutRecord, view: View) -> EndpointRecord | None:
    now = view.now
    if rollout.stage is RolloutStage.RETIRING:
        return None if record.retiring else _rolled_back(record, rollout, now)
    if rollout.stage is RolloutStage.SHIFTING:
        return _returned(record, rollout, now)
    if rollout.share > 0 and not _can_take(record, rollout, view):
        return _mixed(record, rollout, now) if rollout.due_at and now >= rollout.due_at else None
    share = rollout.back[0]
    message = f"{1 - share:.0%} of the traffic to the old fleet"
    shifted = rollout.enter(RolloutStage.SHIFTING, now, message, share=share, back=rollout.back[1:])
    return replace(record, rollout=shifted)


def _can_take(record: EndpointRecord, rollout: RolloutRecord, view: View) -> bool:
    """Whether blue can take the traffic: one worker each, where it is whole but for accidents; all after a scaling."""
    if rollout.is_rolling:
        return all(view.is_whole(one, one.workers(rollout.blue_capacity)) for one in record.blue.members)
    return all(view.sockets(one.deployment) for one in record.blue.members if not one.plan.shadow and one.weight > 0)


def _returned(record: EndpointRecord, rollout: RolloutRecord, now: datetime) -> EndpointRecord:
    """After a share of the traffic has gone back."""
    if rollout.back:
        smaller = replace(rollout, green_capacity=rollout.share)
        return replace(record, rollout=_restore(record, smaller, now, "the next batch back"))
    new = tuple(member.deployment for member in rollout.green.members)
    retiring = rollout.enter(RolloutStage.RETIRING, now, "the new fleet ends", blue_capacity=1.0)
    return replace(record, retiring=(*record.retiring, *new), rollout=retiring)


def _rolled_back(record: EndpointRecord, rollout: RolloutRecord, now: datetime) -> EndpointRecord:
    message = f"{rollout.from_revision.name} is in service"
    ended = rollout.enter(RolloutStage.ENDED, now, message, phase=RolloutPhase.ROLLED_BACK, ended_at=now)
    return record.enter(EndpointPhase.IN_SERVICE, now, rollout=ended)


def _mixed(record: EndpointRecord, rollout: RolloutRecord, now: datetime) -> EndpointRecord:
    """Going back failed, too: what answers goes on serving, with the shares that it has."""
    blue = _frozen(record.blue, 1 - rollout.share, rollout.blue_capacity)
    green = _frozen(rollout.green, rollout.share, rollout.green_capacity)
    message = "the old fleet did not get ready in time"
    ended = rollout.enter(RolloutStage.ENDED, now, message, phase=RolloutPhase.ROLLBACK_FAILED, ended_at=now)
    return record.enter(
        EndpointPhase.ROLLBACK_FAILED,
        now,
        rollout=ended,
        blue=Side(record.blue.revision, (*blue, *green)),
        failure_reason=f"{record.failure_reason} The rollback failed: {message}.",
    )


def _frozen(side: Side, share: float, capacity: float) -> Sequence[Member]:
    total = sum(member.weight for member in side.members if not member.plan.shadow) or 1.0
    return tuple(
        replace(
            member,
            weight=member.weight * share / (1.0 if member.plan.shadow else total),
            instances=member.workers(capacity),
        )
        for member in side.members
    )


def _biggest(members: Sequence[Member]) -> int:
    return max((member.instances for member in members if not member.plan.shadow), default=1)
