"""Records of endpoints and rollouts as JSON documents, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping

from mlparity.serving.endpoints.endpoints import RolloutEvent, RolloutPhase, RolloutStage
from mlparity.serving.endpoints.plans import ModelContainer, Revision, RolloutPolicy, VariantPlan
from mlparity.serving.endpoints.record import EndpointRecord, Member, Reshaping, RolloutRecord, Side


def endpoint_document(record: EndpointRecord) -> dict[str, Any]:
    """The members of an endpoint that have no column of their own."""
    return {
        "blue": _side_document(record.blue),
        "phase_at": record.phase_at.isoformat(),
        "log_group": record.log_group,
        "retiring": list(record.retiring),
        "before": {deployment: list(values) for deployment, values in record.before.items()},
        "scale_until": _text(record.scale_until),
        "restart_at": _text(record.restart_at),
        "reshaping": _reshaping_document(record.reshaping) if record.reshaping else None,
    }


def endpoint_members(document: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of ``endpoint_document``."""
    return {
        "blue": _side(document["blue"]),
        "phase_at": datetime.fromisoformat(document["phase_at"]),
        "log_group": document["log_group"],
        "retiring": tuple(document["retiring"]),
        "before": {deployment: (float(one[0]), int(one[1])) for deployment, one in document["before"].items()},
        "scale_until": _time(document["scale_until"]),
        "restart_at": _time(document["restart_at"]),
        "reshaping": _reshaping(document["reshaping"]) if document.get("reshaping") else None,
    }


def rollout_document(record: RolloutRecord) -> dict[str, Any]:
    """A whole rollout, but for what has a column of its own."""
    return {
        "from_revision": record.from_revision.to_json(),
        "policy": record.policy.to_json(),
        "green": _side_document(record.green),
        "shares": list(record.shares),
        "stage_at": record.stage_at.isoformat(),
        "step": record.step,
        "back": list(record.back),
        "share": record.share,
        "blue_capacity": record.blue_capacity,
        "green_capacity": record.green_capacity,
        "stage": record.stage.value,
        "due_at": _text(record.due_at),
        "deadline": _text(record.deadline),
        "reason": record.reason,
        "alarms": list(record.alarms),
        "history": [
            [event.at.isoformat(), event.stage.value, event.step, event.share, event.message]
            for event in record.history
        ],
    }


def rollout_record(row: RowMapping) -> RolloutRecord:
    """The inverse of ``rollout_document``, given a row of the table."""
    document = row["state"]
    return RolloutRecord(
        id=row["id"],
        number=row["number"],
        phase=RolloutPhase(row["phase"]),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        from_revision=Revision.from_json(document["from_revision"]),
        policy=RolloutPolicy.from_json(document["policy"]),
        green=_side(document["green"]),
        shares=tuple(document["shares"]),
        stage_at=datetime.fromisoformat(document["stage_at"]),
        step=document["step"],
        back=tuple(document["back"]),
        share=document["share"],
        blue_capacity=document["blue_capacity"],
        green_capacity=document["green_capacity"],
        stage=RolloutStage(document["stage"]),
        due_at=_time(document["due_at"]),
        deadline=_time(document["deadline"]),
        reason=document["reason"],
        alarms=tuple(document["alarms"]),
        history=tuple(
            RolloutEvent(datetime.fromisoformat(at), RolloutStage(stage), step, share, message)
            for at, stage, step, share, message in document["history"]
        ),
    )


def _side_document(side: Side) -> dict[str, Any]:
    return {"revision": side.revision.to_json(), "members": [asdict(member) for member in side.members]}


def _side(document: Mapping[str, Any]) -> Side:
    return Side(Revision.from_json(document["revision"]), tuple(map(_member, document["members"])))


def _reshaping_document(reshaping: Reshaping) -> dict[str, Any]:
    added = [asdict(member) for member in reshaping.added]
    return {"revision": reshaping.revision.to_json(), "added": added, "applied": reshaping.applied}


def _reshaping(document: Mapping[str, Any]) -> Reshaping:
    added = tuple(map(_member, document["added"]))
    return Reshaping(Revision.from_json(document["revision"]), added, document["applied"])


def _member(document: Mapping[str, Any]) -> Member:
    return Member(**{**document, "plan": _plan(document["plan"])})


def _plan(document: Mapping[str, Any]) -> VariantPlan:
    return VariantPlan(**{**document, "containers": tuple(ModelContainer(**one) for one in document["containers"])})


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
