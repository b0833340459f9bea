"""Selective execution: only some steps of a pipeline, with the results that an earlier execution left for them.

https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-selective-ex.html
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlparity.apis.sagemaker.errors import validation
from mlparity.engine.runs import Run, Step, StepPlan, StepStatus


@dataclass(frozen=True)
class Selection:
    """What an execution reuses of another, and what it leaves out."""

    reused: Mapping[str, Step]
    left_out: Collection[str]


def names(config: Mapping[str, Any], plans: Sequence[StepPlan]) -> set[str]:
    """The selected steps. Raises ``ValidationException`` for one that the pipeline does not have."""
    selected = [item["StepName"] for item in config["SelectedSteps"]]
    if len(set(selected)) != len(selected):
        raise validation("Invalid SelectiveExecutionConfig: SelectedSteps must be unique.")
    unknown = sorted(set(selected) - {plan.name for plan in plans})
    if unknown:
        raise validation(f"Invalid SelectiveExecutionConfig: steps {_list(unknown)} are not in the pipeline.")
    return set(selected)


def select(
    selected: Collection[str], plans: Sequence[StepPlan], source: Run | None, done: Mapping[str, Step]
) -> Selection:
    """What follows from a selection; ``done`` are the steps of ``source``. Raises ``ValidationException``."""
    needs = {plan.name: _needs(plan) for plan in plans}
    _check_paths(selected, needs)
    direct = sorted({name for step in selected for name in needs[step]} - set(selected))
    if direct and source is None:
        raise validation(
            f"Invalid SourcePipelineExecutionArn: null. The selected steps {_list(sorted(selected))} "
            f"have dependencies on {_list(direct)}"
        )
    for name in direct:
        if name not in done or done[name].status is not StepStatus.SUCCEEDED:
            raise validation(
                f"Invalid SourcePipelineExecutionArn: the selected steps {_list(sorted(selected))} have dependencies "
                f"on step {name}, which has not succeeded in the source pipeline execution"
            )
    _check_branches(selected, plans, done)
    above = _reach(selected, needs) - set(selected)
    reused = {
        name: done[name] for name in above if name in done and done[name].status is StepStatus.SUCCEEDED and direct
    }
    return Selection(reused, {plan.name for plan in plans} - set(selected) - reused.keys())


def _needs(plan: StepPlan) -> set[str]:
    return {*plan.depends_on, *({plan.gate.step} if plan.gate else set())}


def _reach(begin: Collection[str], edges: Mapping[str, Collection[str]]) -> set[str]:
    """Everything that can be reached from ``begin``, itself included."""
    found: set[str] = set()
    ahead = list(begin)
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead += edges.get(name, ())
    return found


def _check_paths(selected: Collection[str], needs: Mapping[str, Collection[str]]) -> None:
    """All steps on all paths between two selected ones must be selected, too."""
    followers: dict[str, set[str]] = {name: set() for name in needs}
    for name, needed in needs.items():
        for other in needed:
            followers[other].add(name)
    between = (_reach(selected, needs) & _reach(selected, followers)) - set(selected)
    if between:
        raise validation(
            f"Invalid SelectiveExecutionConfig: the selected steps {_list(sorted(selected))} are not connected. "
            f"All steps in all paths between two selected steps must be selected. Missing: {_list(sorted(between))}"
        )


def _check_branches(selected: Collection[str], plans: Sequence[StepPlan], done: Mapping[str, Step]) -> None:
    for plan in plans:
        gate = plan.gate
        if plan.name in selected and gate and gate.step not in selected and done[gate.step].branch != gate.branch:
            raise validation(
                f"Invalid SelectiveExecutionConfig: step {plan.name} is on a branch of condition step {gate.step} "
                "that the source pipeline execution did not take"
            )


def _list(items: Sequence[str]) -> str:
    return f"[{', '.join(items)}]"
