"""A pipeline job's details: its contexts, and its tasks with their executions and artifacts in the metadata store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mlparity.apis.vertex import metadata_messages
from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.names import id_of
from mlparity.apis.vertex.operation import Call
from mlparity.apis.vertex.pipeline_jobs_resource import BILLING_LABEL, FINAL, metadata_store, number_of, scope_of
from mlparity.apis.vertex.pipeline_tasks_jobs import job_name
from mlparity.metadata import MetadataStore, Node
from mlparity.pipeline_ir.root_runs import metadata_id
from mlparity.pipeline_ir.tasks import ArtifactValue, TaskDetail, TaskKind, TaskState, TaskValues
from mlparity.wire.google.descriptors import Message
from mlparity.wire.google.status import Code

_NOT_TRIGGERED = "NOT_TRIGGERED"
_STATES: Mapping[TaskState, str] = {
    TaskState.PENDING: "PENDING",
    TaskState.RUNNING: "RUNNING",
    TaskState.CANCELING: "CANCELLING",
    TaskState.SUCCEEDED: "SUCCEEDED",
    TaskState.CACHED: "SKIPPED",  # Vertex's word for a cache hit
    TaskState.SKIPPED: _NOT_TRIGGERED,
    TaskState.FAILED: "FAILED",
    TaskState.CANCELED: "CANCELLED",
}


def fill_contexts(vertex: Vertex, call: Call, job: Message, name: str, pipeline: str) -> None:
    """Set ``job_detail``'s contexts, as far as they are there: of the pipeline, and of the run."""
    store = vertex.metadata.of(scope_of(name))
    found = store.contexts.get_all([pipeline, id_of(name)])
    parents = store.parents(list(found))
    for field, context_id in (("pipeline_context", pipeline), ("pipeline_run_context", id_of(name))):
        if context_id in found:
            told = metadata_messages.message(call, metadata_store(name), found[context_id], parents[context_id])
            getattr(job.job_detail, field).CopyFrom(told)


def fill_tasks(vertex: Vertex, call: Call, job: Message) -> None:
    """Set ``job_detail.task_details``: the root, which is the run itself, and its tasks."""
    tasks = vertex.pipelines.tasks(id_of(job.name))
    store = vertex.metadata.of(scope_of(job.name))
    ended = call.api.enum_name("PipelineState", job.state) in FINAL
    told = _Telling(vertex, call, job, _Nodes.of(store, tasks), tasks, ended)
    job.job_detail.task_details.extend(told.detail(task) for task in tasks)


@dataclass(frozen=True)
class _Nodes:
    executions: Mapping[str, Node]
    artifacts: Mapping[str, Node]

    @classmethod
    def of(cls, store: MetadataStore, tasks: Sequence[TaskDetail]) -> _Nodes:
        values = [values for task in tasks for values in (task.inputs, task.outputs)]
        artifacts = [item.id for value in values for items in value.artifacts.values() for item in items if item.id]
        executions = [task.execution_id for task in tasks if task.execution_id]
        return cls(store.executions.get_all(executions), store.artifacts.get_all(artifacts))


