"""Which steps of a run may begin now, and which never will."""

from __future__ import annotations

from collections.abc import Mapping

from mlparity.engine.runs import Run, Step, StepPlan, StepStatus

_DONE = frozenset({StepStatus.SUCCEEDED, StepStatus.SKIPPED})


def is_blocked(plan: StepPlan, steps: Mapping[str, Step]) -> bool:
    """Whether something that it needs has not ended well yet."""
    needed = [steps[name] for name in plan.depends_on]
    if plan.gate is not None:
        needed.append(steps[plan.gate.step])
    return any(step.status not in _DONE for step in needed)


def is_off_branch(plan: StepPlan, steps: Mapping[str, Step]) -> bool:
    """Whether it lies behind a branch not taken, or after a step that does. To ask of steps that are not blocked."""
    if plan.gate is not None:
        gate = steps[plan.gate.step]
        if gate.status is StepStatus.SKIPPED or gate.branch != plan.gate.branch:
            return True
    return any(steps[name].status is StepStatus.SKIPPED for name in plan.depends_on)


def is_full(run: Run, steps: Mapping[str, Step]) -> bool:
    """Whether as many steps are under way as the run may have at once."""
    limit = run.plan.max_parallel_steps
    return limit > 0 and sum(step.status.is_active for step in steps.values()) >= limit
