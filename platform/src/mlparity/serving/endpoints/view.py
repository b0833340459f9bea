"""What the state machine sees of the world when it decides its next step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mlparity.serving.endpoints.record import Member
from mlparity.serving.fleet.deployment import Deployment, DeploymentPhase

_ENDED = {DeploymentPhase.FAILED, DeploymentPhase.STOPPED}


@dataclass(frozen=True)
class View:
    """Everything that a decision may depend on and that is not stored."""

    deployments: Mapping[str, Deployment | None]
    now: datetime
    tripped: Sequence[str] = ()  # the rollout's alarms that are in ALARM

    def sockets(self, deployment: str) -> Sequence[str]:
        """Of the workers that answer."""
        seen = self.deployments.get(deployment)
        return seen.sockets if seen else ()

    def is_whole(self, member: Member, workers: int) -> bool:
        """Whether as many workers answer as are wanted."""
        seen = self.deployments.get(member.deployment)
        return (
            seen is not None
            and seen.phase is DeploymentPhase.READY
            and seen.wanted == workers
            and len(seen.sockets) >= workers
        )

    def is_settled(self, member: Member, workers: int) -> bool:
        """Whether exactly as many answer as are wanted: those to go have gone, too."""
        return self.is_whole(member, workers) and len(self.sockets(member.deployment)) == workers

    def is_gone(self, deployment: str) -> bool:
        """Whether nothing of it runs."""
        seen = self.deployments.get(deployment)
        return seen is None or seen.phase in _ENDED

    def failure(self, members: Sequence[Member]) -> str | None:
        """Why one of them never got ready; None where none has failed."""
        for member in members:
            seen = self.deployments.get(member.deployment)
            if seen is not None and seen.phase is DeploymentPhase.FAILED:
                return f"variant {member.plan.name}: {seen.reason or 'its workers did not get ready'}"
        return None
