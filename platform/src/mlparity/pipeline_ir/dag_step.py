"""A task that is a DAG: a nested pipeline, a condition's branch, an exit handler's group; or a loop over anything.

Its runs lie inside the step: one, or one an iteration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlparity.engine.jobs import Job
from mlparity.engine.run_repository import NewRun
from mlparity.engine.runs import ChildRun, RunStatus, StepContext, StepStatus, StepUpdate
from mlparity.pipeline_ir.outputs import collected, dag_outputs
from mlparity.pipeline_ir.plans import FAULT, plan_of
from mlparity.pipeline_ir.recorder import TaskRecord
from mlparity.pipeline_ir.resolution import iteration_inputs, loop_items, unused_items
from mlparity.pipeline_ir.root_runs import child_id
from mlparity.pipeline_ir.task_context import LazyMeans, Means, TaskAt, task_at
from mlparity.pipeline_ir.tasks import TaskState, TaskValues

CHILD_KIND = "pipeline-dag"  # in ``runs.kind``


@dataclass(frozen=True)
class DagStep:
    """Submits the runs, as many at once as the loop allows, and gathers what they made."""

    means: LazyMeans

    def start(self, context: StepContext) -> StepUpdate:
        """Begin the runs; those begun before a crash are found, those that failed in an earlier try go on."""
        means = self.means()
        at = task_at(means, context)
        inputs = at.inputs()
        if not at.is_wanted(inputs):
            return StepUpdate(StepStatus.SKIPPED)
        count = len(loop_items(at.task.iterator, inputs)) if at.task.iterator else 1
        details = {"inputs": inputs.to_json(), "count": count, "attempt": context.step.attempt}
        if count == 0:
            return self._end(means, at, collected(at.component, ()), details)
        means.recorder.task_began(at.root, at.record(inputs))
        with means.engine.repository.transaction():
            for index in range(min(count, _at_once(at) or count)):
                self._begin(means, at, context, inputs, index, context.step.attempt)
        return StepUpdate(StepStatus.EXECUTING, details=details)

    def on_runs(self, context: StepContext, children: Sequence[ChildRun]) -> StepUpdate:
        """Begin more where a loop may, or end as the runs did."""
        means = self.means()
        at = task_at(means, context)
        details = context.step.details
        own = self._own(at, context, children)
        status = context.step.status
        failed = [child for child in own if child.status is RunStatus.FAILED]
        running = [child for child in own if not child.status.is_final]
        goes_on = status is StepStatus.EXECUTING and (not failed or at.root.fail_slow)
        if goes_on and len(own) < details["count"]:
            self._begin_more(means, at, context, len(own), len(running))
            return StepUpdate(status)
        if running:
            return StepUpdate(status)
        if failed:
            return self._failed(means, at, self._failure(means, at, failed), details)
        if any(child.status is RunStatus.STOPPED for child in own) or len(own) < details["count"]:
            means.recorder.task_ended(at.root, _record(at, details), TaskState.CANCELED, TaskValues())
            return StepUpdate(StepStatus.STOPPED)
        results = [self._outputs(means, at, child) for child in own]
        return self._end(means, at, collected(at.component, results) if at.task.iterator else results[0], details)

    def on_job(self, context: StepContext, job: Job) -> StepUpdate:  # noqa: ARG002
        """Never: its runs have the jobs."""
        return StepUpdate(context.step.status)

    def stop(self, context: StepContext) -> None:
        """Stop the runs."""
        means = self.means()
        for child in means.engine.repository.children(context.run.id, context.plan.name):
            if not child.status.is_final:
                means.engine.stop(child.id)

    @staticmethod
    def _own(at: TaskAt, context: StepContext, children: Sequence[ChildRun]) -> list[ChildRun]:
        """The runs of this attempt, by iteration."""
        wanted = {
            _child(at, context, index, context.step.details["attempt"]): index
            for index in range(context.step.details["count"])
        }
        return sorted((child for child in children if child.id in wanted), key=lambda child: wanted[child.id])

    def _begin_more(self, means: Means, at: TaskAt, context: StepContext, begun: int, running: int) -> None:
        inputs = TaskValues.from_json(context.step.details["inputs"])
        limit = _at_once(at) or context.step.details["count"]
        with means.engine.repository.transaction():
            for index in range(begun, min(context.step.details["count"], begun + limit - running)):
                self._begin(means, at, context, inputs, index, context.step.details["attempt"])

    @staticmethod
    def _begin(means: Means, at: TaskAt, context: StepContext, inputs: TaskValues, index: int, attempt: int) -> None:
        own = _child(at, context, index, attempt)
        iterator = at.task.iterator
        given = inputs if iterator is None else iteration_inputs(iterator, at.component, inputs, index)
        if iterator is not None:
            given = unused_items(iterator, at.component, given)
        caching = at.root.caching if at.component.dag is not None or at.root.caching is not None else at.task.cached
        plan = plan_of(at.root.pipeline, at.component, given, fail_slow=at.root.fail_slow, caching=caching)
        run = means.engine.submit(
            NewRun(
                own,
                context.run.api,
                CHILD_KIND,
                "",
                at.task.name,
                {},
                plan,
                enclosing_run=context.run.id,
                enclosing_step=context.plan.name,
                iteration=index if iterator is not None else -1,
            )
        )
        begun = context.step.started_at
        if run.status in {RunStatus.FAILED, RunStatus.STOPPED} and run.ended_at and begun and run.ended_at < begun:
            means.engine.reopen(run.id)  # the whole run was asked to try again

    @staticmethod
    def _outputs(means: Means, at: TaskAt, child: ChildRun) -> TaskValues:
        return dag_outputs(at.component, means.engine.repository.steps(child.id))

    @staticmethod
    def _end(means: Means, at: TaskAt, outputs: TaskValues, details: Mapping[str, Any]) -> StepUpdate:
        means.recorder.task_ended(at.root, _record(at, details), TaskState.SUCCEEDED, outputs)
        return StepUpdate(StepStatus.SUCCEEDED, outputs=outputs.to_json(), details=details)

    @staticmethod
    def _failed(means: Means, at: TaskAt, reason: str, details: Mapping[str, Any]) -> StepUpdate:
        means.recorder.task_ended(at.root, _record(at, details), TaskState.FAILED, TaskValues(), reason)
        return StepUpdate(StepStatus.FAILED, failure_reason=reason, fault=FAULT)

    @staticmethod
    def _failure(means: Means, at: TaskAt, failed: Sequence[ChildRun]) -> str:
        names: list[str] = []
        for child in failed:
            steps = means.engine.repository.steps(child.id).values()
            names += [step.name for step in steps if step.status is StepStatus.FAILED]
        return dag_failure(names or [at.task.name])


def _record(at: TaskAt, details: Mapping[str, Any]) -> TaskRecord:
    return at.record(TaskValues.from_json(details["inputs"]))


def dag_failure(names: Sequence[str]) -> str:
    """Vertex's words for a DAG in which tasks failed."""
    shown = ", ".join(dict.fromkeys(names))
    return f"The DAG failed because some tasks failed. The failed tasks are: [{shown}]."


def _at_once(at: TaskAt) -> int:
    return at.task.iterator.parallelism if at.task.iterator else 0


def _child(at: TaskAt, context: StepContext, index: int, attempt: int) -> str:
    return child_id(context.run.id, context.plan.name, attempt, index if at.task.iterator else -1)
