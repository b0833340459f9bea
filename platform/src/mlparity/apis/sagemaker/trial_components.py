"""Trial components: the stages of trials, each with its parameters, artifacts, metrics and status."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from mlparity.apis.sagemaker import component_metrics
from mlparity.apis.sagemaker import lineage_entities as entities
from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import not_found, validation
from mlparity.apis.sagemaker.lineage_entities import EXPERIMENT, MEMBER, TRIAL, TRIAL_COMPONENT
from mlparity.apis.sagemaker.listing import page_request, times, with_token
from mlparity.apis.sagemaker.operation import Operation
from mlparity.engine.lineage import Entity, EntityFilter, NewEdge, NewEntity
from mlparity.errors import ConflictError, NotFoundError
from mlparity.state.paging import PageRequest
from mlparity.wire.json_values import jsonable

MAPPINGS = ("Parameters", "InputArtifacts", "OutputArtifacts")
_PLAIN = ("DisplayName", "Status", "StartTime", "EndTime")
_ALL = 10_000


def create(api: SageMaker, request: Request, caller: Caller) -> Response:
    """CreateTrialComponent."""
    name = request["TrialComponentName"]
    kept = (*_PLAIN, *MAPPINGS, "MetadataProperties")
    body = {
        "DisplayName": name,
        **{key: request[key] for key in kept if key in request},
        **entities.owned(caller),
    }
    arn = entities.arn_of(api, TRIAL_COMPONENT, name)
    new = NewEntity(arn, TRIAL_COMPONENT, TRIAL_COMPONENT, name, body=jsonable(body))
    return {"TrialComponentArn": entities.store(api, new, request).id}


def describe(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DescribeTrialComponent: by name or ARN."""
    entity = entities.find(api, TRIAL_COMPONENT, request["TrialComponentName"])
    metrics = component_metrics.summarised(api, entity)
    return {**render(entity), **({"Metrics": metrics} if metrics else {})}


def render(entity: Entity) -> Response:
    """A component as DescribeTrialComponent shows it."""
    shown = {key: value for key, value in entities.common(entity).items() if key != "RunName"}
    return {**shown, "TrialComponentName": entity.name, "TrialComponentArn": entity.id}


def update(api: SageMaker, request: Request, caller: Caller) -> Response:
    """UpdateTrialComponent: parameters and artifacts are replaced one by one, by their names."""
    entity = entities.find(api, TRIAL_COMPONENT, request["TrialComponentName"])
    body = {**entity.body, **{key: request[key] for key in _PLAIN if key in request}}
    for member in MAPPINGS:
        removed = request.get(f"{member}ToRemove", ())
        merged: Mapping[str, Any] = {**entity.body.get(member, {}), **request.get(member, {})}
        body[member] = {key: value for key, value in merged.items() if key not in removed}
    entities.change(api, entity, body, caller)
    return {"TrialComponentArn": entity.id}


def delete(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DeleteTrialComponent: one that is in no trial."""
    entity = entities.find(api, TRIAL_COMPONENT, request["TrialComponentName"])
    with api.transaction():
        if api.lineage.edges_of([entity.id], [MEMBER], outgoing=False):
            raise validation(f"Trial component '{entity.id}' is associated with a trial: disassociate it first.")
        entities.remove(api, entity)
        component_metrics.forget(api, entity)
    return {"TrialComponentArn": entity.id}


def associate(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """AssociateTrialComponent. A second time changes nothing."""
    component, trial = _pair(api, request)
    with suppress(ConflictError):
        api.lineage.connect(NewEdge(trial.id, component.id, MEMBER))
    return {"TrialComponentArn": component.id, "TrialArn": trial.id}


def disassociate(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DisassociateTrialComponent."""
    component, trial = _pair(api, request)
    try:
        api.lineage.disconnect(trial.id, component.id, [MEMBER])
    except NotFoundError:
        raise not_found(f"Trial component '{component.id}' is not associated with trial '{trial.id}'.") from None
    return {"TrialComponentArn": component.id, "TrialArn": trial.id}


def _pair(api: SageMaker, request: Request) -> tuple[Entity, Entity]:
    component = entities.find(api, TRIAL_COMPONENT, request["TrialComponentName"])
    return component, entities.find(api, TRIAL, request["TrialName"])


def list_(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListTrialComponents: all, those of an experiment or of a trial, or those of a job."""
    given = [name for name in ("ExperimentName", "TrialName", "SourceArn") if name in request]
    if len(given) > 1:
        raise validation(f"Only one of {', '.join(given)} can be specified")
    trials: list[str] | None = None
    if "TrialName" in request:
        trials = [entities.find(api, TRIAL, request["TrialName"]).id]
    elif "ExperimentName" in request:
        trials = trials_of(api, entities.find(api, EXPERIMENT, request["ExperimentName"]))
    ids = None
    if trials is not None:
        ids = [edge.target for edge in api.lineage.edges_of(trials, [MEMBER], outgoing=True)]
    wanted = EntityFilter(TRIAL_COMPONENT, source_uri=request.get("SourceArn"), ids=ids, **times(request))
    page = api.lineage.list(
        wanted, page_request(request, entities.SORT, default_sort="CreationTime", default_order="Descending")
    )
    return with_token({"TrialComponentSummaries": [_summary(item) for item in page.items]}, page)


def trials_of(api: SageMaker, experiment: Entity) -> list[str]:
    """The ARNs of an experiment's trials."""
    page = PageRequest("created_at", descending=False, limit=_ALL)
    return [trial.id for trial in api.lineage.list(EntityFilter(TRIAL, source_uri=experiment.id), page).items]


def _summary(entity: Entity) -> Response:
    described = render(entity)
    shown = (
        "TrialComponentName",
        "TrialComponentArn",
        "DisplayName",
        "Status",
        "StartTime",
        "EndTime",
        "CreationTime",
        "CreatedBy",
        "LastModifiedTime",
        "LastModifiedBy",
    )
    summary = {name: described[name] for name in shown if name in described}
    return {**summary, "TrialComponentSource": described["Source"]} if "Source" in described else summary


OPERATIONS = (
    Operation("CreateTrialComponent", create),
    Operation("DescribeTrialComponent", describe),
    Operation("UpdateTrialComponent", update),
    Operation("DeleteTrialComponent", delete),
    Operation("ListTrialComponents", list_),
    Operation("AssociateTrialComponent", associate),
    Operation("DisassociateTrialComponent", disassociate),
)
