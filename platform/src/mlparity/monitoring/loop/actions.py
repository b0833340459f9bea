"""The seam between the loop and a vendor: what it asks, and what it has done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from mlparity.errors import MlparityError
from mlparity.monitoring.loop.definition import LoopDefinition


class LoopActionError(MlparityError):
    """The vendor's API refused. ``transient``: another attempt may succeed."""

    def __init__(self, what: str, why: str = "", *, transient: bool = False) -> None:
        super().__init__(what, why)
        self.transient = transient


class Outcome(StrEnum):
    """How something long stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    UNDONE = "undone"  # a rollout that went back by itself
    FAILED = "failed"


@dataclass(frozen=True)
class Champion:
    """The model that the endpoint serves now; empty where it does not come from the registry."""

    package: str = ""
    model_data: str = ""


@dataclass(frozen=True)
class Training:
    """A retraining: the model package that it has registered, if it has."""

    outcome: Outcome
    package: str = ""
    reason: str = ""


class Verdict(StrEnum):
    """What was decided about a model package."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Decision:
    """A verdict: whose, when and with which words. ``own``: by the role of the pipeline that made the package."""

    verdict: Verdict
    actor: str = ""
    at: str = ""
    comment: str = ""
    own: bool = False


@dataclass(frozen=True)
class RolloutState:
    """How far a rollout is."""

    outcome: Outcome
    reason: str = ""


class LoopActions(Protocol):
    """One vendor's ways. Each may raise ``LoopActionError``; those that make something are idempotent by ``token``."""

    def check(self, definition: LoopDefinition) -> None:
        """Raise unless the endpoint, the pipeline and what else the definition names can be used."""
        ...

    def champion(self, endpoint: str) -> Champion:
        """What the endpoint serves now."""
        ...

    def start_training(self, definition: LoopDefinition, token: str, parameters: Mapping[str, str]) -> str:
        """Start the pipeline; the id of its execution."""
        ...

    def training(self, definition: LoopDefinition, execution: str) -> Training:
        """How the execution stands."""
        ...

    def report(self, package: str) -> Mapping[str, Any]:
        """The evaluation report of a model package; empty where it has none."""
        ...

    def decision(self, package: str) -> Decision:
        """What has been decided about a package."""
        ...

    def decide(self, package: str, verdict: Verdict, comment: str) -> None:
        """Approve or reject a package in the loop's own name."""
        ...

    def start_rollout(self, definition: LoopDefinition, token: str, package: str) -> str:
        """Deploy the package to the endpoint; what names the rollout."""
        ...

    def rollout(self, definition: LoopDefinition, rollout: str) -> RolloutState:
        """How the rollout stands."""
        ...
