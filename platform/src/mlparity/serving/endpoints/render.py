"""The endpoint as the vendors' APIs see it, made of its record and of the workers that answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mlparity.serving.endpoints.endpoints import (
    Endpoint,
    EndpointPhase,
    Pending,
    Rollout,
    RolloutPhase,
    RolloutStage,
    VariantStage,
    VariantState,
)
from mlparity.serving.endpoints.record import SERVING, EndpointRecord, RolloutRecord, Side
from mlparity.serving.endpoints.view import View

_Doing = tuple[VariantStage, datetime, str] | None

_GREEN_STAGES = {
    RolloutStage.PROVISIONING: VariantStage.CREATING,
    RolloutStage.SHIFTING: VariantStage.ACTIVATING_TRAFFIC,
    RolloutStage.BAKING: VariantStage.BAKING,
    RolloutStage.RESTORING: VariantStage.DELETING,
    RolloutStage.RETIRING: VariantStage.DELETING,
}


def endpoint(record: EndpointRecord, view: View) -> Endpoint:
    """The endpoint, now."""
    active = record.active
    return Endpoint(
        id=record.id,
        api=record.api,
        name=record.name,
        phase=record.phase,
        revision=record.blue.revision,
        variants=_variants(record.blue, _blue_share(record), view, _blue_doing(record)),
        pending=_pending(active, view) if active else None,
        rollout=rollout(record.rollout) if record.rollout else None,
        failure_reason=record.failure_reason,
        request=record.request,
        update_request=record.update_request,
        created_at=record.created_at,
        modified_at=record.modified_at,
    )


def rollout(record: RolloutRecord) -> Rollout:
    """The rollout, now."""
    return Rollout(
        id=record.id,
        number=record.number,
        from_revision=record.from_revision,
        to_revision=record.green.revision,
        policy=record.policy,
        phase=record.phase,
        stage=record.stage,
        step=record.step + 1,
        steps=len(record.shares),
        share=record.share,
        reason=record.reason,
        alarms=record.alarms,
        started_at=record.started_at,
        stage_at=record.stage_at,
        due_at=record.due_at,
        ended_at=record.ended_at,
        history=record.history,
    )


def _pending(active: RolloutRecord, view: View) -> Pending | None:
    forward = active.phase is RolloutPhase.IN_PROGRESS
    if forward and active.stage is RolloutStage.RETIRING:
        return None  # it is what serves
    stage = _GREEN_STAGES.get(active.stage) if forward else VariantStage.DELETING
    doing = (stage, active.stage_at, active.history[-1].message) if stage else None
    return Pending(active.green.revision, _variants(active.green, active.share, view, doing), active.started_at)


def _blue_share(record: EndpointRecord) -> float:
    if record.phase not in SERVING:
        return 0.0
    active = record.active
    return 1.0 if active is None or active.stage is RolloutStage.RETIRING else 1 - active.share


def _blue_doing(record: EndpointRecord) -> _Doing:
    active = record.active
    if record.phase is EndpointPhase.CREATING:
        return VariantStage.CREATING, record.phase_at, ""
    if record.phase is EndpointPhase.DELETING:
        return VariantStage.DELETING, record.phase_at, ""
    if active is not None:
        going_back = active.phase is RolloutPhase.ROLLING_BACK and active.stage is not RolloutStage.RETIRING
        return (VariantStage.ACTIVATING_TRAFFIC, active.stage_at, active.reason) if going_back else None
    if record.phase in {EndpointPhase.UPDATING, EndpointPhase.ROLLING_BACK}:
        return VariantStage.UPDATING, record.phase_at, ""
    return None


def _variants(side: Side, share: float, view: View, doing: _Doing) -> Sequence[VariantState]:
    stage, since, message = doing or (None, None, "")
    return tuple(
        VariantState(
            plan=member.plan,
            deployment=member.deployment,
            current_weight=member.weight * share,
            desired_weight=member.weight,
            current_instances=len(view.sockets(member.deployment)),
            desired_instances=member.instances,
            stage=stage,
            stage_at=since,
            stage_message=message,
        )
        for member in side.members
    )
