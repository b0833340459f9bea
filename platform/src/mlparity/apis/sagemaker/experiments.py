"""Experiments: create, describe, list, update, delete; and the one that a job's ExperimentConfig names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlparity.apis.sagemaker import lineage_entities as entities
from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import validation
from mlparity.apis.sagemaker.lineage_entities import EXPERIMENT, TRIAL
from mlparity.apis.sagemaker.listing import with_token
from mlparity.apis.sagemaker.operation import Operation
from mlparity.engine.lineage import Entity, EntityFilter, NewEntity
from mlparity.state.paging import PageRequest
from mlparity.wire.json_values import jsonable


def create(api: SageMaker, request: Request, caller: Caller) -> Response:
    """CreateExperiment."""
    name = request["ExperimentName"]
    entity = entities.store(api, new(api, name, {**request, **entities.owned(caller)}), request)
    return {"ExperimentArn": entity.id}


def new(api: SageMaker, name: str, members: Mapping[str, Any], source_arn: str = "") -> NewEntity:
    """An experiment to store; ``source_arn``: of the pipeline that it is for."""
    kept = {key: members[key] for key in ("Description", "CreatedBy") if key in members}
    body: dict[str, Any] = {"DisplayName": members.get("DisplayName", name), **kept}
    if source_arn:
        body["Source"] = {"SourceArn": source_arn, "SourceType": "SageMakerPipeline"}
    return NewEntity(entities.arn_of(api, EXPERIMENT, name), EXPERIMENT, EXPERIMENT, name, source_arn, jsonable(body))


def require_config(api: SageMaker, config: Mapping[str, str]) -> None:
    """Refuse an ExperimentConfig that names an experiment or trial which does not exist, as SageMaker does."""
    if "ExperimentName" in config:
        entities.find(api, EXPERIMENT, config["ExperimentName"])
    if "TrialName" in config:
        trial = entities.find(api, TRIAL, config["TrialName"])
        experiment = config.get("ExperimentName")
        if experiment and str(trial.body["ExperimentName"]).lower() != experiment.lower():
            raise validation(f"Trial '{trial.id}' does not belong to experiment '{experiment}'")


def describe(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DescribeExperiment."""
    return render(entities.find(api, EXPERIMENT, request["ExperimentName"]))


def render(entity: Entity) -> Response:
    """An experiment as DescribeExperiment shows it."""
    return {**entities.common(entity), "ExperimentName": entity.name, "ExperimentArn": entity.id}


def update(api: SageMaker, request: Request, caller: Caller) -> Response:
    """UpdateExperiment."""
    entity = entities.find(api, EXPERIMENT, request["ExperimentName"])
    changes = {key: request[key] for key in ("DisplayName", "Description") if key in request}
    entities.change(api, entity, {**entity.body, **changes}, caller)
    return {"ExperimentArn": entity.id}


def delete(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DeleteExperiment: one without trials."""
    entity = entities.find(api, EXPERIMENT, request["ExperimentName"])
    with api.transaction():
        one = PageRequest("created_at", descending=True, limit=1)
        if api.lineage.list(EntityFilter(TRIAL, source_uri=entity.id), one).items:
            raise validation(f"Experiment '{entity.id}' has trials: delete them before you delete it.")
        entities.remove(api, entity)
    return {"ExperimentArn": entity.id}


def list_(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListExperiments."""
    page = entities.listed(api, EXPERIMENT, request)
    return with_token({"ExperimentSummaries": [_summary(item) for item in page.items]}, page)


def _summary(entity: Entity) -> Response:
    described = render(entity)
    shown = ("ExperimentArn", "ExperimentName", "DisplayName", "CreationTime", "LastModifiedTime")
    summary = {name: described[name] for name in shown}
    return {**summary, "ExperimentSource": described["Source"]} if "Source" in described else summary


OPERATIONS = (
    Operation("CreateExperiment", create),
    Operation("DescribeExperiment", describe),
    Operation("UpdateExperiment", update),
    Operation("DeleteExperiment", delete),
    Operation("ListExperiments", list_),
)