class _Telling:
    def __init__(
        self, vertex: Vertex, call: Call, job: Message, nodes: _Nodes, tasks: Sequence[TaskDetail], ended: bool
    ) -> None:
        self._vertex = vertex
        self._call = call
        self._job = job
        self._nodes = nodes
        self._by_id = {task.id: task for task in tasks}
        self._ended = ended
        self._store = metadata_store(job.name)

    def detail(self, task: TaskDetail) -> Message:
        found = self._call.new(
            "PipelineTaskDetail",
            task_id=_number(task.id),
            task_name=self._name(task),
            task_unique_name=self._unique_name(task),
            state=self._state(task),
        )
        if task.parent_id:
            found.parent_task_id = _number(task.parent_id)
        for field in ("create", "start", "end"):
            moment = self._times(task)[field]
            if moment is not None:
                getattr(found, f"{field}_time").FromDatetime(moment)
        if task.execution_id in self._nodes.executions:
            execution = self._nodes.executions[task.execution_id]
            found.execution.CopyFrom(metadata_messages.message(self._call, self._store, execution))
        if task.state is TaskState.FAILED:
            found.error.CopyFrom(self._error(task))
        elif task.state is TaskState.CANCELED:
            found.error.CopyFrom(self._status(Code.CANCELLED, "The task was cancelled."))
        self._add_jobs(found, task)
        self._add_states(found, task)
        self._add_artifacts(found.inputs, task.inputs)
        self._add_artifacts(found.outputs, task.outputs)
        return found

    @staticmethod
    def _times(task: TaskDetail) -> dict[str, datetime | None]:
        return {"create": task.created_at, "start": task.started_at, "end": task.ended_at}

    def _name(self, task: TaskDetail) -> str:
        if not task.parent_id:
            return id_of(self._job.name)
        return f"{task.name}-{task.iteration}" if task.iteration >= 0 else task.name

    def _unique_name(self, task: TaskDetail) -> str:
        """The names of the tasks that it lies in, and its own; the root is in no name but its own."""
        names = [self._name(task)]
        while task.parent_id and (task := self._by_id[task.parent_id]).parent_id:
            names.append(self._name(task))
        return ".".join(reversed(names))

    def _state(self, task: TaskDetail) -> str:
        if task.state is TaskState.PENDING and self._ended:  # what it waited for failed or was cancelled
            return _NOT_TRIGGERED
        return _STATES[task.state]

    def _error(self, task: TaskDetail) -> Message:
        if not task.job_ids:
            message = task.error
        else:
            numbers = (
                f"Project number: {number_of(self._vertex, self._job.name)}, Job id: {self._job.labels[BILLING_LABEL]}"
            )
            message = (
                f"{task.error}; Failed to handle the pipeline task. Task: {numbers}, Task id: {_number(task.id)}, "
                f"Task name: {task.name}, Task state: FAILED, "
                f"Execution name: {self._store}/executions/{task.execution_id}"
            )
        return self._status(Code.FAILED_PRECONDITION, message)

    def _status(self, code: Code, message: str) -> Message:
        return self._call.new("google.rpc.Status", code=code.number, message=message)

    def _add_jobs(self, found: Message, task: TaskDetail) -> None:
        """The custom jobs of its attempts."""
        if task.job_ids and task.kind is TaskKind.CONTAINER:
            *failed, last = [job_name(self._job.name, job_id) for job_id in task.job_ids]
            found.executor_detail.container_detail.main_job = last
            found.executor_detail.container_detail.failed_main_jobs.extend(failed)

    def _add_states(self, found: Message, task: TaskDetail) -> None:
        """The states that it went through, from its times."""
        states = [("PENDING", task.created_at), ("RUNNING", task.started_at)]
        if task.state.is_final:
            states.append((self._state(task), task.ended_at or task.started_at or task.created_at))
        elif self._state(task) == _NOT_TRIGGERED:
            states.append((_NOT_TRIGGERED, self._job.end_time.ToDatetime(tzinfo=UTC)))
        for state, moment in states:
            if moment is not None:
                status = found.pipeline_task_status.add(
                    state=self._call.api.enum_number("PipelineTaskDetail.State", state)
                )
                status.update_time.FromDatetime(moment)
        if task.state in {TaskState.FAILED, TaskState.CANCELED}:
            found.pipeline_task_status[-1].error.CopyFrom(found.error)

    def _add_artifacts(self, into: Message, values: TaskValues) -> None:
        for name, items in values.artifacts.items():
            into[name].artifacts.extend(self._artifact(item) for item in items)

    def _artifact(self, item: ArtifactValue) -> Message:
        if item.id in self._nodes.artifacts:
            return metadata_messages.message(self._call, self._store, self._nodes.artifacts[item.id])
        found = self._call.new(  # its node was deleted, or nothing recorded it
            "Artifact", display_name=item.name, uri=item.uri, schema_title=item.schema_title
        )
        found.metadata.update(item.metadata)
        return found


def _number(task_id: str) -> int:
    return int(metadata_id(task_id))
