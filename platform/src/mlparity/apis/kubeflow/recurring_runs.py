"""Recurring runs: a pipeline, its arguments and a trigger. ``schedules`` starts their runs."""

from __future__ import annotations

import re
from typing import Any

from mlparity.apis.kubeflow import bodies, experiments, run_states, specs
from mlparity.apis.kubeflow.context import Kubeflow, Request, Response
from mlparity.apis.kubeflow.errors import invalid
from mlparity.apis.kubeflow.listing import Listable, list_page, member, stored_time
from mlparity.apis.kubeflow.operation import Operation
from mlparity.apis.kubeflow.placeholders import Occurrence
from mlparity.apis.kubeflow.run_creation import experiment_of, read_source, refuse_plugins
from mlparity.apis.kubeflow.triggers import Trigger, read_trigger
from mlparity.state.documents import Document

KIND = "RecurringRun"
ENABLED, DISABLED = "ENABLED", "DISABLED"
_MOST_AT_ONCE = 10
_LONGEST_STEM, _SUFFIX = 25, 5  # of the names of its runs
_MEMBERS = (
    "recurring_run_id",
    "display_name",
    "description",
    "runtime_config",
    "service_account",
    "max_concurrency",
    "mode",
    "created_at",
    "updated_at",
    "status",
    "no_catchup",
    "experiment_id",
)
_LISTABLE = Listable(
    KIND,
    "Job",
    "recurringRuns",  # as the vendor has it
    {
        "id": "recurring_run_id",
        "recurring_run_id": "recurring_run_id",
        "name": "display_name",
        "display_name": "display_name",
        "created_at": "created_at",
        "updated_at": "updated_at",
        "description": "description",
    },
)


def create(api: Kubeflow, request: Request) -> Response:
    """CreateRecurringRun."""
    body = request["body"]
    if not body.get("display_name"):
        raise invalid("Recurring run name is empty. Please specify a valid name")
    refuse_plugins(body)
    most = int(body.get("max_concurrency", 0))
    if not 1 <= most <= _MOST_AT_ONCE:
        raise invalid(
            f"The max concurrency of the recurring run is out of range. Support 1-{_MOST_AT_ONCE}. Received {most}"
        )
    trigger, source = read_trigger(body.get("trigger")), read_source(body)
    experiment_id = experiment_of(api, str(body.get("experiment_id", "")))
    _, spec = source.settled(api)
    parameters = (body.get("runtime_config") or {}).get("parameters", {})
    specs.check(api, spec, Occurrence("", 1, api.clock.now(), api.clock.now()).filled(parameters))
    recurring_id, now = api.ids.uuid(), stored_time(api.clock.now())
    document: dict[str, Any] = {
        "recurring_run_id": recurring_id,
        "display_name": str(body["display_name"]),
        "description": str(body.get("description", "")),
        "runtime_config": {
            "parameters": parameters,
            "pipeline_root": str((body.get("runtime_config") or {}).get("pipeline_root", "")),
        },
        "service_account": str(body.get("service_account", "")),
        "max_concurrency": most,
        "created_at": now,
        "updated_at": now,
        "status": DISABLED if body.get("mode") == "DISABLE" else ENABLED,
        "no_catchup": bool(body.get("no_catchup", False)),
        "experiment_id": experiment_id,
        "trigger": trigger.to_json(),
        "workflow": _workflow(str(body["display_name"])) + api.ids.token(_SUFFIX),
        "last_at": "",
        "index": 0,
        "error": "",
        **source.body(),
    }
    with api.transaction():
        made = api.documents.create(KIND, recurring_id, document)
        if source.spec is not None:
            specs.keep(api, recurring_id, source.spec)
    api.wake_timers()
    return show(api, made)


def get(api: Kubeflow, request: Request) -> Response:
    """GetRecurringRun."""
    return show(api, bodies.get(api, KIND, request["recurring_run_id"]))


def list_all(api: Kubeflow, request: Request) -> Response:
    """ListRecurringRuns: of an experiment where one is named."""
    experiment_id = str(request.get("experiment_id", ""))
    if experiment_id:
        bodies.get(api, experiments.KIND, experiment_id)
    conditions = [member("experiment_id", experiment_id)] if experiment_id else []
    return list_page(api, _LISTABLE, request, conditions, lambda found: show(api, found))


def enable(api: Kubeflow, request: Request) -> Response:
    """EnableRecurringRun: with catch-up, the times missed meanwhile follow."""
    return _switch(api, request["recurring_run_id"], ENABLED)


def disable(api: Kubeflow, request: Request) -> Response:
    """DisableRecurringRun: what runs goes on."""
    return _switch(api, request["recurring_run_id"], DISABLED)


def delete(api: Kubeflow, request: Request) -> Response:
    """DeleteRecurringRun: its runs stay, but those that still run are stopped, unless the policy is ORPHAN."""
    recurring = bodies.get(api, KIND, request["recurring_run_id"])
    policy = str(request.get("propagation_policy", ""))
    with api.transaction():
        specs.forget(api, recurring.name)
        api.documents.delete(KIND, recurring.name)
        if policy != "ORPHAN":
            for run in api.search.all_of(run_states.KIND, member("recurring_run_id", recurring.name)):
                if run_states.is_active(run.body["state"]):
                    api.pipelines.stop(run.name)
    api.wake_timers()
    return {}


def show(api: Kubeflow, recurring: Document) -> Response:
    """As the API shows it."""
    body = recurring.body
    shown = bodies.shown(recurring, _MEMBERS)
    if body["own_spec"]:
        shown["pipeline_spec"] = specs.kept(api, recurring.name).struct
    else:
        reference = {"pipeline_id": body["pipeline_id"], "pipeline_version_id": body["pipeline_version_id"]}
        shown["pipeline_version_reference"] = reference
    shown["trigger"] = Trigger.from_json(body["trigger"]).shown()
    shown["mode"] = "ENABLE" if body["status"] == ENABLED else "DISABLE"
    shown["error"] = {"code": 2, "message": body["error"]} if body["error"] else None
    return shown


def _switch(api: Kubeflow, recurring_id: str, status: str) -> Response:
    bodies.get(api, KIND, recurring_id)
    api.documents.merge(KIND, recurring_id, {"status": status, "updated_at": stored_time(api.clock.now())})
    api.wake_timers()
    return {}


def _workflow(display_name: str) -> str:
    """The beginning of the names of its runs, as Kubernetes allows."""
    plain = re.sub(r"[^a-z0-9]+", "", display_name.lower())[:_LONGEST_STEM]
    return plain or "job-"


OPERATIONS = (
    Operation(
        "RecurringRunService.CreateRecurringRun",
        create,
        "Failed to create a recurring run",
        "plugins_input is refused: no plugin is installed",
    ),
    Operation("RecurringRunService.GetRecurringRun", get, "Failed to fetch a recurring run"),
    Operation("RecurringRunService.ListRecurringRuns", list_all, "Failed to list recurring runs"),
    Operation("RecurringRunService.EnableRecurringRun", enable, "Failed to enable a recurring run"),
    Operation("RecurringRunService.DisableRecurringRun", disable, "Failed to disable a recurring run"),
    Operation("RecurringRunService.DeleteRecurringRun", delete, "Failed to delete a recurring run"),
)
