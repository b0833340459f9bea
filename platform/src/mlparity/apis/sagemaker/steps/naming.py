"""Names that follow from a step, so that what it made before a crash is found again."""

from __future__ import annotations

import hashlib

from mlparity.engine.runs import StepContext

_SHORT = 8


def step_name(context: StepContext, prefix: str, limit: int) -> str:
    """``PREFIX-EXECUTION-Step-HASH``, at most ``limit`` long; one name an attempt.

    Without a prefix the step is cut to eight letters, as SageMaker does for tuning jobs.
    """
    execution = context.run.id
    seed = f"{execution}/{context.plan.name}/{context.step.attempt}"
    tail = hashlib.sha256(seed.encode()).hexdigest()[:10]
    head = f"{prefix}-{execution}" if prefix else execution
    room = min(limit - len(head) - len(tail) - 2, limit if prefix else _SHORT)
    step = context.plan.name.replace("_", "-")[: max(0, room)].strip("-")
    return "-".join(part for part in (head, step, tail) if part)
