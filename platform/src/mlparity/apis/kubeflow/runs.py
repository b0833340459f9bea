"""Runs of pipelines: create, look at, list, terminate, retry, archive, delete."""

from __future__ import annotations

import contextlib

from mlparity.apis.kubeflow import bodies, experiments, run_details, specs
from mlparity.apis.kubeflow.context import Kubeflow, Request, Response
from mlparity.apis.kubeflow.errors import Code, KubeflowError, invalid, precondition
from mlparity.apis.kubeflow.listing import Listable, list_page, member
from mlparity.apis.kubeflow.operation import Operation
from mlparity.apis.kubeflow.run_creation import Start, begin, experiment_of, read_source, refuse_plugins
from mlparity.apis.kubeflow.run_states import KIND, is_active
from mlparity.errors import NotFoundError
from mlparity.state.documents import Document

_TERMINABLE = ("PENDING", "RUNNING", "PAUSED")
_RETRIABLE = ("FAILED", "CANCELED")
_MEMBERS = (
    "experiment_id",
    "run_id",
    "display_name",
    "storage_state",
    "description",
    "runtime_config",
    "service_account",
    "created_at",
    "scheduled_at",
    "state",
    "recurring_run_id",
)
_LISTABLE = Listable(
    KIND,
    KIND,
    "runs",
    {
        "id": "run_id",
        "run_id": "run_id",
        "name": "display_name",
        "display_name": "display_name",
        "created_at": "created_at",
        "finished_at": "finished_at",
        "scheduled_at": "scheduled_at",
        "description": "description",
        "storage_state": "storage_state",
        "status": "state",
        "state": "state",
        "experiment_id": "experiment_id",
        "recurring_run_id": "recurring_run_id",
        "pipeline_id": "pipeline_id",
    },
)


def create(api: Kubeflow, request: Request) -> Response:
    """CreateRun."""
    body = request["body"]
    if not body.get("display_name"):
        raise invalid("The run name is empty. Please specify a valid name")
    refuse_plugins(body)
    runtime = body.get("runtime_config") or {}
    start = Start(
        display_name=str(body["display_name"]),
        source=read_source(body),
        experiment_id=experiment_of(api, str(body.get("experiment_id") or request.get("experiment_id", ""))),
        parameters=runtime.get("parameters", {}),
        pipeline_root=str(runtime.get("pipeline_root", "")),
        description=str(body.get("description", "")),
        service_account=str(body.get("service_account", "")),
    )
    return show(api, begin(api, start))


def get(api: Kubeflow, request: Request) -> Response:
    """GetRun, with its tasks."""
    run = bodies.get(api, KIND, request["run_id"])
    shown = show(api, run)
    try:
        shown["run_details"] = run_details.details(api, run.name)
    except NotFoundError:  # a run from a data folder whose engine forgot it
        shown["run_details"] = None
    return shown


def list_all(api: Kubeflow, request: Request) -> Response:
    """ListRuns: of an experiment where one is named. Without their tasks."""
    experiment_id = str(request.get("experiment_id", ""))
    if experiment_id:
        bodies.get(api, experiments.KIND, experiment_id)
    conditions = [member("experiment_id", experiment_id)] if experiment_id else []
    return list_page(api, _LISTABLE, request, conditions, lambda found: show(api, found))


def terminate(api: Kubeflow, request: Request) -> Response:
    """TerminateRun."""
    run = bodies.get(api, KIND, request["run_id"])
    if run.body["state"] not in _TERMINABLE:
        raise invalid(f"Failed to terminate a run {run.name}. Row not found")
    api.pipelines.stop(run.name)
    return {}


def retry(api: Kubeflow, request: Request) -> Response:
    """RetryRun: what failed or was stopped runs again; what succeeded stays."""
    run = bodies.get(api, KIND, request["run_id"])
    if run.body["state"] not in _RETRIABLE:
        raise KubeflowError(Code.ABORTED, "Workflow must be Failed/Error to retry: workflow cannot be retried")
    api.pipelines.retry(run.name)
    return {}


def archive(api: Kubeflow, request: Request) -> Response:
    """ArchiveRun."""
    bodies.get(api, KIND, request["run_id"])
    api.documents.merge(KIND, request["run_id"], {"storage_state": experiments.ARCHIVED})
    return {}


def unarchive(api: Kubeflow, request: Request) -> Response:
    """UnarchiveRun: not in an archived experiment."""
    run = bodies.get(api, KIND, request["run_id"])
    experiment_id = str(run.body["experiment_id"])
    if bodies.get(api, experiments.KIND, experiment_id).body["storage_state"] == experiments.ARCHIVED:
        raise precondition(
            f"Failed to unarchive run {run.name} as experiment {experiment_id} must be un-archived first"
        )
    api.documents.merge(KIND, run.name, {"storage_state": experiments.AVAILABLE})
    return {}


def delete(api: Kubeflow, request: Request) -> Response:
    """DeleteRun: one that still runs is stopped first. Its artifacts stay."""
    run = bodies.get(api, KIND, request["run_id"])
    forget(api, run)
    return {}


def forget(api: Kubeflow, run: Document) -> None:
    """Delete a run, stopping it where it runs."""
    with api.transaction():
        if is_active(run.body["state"]):
            api.pipelines.stop(run.name)
        else:
            _forget_tasks(api, run.name)
        specs.forget(api, run.name)
        api.documents.delete(KIND, run.name)


def _forget_tasks(api: Kubeflow, run_id: str) -> None:
    with contextlib.suppress(NotFoundError):
        api.pipelines.delete(run_id)


def show(api: Kubeflow, run: Document) -> Response:
    """As the API shows it, but for the tasks."""
    body = run.body
    shown = bodies.shown(run, _MEMBERS)
    if body["own_spec"]:
        shown["pipeline_spec"] = specs.kept(api, run.name).struct
    else:
        shown["pipeline_version_reference"] = {
            "pipeline_id": body["pipeline_id"],
            "pipeline_version_id": body["pipeline_version_id"],
        }
    shown["finished_at"] = bodies.read_time(body["finished_at"])
    shown["error"] = run_details.failure(body["error"]) if body["error"] else None
    shown["state_history"] = [
        {**item, "update_time": bodies.read_time(item["update_time"])} for item in body["state_history"]
    ]
    return shown


OPERATIONS = (
    Operation(
        "RunService.CreateRun",
        create,
        "Failed to create a run",
        "service accounts are kept and not used; namespaces are ignored; plugins_input is refused",
    ),
    Operation("RunService.GetRun", get, "Failed to get a run"),
    Operation("RunService.ListRuns", list_all, "Failed to list runs", "runs without their task details, as KFP's"),
    Operation(
        "RunService.TerminateRun",
        terminate,
        "Failed to terminate a run",
        "the run ends as CANCELED, as KFP's; kfp 2.17's wait_for_run_completion waits on over that",
    ),
    Operation("RunService.RetryRun", retry, "Failed to retry a run"),
    Operation("RunService.ArchiveRun", archive, "Failed to archive a run"),
    Operation("RunService.UnarchiveRun", unarchive, "Failed to unarchive a run"),
    Operation("RunService.DeleteRun", delete, "Failed to delete a run"),
)
