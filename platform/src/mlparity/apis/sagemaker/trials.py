"""Trials: the runs of an experiment. A trial's ``source_uri`` in the graph is its experiment's ARN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlparity.apis.sagemaker import lineage_entities as entities
from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import validation
from mlparity.apis.sagemaker.lineage_entities import EXPERIMENT, MEMBER, TRIAL, TRIAL_COMPONENT
from mlparity.apis.sagemaker.listing import page_request, times, with_token
from mlparity.apis.sagemaker.operation import Operation
from mlparity.engine.lineage import Entity, EntityFilter, NewEntity
from mlparity.wire.json_values import jsonable


def create(api: SageMaker, request: Request, caller: Caller) -> Response:
    """CreateTrial in an experiment that exists."""
    experiment = entities.find(api, EXPERIMENT, request["ExperimentName"])
    members = {**request, **entities.owned(caller)}
    entity = entities.store(api, new(api, request["TrialName"], experiment.name, members), request)
    return {"TrialArn": entity.id}


def new(
    api: SageMaker, name: str, experiment: str, members: Mapping[str, Any], source: Mapping[str, str] | None = None
) -> NewEntity:
    """A trial to store; ``source``: SourceArn and SourceType of what it is for."""
    kept = {key: members[key] for key in ("MetadataProperties", "CreatedBy") if key in members}
    body: dict[str, Any] = {"DisplayName": members.get("DisplayName", name), "ExperimentName": experiment, **kept}
    if source:
        body["Source"] = dict(source)
    parent = entities.arn_of(api, EXPERIMENT, experiment)
    return NewEntity(entities.arn_of(api, TRIAL, name), TRIAL, TRIAL, name, parent, jsonable(body))


def describe(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DescribeTrial."""
    return render(entities.find(api, TRIAL, request["TrialName"]))


def render(entity: Entity) -> Response:
    """A trial as DescribeTrial shows it."""
    return {**entities.common(entity), "TrialName": entity.name, "TrialArn": entity.id}


def update(api: SageMaker, request: Request, caller: Caller) -> Response:
    """UpdateTrial."""
    entity = entities.find(api, TRIAL, request["TrialName"])
    changes = {key: request[key] for key in ("DisplayName",) if key in request}
    entities.change(api, entity, {**entity.body, **changes}, caller)
    return {"TrialArn": entity.id}


def delete(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DeleteTrial: one without components."""
    entity = entities.find(api, TRIAL, request["TrialName"])
    with api.transaction():
        if api.lineage.edges_of([entity.id], [MEMBER], outgoing=True):
            raise validation(f"Trial '{entity.id}' has trial components: disassociate them before you delete it.")
        entities.remove(api, entity)
    return {"TrialArn": entity.id}


def list_(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListTrials: all, those of an experiment, or those that a component is in."""
    experiment = component = None
    if "ExperimentName" in request:
        experiment = entities.find(api, EXPERIMENT, request["ExperimentName"]).id
    if "TrialComponentName" in request:
        arn = entities.find(api, TRIAL_COMPONENT, request["TrialComponentName"]).id
        component = [edge.source for edge in api.lineage.edges_of([arn], [MEMBER], outgoing=False)]
    wanted = EntityFilter(TRIAL, source_uri=experiment, ids=component, **times(request))
    page = api.lineage.list(
        wanted, page_request(request, entities.SORT, default_sort="CreationTime", default_order="Descending")
    )
    return with_token({"TrialSummaries": [_summary(item) for item in page.items]}, page)


def _summary(entity: Entity) -> Response:
    described = render(entity)
    shown = ("TrialArn", "TrialName", "DisplayName", "CreationTime", "LastModifiedTime")
    summary = {name: described[name] for name in shown}
    return {**summary, "TrialSource": described["Source"]} if "Source" in described else summary


OPERATIONS = (
    Operation("CreateTrial", create),
    Operation("DescribeTrial", describe),
    Operation("UpdateTrial", update),
    Operation("DeleteTrial", delete),
    Operation("ListTrials", list_),
)
