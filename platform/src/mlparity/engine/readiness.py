"""Which steps of a run may begin now, and which never will."""

from __future__ import annotations

from collections.abc import Mapping

from mlparity.engine.runs import Run, Step, StepPlan, StepStatus

_DONE = frozenset({StepStatus.SUCCEEDED, StepStatus.SKIPPED})


def is_blocked(plan: StepPlan, steps: Mapping[str, Step]) -> bool:
    """Whether something that it needs has not ended well yet."""
    needed = [steps[name] for name in plan.depends_on]
    if plan.after_failure:
        return not all(step.status.is_final for step in needed)
    if plan.gate is not None:
        needed.append(steps[plan.gate.step])
    return any(step.status not in _DONE for step in needed)


def is_off_branch(plan: StepPlan, steps: Mapping[str, Step]) -> bool:
    """Whether it lies behind a branch not taken, or after a step that does. To ask of steps that are not blocked."""
    if plan.after_failure:
        return False
    if plan.gate is not None:
        gate = steps[plan.gate.step]
        if gate.status is StepStatus.SKIPPED or gate.branch != plan.gate.branch:
            return True
    return any(steps[name].status is StepStatus.SKIPPED for name in plan.depends_on)


def must_wait_for_end(run: Run, plan: StepPlan, steps: Mapping[str, Step]) -> bool:
    """Whether a failure elsewhere in the run keeps the step from beginning."""
    if run.plan.fail_slow or plan.after_failure:
        return False
    return any(step.status is StepStatus.FAILED for step in steps.values())


def is_full(run: Run, steps: Mapping[str, Step]) -> bool:
    """Whether as many steps are under way as the run may have at once."""
    limit = run.plan.max_parallel_steps
    return limit > 0 and sum(step.status.is_active for step in steps.values()) >= limit
