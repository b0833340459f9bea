"""What is stored of an endpoint: all that its next step depends on, besides the workers, the alarms and the time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from mlparity.serving.endpoints.endpoints import EndpointPhase, RolloutEvent, RolloutPhase, RolloutStage
from mlparity.serving.endpoints.plans import Revision, RolloutPolicy, Strategy, VariantPlan

_EXACT = 1e-9  # what floats may add to a whole number

# In these the endpoint answers requests.
SERVING = {
    EndpointPhase.IN_SERVICE,
    EndpointPhase.UPDATING,
    EndpointPhase.ROLLING_BACK,
    EndpointPhase.ROLLBACK_FAILED,
}


@dataclass(frozen=True)
class Member:
    """One deployment of a side."""

    deployment: str
    plan: VariantPlan
    weight: float
    instances: int  # when the side is whole

    def workers(self, capacity: float) -> int:
        """How many workers are a part (0-1) of it."""
        return math.ceil(self.instances * capacity - _EXACT)


@dataclass(frozen=True)
class Side:
    """The fleet of one revision: blue is the one that serves, green the one that a rollout brings."""

    revision: Revision
    members: Sequence[Member]

    @property
    def startup_seconds(self) -> int:
        """How long it may take to answer."""
        return max((member.plan.startup_seconds for member in self.members), default=0)


@dataclass(frozen=True)
class RolloutRecord:
    """A rollout as stored; ``endpoints.Rollout`` says what most members mean."""

    id: str
    number: int
    from_revision: Revision
    policy: RolloutPolicy
    green: Side
    shares: Sequence[float]  # of the traffic, step by step; the last is 1
    started_at: datetime
    stage_at: datetime
    step: int = 0  # index in ``shares``
    back: Sequence[float] = ()  # the shares on the way back that are still to come
    share: float = 0.0
    blue_capacity: float = 1.0  # the part of its instances that blue is to have
    green_capacity: float = 1.0
    phase: RolloutPhase = RolloutPhase.IN_PROGRESS
    stage: RolloutStage = RolloutStage.PROVISIONING
    due_at: datetime | None = None
    deadline: datetime | None = None
    ended_at: datetime | None = None
    reason: str = ""
    alarms: Sequence[str] = ()
    history: Sequence[RolloutEvent] = ()

    @property
    def is_rolling(self) -> bool:
        """Whether instances replace their like, batch by batch."""
        return self.policy.strategy is Strategy.ROLLING

    def enter(self, stage: RolloutStage, now: datetime, message: str, **changes: Any) -> RolloutRecord:
        """The rollout in its next stage, with the entry in its history."""
        after = replace(self, **{"due_at": None, **changes, "stage": stage, "stage_at": now})
        event = RolloutEvent(now, stage, after.step + 1, after.share, message)
        return replace(after, history=(*self.history, event))


@dataclass(frozen=True)
class Reshaping:
    """Variants that come and go while the others serve on."""

    revision: Revision  # that will serve
    added: Sequence[Member]
    applied: bool = False  # it serves; what went is ending

    def side(self, blue: Side) -> Side:
        """The side that follows ``blue``: those that stay keep their workers, and have the weights of the revision."""
        added = {member.plan.name: member for member in self.added}
        kept = {member.plan.name: member for member in blue.members}
        members = tuple(
            added.get(plan.name) or replace(kept[plan.name], plan=plan, weight=plan.weight)
            for plan in self.revision.variants
        )
        return Side(self.revision, members)


@dataclass(frozen=True)
class EndpointRecord:
    """An endpoint as stored."""

    id: str
    api: str
    name: str
    phase: EndpointPhase
    phase_at: datetime
    blue: Side
    request: Mapping[str, Any]
    created_at: datetime
    modified_at: datetime
    log_group: str = ""
    update_request: Mapping[str, Any] | None = None
    failure_reason: str = ""
    version: int = 0  # counts what was written, so that nobody writes over what he has not seen
    rollout: RolloutRecord | None = None  # the newest
    retiring: Sequence[str] = ()  # deployments that get no more requests and are to end
    before: Mapping[str, tuple[float, int]] = field(
        default_factory=dict
    )  # deployment -> weight and count to go back to
    scale_until: datetime | None = None  # when a change of counts is given up
    restart_at: datetime | None = None  # when deployments that have failed are started anew
    reshaping: Reshaping | None = None

    @property
    def key(self) -> str:
        """Its name in the fleet and the router."""
        return f"{self.api}/{self.name}"

    @property
    def active(self) -> RolloutRecord | None:
        """The rollout that is under way."""
        return self.rollout if self.rollout is not None and not self.rollout.phase.is_final else None

    def enter(self, phase: EndpointPhase, now: datetime, **changes: Any) -> EndpointRecord:
        """The endpoint in its next phase."""
        return replace(self, **{**changes, "phase": phase, "phase_at": now})

    def wanted(self) -> Iterator[tuple[Member, int]]:
        """The deployments that are to run, and with how many workers."""
        if self.phase not in SERVING and self.phase is not EndpointPhase.CREATING:
            return
        rollout = self.active
        for member in self.blue.members:
            yield member, member.workers(rollout.blue_capacity if rollout else 1.0)
        if rollout and rollout.stage is not RolloutStage.RETIRING:
            for member in rollout.green.members:
                yield member, member.workers(rollout.green_capacity)
        if self.reshaping and not self.reshaping.applied:
            for member in self.reshaping.added:
                yield member, member.instances

    def traffic(self) -> Iterator[tuple[Side, float]]:
        """The sides that take requests, with their shares: all of them are 1 together."""
        rollout = self.active
        if rollout is None or rollout.stage is RolloutStage.RETIRING:
            yield self.blue, 1.0
            return
        for side, share in ((self.blue, 1 - rollout.share), (rollout.green, rollout.share)):
            if share > 0:
                yield side, share
