"""The tasks of a run as ``run_details`` shows them.

A task has no pod here: its processes are jobs of the engine, named in ``executor_detail``, and ``pod_name`` stays
empty. The metadata store's contexts have names and no numbers, so their ids stay 0. A task that was cached is SKIPPED,
as KFP says of its executor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlparity.apis.kubeflow import run_states
from mlparity.apis.kubeflow.context import Kubeflow
from mlparity.pipeline_ir.tasks import TaskDetail, TaskState, TaskValues

UNKNOWN = 2  # gRPC: the failure is the program's own


def details(api: Kubeflow, run_id: str) -> dict[str, Any]:
    """``V2beta1RunDetails`` of a run that the engine knows. What never began in a run that has ended is not told."""
    tasks = api.pipelines.tasks(run_id)
    if tasks[0].state.is_final:
        tasks = [task for task in tasks if task.state is not TaskState.PENDING]
    children: dict[str, list[str]] = {}
    for task in tasks:
        children.setdefault(task.parent_id, []).append(task.id)
    return {"task_details": [_task(task, children.get(task.id, [])) for task in tasks]}


def state_of(task: TaskDetail) -> str:
    """KFP's word for the task's state."""
    return "SKIPPED" if task.state is TaskState.CACHED else task.state.value


def _task(task: TaskDetail, children: Sequence[str]) -> dict[str, Any]:
    state = state_of(task)
    error = failure(task.error) if task.error else None
    return {
        "run_id": task.run_id,
        "task_id": task.id,
        "display_name": task.display_name or task.name,
        "create_time": task.created_at,
        "start_time": task.started_at,
        "end_time": task.ended_at,
        "state": state,
        "execution_id": task.execution_id or 0,
        "error": error,
        "inputs": _artifacts(task.inputs),
        "outputs": _artifacts(task.outputs),
        "parent_task_id": task.parent_id,
        "executor_detail": _executor(task.job_ids) if task.job_ids else None,
        "state_history": run_states.of_task(state, task.created_at, task.started_at, task.ended_at, error),
        "child_tasks": [{"task_id": child} for child in children],
    }


def failure(message: str) -> Mapping[str, Any]:
    """Why a run or a task failed, as a status."""
    return {"code": UNKNOWN, "message": message}


def _executor(job_ids: Sequence[str]) -> dict[str, Any]:
    return {"main_job": job_ids[-1], "failed_main_jobs": list(job_ids[:-1])}


def _artifacts(values: TaskValues) -> dict[str, Any]:
    return {name: {"artifact_ids": [item.id for item in items if item.id]} for name, items in values.artifacts.items()}
