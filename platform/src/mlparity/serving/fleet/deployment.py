"""The seam between endpoints and processes: a deployment is one variant of one revision, served by some workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from mlparity.serving.endpoints.plans import VariantPlan


@dataclass(frozen=True)
class DeploymentSpec:
    """What to run. The same ``id`` always means the same model: only the number of workers may change."""

    id: str  # [A-Za-z0-9-], unique over time: "d-3f9c…"
    endpoint: str  # "sagemaker/flights"
    variant: VariantPlan  # ``instances`` is the number at the start
    log_group: str  # "/aws/sagemaker/Endpoints/flights"


class DeploymentPhase(StrEnum):
    """Where a deployment is."""

    STARTING = "starting"  # not as many workers answer as are wanted, for the first time
    READY = "ready"  # as many workers as wanted have answered /ping; one that died is being replaced meanwhile
    FAILED = "failed"  # it never got ready: see the reason. Nothing of it runs
    STOPPED = "stopped"


@dataclass(frozen=True)
class Deployment:
    """What a deployment is doing now."""

    spec: DeploymentSpec
    phase: DeploymentPhase
    wanted: int
    sockets: Sequence[str]  # of the workers that answer now
    reason: str = ""


class Fleet(Protocol):
    """All deployments. Any thread; nothing blocks for longer than it takes to note the wish."""

    def start(self, spec: DeploymentSpec) -> None:
        """Start the workers. Idempotent by ``spec.id``."""
        ...

    def scale(self, deployment_id: str, workers: int) -> None:
        """Change the number of workers; those that go are drained first."""
        ...

    def stop(self, deployment_id: str) -> None:
        """Let the workers finish their requests and end them. Idempotent; unknown ids are ignored."""
        ...

    def get(self, deployment_id: str) -> Deployment | None:
        """What it is doing; None where it is not known (after a restart: the endpoints start it again)."""
        ...

    def listen(self, listener: Callable[[Deployment], None]) -> None:
        """Call ``listener`` whenever a deployment's phase or sockets changed, from a thread of the fleet."""
        ...

    def close(self) -> None:
        """End every worker now."""
        ...
