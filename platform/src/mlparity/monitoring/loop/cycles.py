"""One turn of a loop, as the database knows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from mlparity.monitoring.loop.definition import LoopDefinition


class CycleState(StrEnum):
    """Where a cycle is. It is recorded before it is acted on."""

    RETRAINING = "retraining"
    GATING = "gating"
    AWAITING_APPROVAL = "awaiting approval"
    ROLLING_OUT = "rolling out"
    # final:
    SUPPRESSED = "suppressed"  # dedupe key, cool-down, cap, pause, or another cycle under way
    REJECTED = "rejected"  # by a gate: the pipeline's own, or the loop's
    DECLINED = "declined"  # by a person, or nobody approved in time
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    STOPPED = "stopped"  # by hand
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows."""
        return self not in _ACTIVE

    @property
    def retrained(self) -> bool:
        """Whether a cycle in this state has started a retraining."""
        return self is not CycleState.SUPPRESSED


_ACTIVE = frozenset({"retraining", "gating", "awaiting approval", "rolling out"})


@dataclass(frozen=True)
class Entry:
    """A step that a cycle took, and why."""

    at: datetime
    state: CycleState
    reason: str


@dataclass(frozen=True)
class Cycle:
    """One turn: from the trigger to the endpoint, or to the reason why not."""

    loop: str
    number: int
    state: CycleState
    dedupe_key: str
    trigger: str
    event: Mapping[str, Any]
    facts: Mapping[str, Any]
    history: Sequence[Entry]
    created_at: datetime
    modified_at: datetime
    due_at: datetime | None

    @property
    def token(self) -> str:
        """Names what the cycle makes: the same after a crash, another for a new loop of an old name."""
        return f"{self.loop}-{self.number}-{self.created_at:%y%m%d%H%M%S}"


@dataclass(frozen=True)
class Loop:
    """A loop and whether it acts."""

    definition: LoopDefinition
    paused: bool
    created_at: datetime
    modified_at: datetime
