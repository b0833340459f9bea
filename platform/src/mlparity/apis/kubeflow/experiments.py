"""Experiments: groups of runs. "Default" is there from the start."""

from __future__ import annotations

from mlparity.apis.kubeflow import bodies
from mlparity.apis.kubeflow.context import Kubeflow, Request, Response
from mlparity.apis.kubeflow.errors import exists, invalid
from mlparity.apis.kubeflow.listing import Listable, list_page, member, same_text, stored_time
from mlparity.apis.kubeflow.operation import Operation
from mlparity.state.documents import Document

KIND = "Experiment"
AVAILABLE, ARCHIVED = "AVAILABLE", "ARCHIVED"
_DEFAULT = "Default"
_DEFAULT_DESCRIPTION = "All runs created without specifying an experiment will be grouped here."
_LONGEST_NAME = 128
_MEMBERS = ("experiment_id", "display_name", "description", "created_at", "storage_state", "last_run_created_at")
_LISTABLE = Listable(
    KIND,
    KIND,
    "experiments",
    {
        "id": "experiment_id",
        "experiment_id": "experiment_id",
        "name": "display_name",
        "display_name": "display_name",
        "created_at": "created_at",
        "description": "description",
        "storage_state": "storage_state",
        "last_run_created_at": "last_run_created_at",
    },
)


def ensure_default(api: Kubeflow) -> Document:
    """The default experiment, made where it is missing."""
    with api.transaction():
        found = api.search.all_of(KIND, same_text("display_name", _DEFAULT))
        return found[0] if found else _store(api, _DEFAULT, _DEFAULT_DESCRIPTION)


def create(api: Kubeflow, request: Request) -> Response:
    """CreateExperiment."""
    body = request["body"]
    name = str(body.get("display_name", ""))
    if not name:
        raise invalid("experiment must have a non-empty name")
    bodies.require_length(KIND, "Name", name, _LONGEST_NAME)
    with api.transaction():
        if api.search.count(KIND, same_text("display_name", name)):
            raise exists(
                f"Failed to create a new experiment. The name {name} already exists. Please specify a new name"
            )
        return show(_store(api, name, str(body.get("description", ""))))


def get(api: Kubeflow, request: Request) -> Response:
    """GetExperiment."""
    return show(bodies.get(api, KIND, request["experiment_id"]))


def list_all(api: Kubeflow, request: Request) -> Response:
    """ListExperiments."""
    return list_page(api, _LISTABLE, request, [], show)


def archive(api: Kubeflow, request: Request) -> Response:
    """ArchiveExperiment: its runs are archived with it, its recurring runs are disabled."""
    experiment_id = request["experiment_id"]
    bodies.get(api, KIND, experiment_id)
    with api.transaction():
        api.documents.merge(KIND, experiment_id, {"storage_state": ARCHIVED})
        for run in api.search.all_of("Run", member("experiment_id", experiment_id)):
            api.documents.merge("Run", run.name, {"storage_state": ARCHIVED})
        for recurring in api.search.all_of("RecurringRun", member("experiment_id", experiment_id)):
            api.documents.merge("RecurringRun", recurring.name, {"status": "DISABLED"})
    api.wake_timers()
    return {}


def unarchive(api: Kubeflow, request: Request) -> Response:
    """UnarchiveExperiment: it alone."""
    bodies.get(api, KIND, request["experiment_id"])
    api.documents.merge(KIND, request["experiment_id"], {"storage_state": AVAILABLE})
    return {}


def delete(api: Kubeflow, request: Request) -> Response:
    """DeleteExperiment: its runs and recurring runs stay."""
    bodies.get(api, KIND, request["experiment_id"])
    api.documents.delete(KIND, request["experiment_id"])
    return {}


def show(document: Document) -> Response:
    """As the API shows it."""
    return bodies.shown(document, _MEMBERS)


def _store(api: Kubeflow, name: str, description: str) -> Document:
    experiment_id = api.ids.uuid()
    body = {
        "experiment_id": experiment_id,
        "display_name": name,
        "description": description,
        "created_at": stored_time(api.clock.now()),
        "storage_state": AVAILABLE,
    }
    return api.documents.create(KIND, experiment_id, body)


OPERATIONS = (
    Operation("ExperimentService.CreateExperiment", create, "Failed to create an experiment"),
    Operation("ExperimentService.GetExperiment", get, "Failed to fetch an experiment"),
    Operation("ExperimentService.ListExperiments", list_all, "Failed to list experiments"),
    Operation("ExperimentService.ArchiveExperiment", archive, "Failed to archive an experiment"),
    Operation("ExperimentService.UnarchiveExperiment", unarchive, "Failed to unarchive an experiment"),
    Operation("ExperimentService.DeleteExperiment", delete, "Failed to delete an experiment"),
)
