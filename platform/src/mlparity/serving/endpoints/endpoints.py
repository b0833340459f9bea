"""An endpoint as its vendor's API shows it, and the history of its rollouts: values, never changed in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from mlparity.serving.endpoints.plans import Revision, RolloutPolicy, VariantPlan


class EndpointPhase(StrEnum):
    """Where an endpoint is. In CREATING, FAILED, DELETING and DELETED it takes no requests; else it does."""

    CREATING = "creating"
    IN_SERVICE = "in_service"  # with ``failure_reason`` where the last update was rolled back
    UPDATING = "updating"  # to another revision, or to other weights and counts
    ROLLING_BACK = "rolling_back"  # an update did not succeed and is being undone
    ROLLBACK_FAILED = "rollback_failed"  # in service with workers of both revisions. SageMaker: UpdateRollbackFailed
    FAILED = "failed"  # it could not be created; nothing of it runs
    DELETING = "deleting"
    DELETED = "deleted"  # told to listeners only: nothing of it is stored any more

    @property
    def is_busy(self) -> bool:
        """Whether something is under way, so that changes are refused."""
        return self in _BUSY


_BUSY = {EndpointPhase.CREATING, EndpointPhase.UPDATING, EndpointPhase.ROLLING_BACK, EndpointPhase.DELETING}


class VariantStage(StrEnum):
    """What is happening to a variant; SageMaker's VariantStatus."""

    CREATING = "creating"
    UPDATING = "updating"  # its number of workers is being changed
    ACTIVATING_TRAFFIC = "activating_traffic"
    BAKING = "baking"
    DELETING = "deleting"


@dataclass(frozen=True)
class VariantState:
    """One variant of one revision, now."""

    plan: VariantPlan  # as its revision has it; the numbers below may have been changed since
    deployment: str  # id of the fleet's deployment
    current_weight: float  # as the router uses it; 0 before it takes traffic
    desired_weight: float
    current_instances: int  # workers that answer now
    desired_instances: int
    stage: VariantStage | None = None  # None: nothing is happening to it
    stage_at: datetime | None = None  # since when
    stage_message: str = ""

    @property
    def name(self) -> str:
        """The variant's name."""
        return self.plan.name


class RolloutPhase(StrEnum):
    """How a rollout went."""

    IN_PROGRESS = "in_progress"
    ROLLING_BACK = "rolling_back"
    SUCCEEDED = "succeeded"
    ROLLED_BACK = "rolled_back"
    ROLLBACK_FAILED = "rollback_failed"  # workers of both revisions go on serving

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return self not in {RolloutPhase.IN_PROGRESS, RolloutPhase.ROLLING_BACK}


class RolloutStage(StrEnum):
    """What a rollout is doing."""

    PROVISIONING = "provisioning"  # workers of the new revision start
    SHIFTING = "shifting"  # the router is being told the new share
    BAKING = "baking"  # the alarms are watched for ``wait_seconds``
    WAITING = "waiting"  # all traffic has gone over; the old fleet is kept for ``termination_wait_seconds``
    RETIRING = "retiring"  # the old fleet (after a rollback: the new one) finishes its requests and ends
    RESTORING = "restoring"  # traffic goes back to the old fleet
    ENDED = "ended"


@dataclass(frozen=True)
class RolloutEvent:
    """Something that a rollout did, and why."""

    at: datetime
    stage: RolloutStage
    step: int  # from 1
    share: float  # of the traffic that the new fleet has, 0-1
    message: str


@dataclass(frozen=True)
class Rollout:
    """One way from a revision to the next."""

    id: str
    number: int  # from 1, of this endpoint
    from_revision: Revision
    to_revision: Revision
    policy: RolloutPolicy
    phase: RolloutPhase
    stage: RolloutStage
    step: int  # from 1
    steps: int
    share: float  # of the traffic that the new fleet has, 0-1
    reason: str  # why it was rolled back; "" where it was not
    alarms: Sequence[str]  # those whose ALARM state was the reason
    started_at: datetime
    stage_at: datetime  # when the stage was entered
    due_at: datetime | None  # when the stage ends by itself (a bake, a wait); None: when the workers are ready
    ended_at: datetime | None
    history: Sequence[RolloutEvent]  # oldest first


@dataclass(frozen=True)
class Pending:
    """What an endpoint is being updated to."""

    revision: Revision
    variants: Sequence[VariantState]
    started_at: datetime


@dataclass(frozen=True)
class Endpoint:
    """An endpoint of some vendor API."""

    id: str
    api: str  # "sagemaker"
    name: str
    phase: EndpointPhase
    revision: Revision  # that serves; while CREATING: that will
    variants: Sequence[VariantState]  # of ``revision``; after ROLLBACK_FAILED of two revisions, some with one name
    pending: Pending | None  # while it is updated to another revision, or rolled back from it
    rollout: Rollout | None  # the newest, under way or ended; None: it has never been updated
    failure_reason: str  # of the last create or update; "" where that succeeded
    request: Mapping[str, Any]  # the vendor's own create request
    update_request: Mapping[str, Any] | None  # the vendor's own request of the newest update to another revision
    created_at: datetime
    modified_at: datetime

    @property
    def key(self) -> str:
        """Its name in the fleet and the router: "sagemaker/flights"."""
        return f"{self.api}/{self.name}"


@dataclass(frozen=True)
class EndpointFilter:
    """Which endpoints to list. None means any."""

    api: str
    name_contains: str | None = None
    phases: Sequence[EndpointPhase] | None = None
    created_after: datetime | None = None  # at or after
    created_before: datetime | None = None
    modified_after: datetime | None = None  # at or after
    modified_before: datetime | None = None
