"""A pipeline job's state, kept in its resource: told by the engine, in the engine's own transactions."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from mlparity.apis.vertex.context import API, Vertex
from mlparity.apis.vertex.names import project_of
from mlparity.apis.vertex.pipeline_jobs_batches import end_batches
from mlparity.apis.vertex.pipeline_jobs_resource import PENDING, PIPELINE_JOBS, STATES, scope_of, written
from mlparity.engine.runs import Run, RunStatus, Step, StepStatus
from mlparity.errors import NotFoundError
from mlparity.metadata import EventType, NewEvent
from mlparity.pipeline_ir.dag_step import dag_failure
from mlparity.pipeline_ir.root_runs import metadata_id
from mlparity.pipeline_ir.service import RUN_KIND
from mlparity.state.documents import Document
from mlparity.wire.google.status import Code


def on_run(vertex: Vertex, run: Run, before: RunStatus | None) -> None:
    """To be told of every change of a run (``RunEngine.listen``), after ``PipelineRuns``."""
    if not _is_pipeline_job(run):
        return
    name = str(run.request["vendor"]["name"])
    if before is None:
        _into_pipeline_context(vertex, run, name)
        return
    try:
        document = vertex.documents.get(PIPELINE_JOBS.message, name)
    except NotFoundError:
        return  # deleted while it ended
    changes: dict[str, Any] = {"state": STATES[run.status]}
    if run.status.is_final:
        changes["endTime"] = written(run.ended_at or vertex.clock.now())
        changes["startTime"] = document.body["resource"].get("startTime", changes["endTime"])
        changes |= _error(vertex, run, document)
    elif run.status is RunStatus.EXECUTING:
        changes["startTime"] = written(vertex.clock.now())
    _save(vertex, document, changes)
    if run.status.is_final:
        _tell_outputs(vertex, run, name)
        end_batches(vertex, name)
        if document.body["resource"].get("scheduleName"):
            vertex.runs.repository.after_commit(vertex.wake_timers)  # the schedule's next run may wait for this one


def on_step(vertex: Vertex, run: Run, step: Step, before: StepStatus) -> None:  # noqa: ARG001 - of the protocol
    """The job runs when its first task begins (``RunEngine.listen``)."""
    if before is not StepStatus.PENDING or run.status is not RunStatus.EXECUTING or not _is_pipeline_job(run):
        return
    try:
        document = vertex.documents.get(PIPELINE_JOBS.message, str(run.request["vendor"]["name"]))
    except NotFoundError:
        return
    if document.body["resource"]["state"] == PENDING:
        now = written(vertex.clock.now())
        _save(vertex, document, {"state": STATES[RunStatus.EXECUTING], "startTime": now})


def _is_pipeline_job(run: Run) -> bool:
    return run.api == API and run.kind == RUN_KIND and run.id == run.root_run


def _save(vertex: Vertex, document: Document, changes: dict[str, Any]) -> None:
    resource = {**document.body["resource"], **changes, "updateTime": written(vertex.clock.now())}
    vertex.documents.merge(PIPELINE_JOBS.message, document.name, {"resource": resource})


def _into_pipeline_context(vertex: Vertex, run: Run, name: str) -> None:
    """The run's execution is in the context of its pipeline, too, where ``aiplatform.get_pipeline_df`` looks."""
    pipeline = str(run.request["pipeline"]["pipeline_name"])
    vertex.metadata.of(scope_of(name)).add_members(pipeline, executions=[metadata_id(run.id)])


def _tell_outputs(vertex: Vertex, run: Run, name: str) -> None:
    """The pipeline's output artifacts, its metrics among them, are outputs of the run's execution."""
    root = run.request["spec"].get("root", {})
    if run.status is not RunStatus.SUCCEEDED or not root.get("outputDefinitions", {}).get("artifacts"):
        return
    made = vertex.pipelines.tasks(run.id)[0].outputs.artifacts
    events = [
        NewEvent(item.id, EventType.OUTPUT, path=output) for output, items in made.items() for item in items if item.id
    ]
    with suppress(NotFoundError):  # what a person has deleted meanwhile
        vertex.metadata.of(scope_of(name)).add_events(metadata_id(run.id), events)


def _error(vertex: Vertex, run: Run, document: Document) -> dict[str, Any]:
    if run.status is RunStatus.STOPPED:
        return {"error": {"code": Code.CANCELLED.number, "message": "The PipelineJob was cancelled."}}
    if run.status is not RunStatus.FAILED:
        return {}
    steps = vertex.runs.repository.steps(run.id)
    failed = [step.name for step in steps.values() if step.status is StepStatus.FAILED]
    reason = dag_failure(failed) if failed else run.failure_reason
    project, number = project_of(document.name), document.body["private"]["number"]
    message = f"{reason}; Job (project_id = {project}, job_id = {number}) is failed due to the above error."
    return {"error": {"code": Code.FAILED_PRECONDITION.number, "message": message}}
