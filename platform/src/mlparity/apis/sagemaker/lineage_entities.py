"""What SageMaker's lineage entities have in common: their ARNs, their owners and times, and how they are listed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from mlparity.apis.sagemaker import tags
from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import not_found, validation
from mlparity.apis.sagemaker.listing import page_request, times
from mlparity.engine.lineage import Entity, EntityFilter, NewEntity
from mlparity.errors import ConflictError, NotFoundError
from mlparity.state.paging import Page
from mlparity.wire.json_values import jsonable

ARTIFACT, ACTION, CONTEXT = "Artifact", "Action", "Context"
EXPERIMENT, TRIAL, TRIAL_COMPONENT = "Experiment", "Trial", "TrialComponent"
# How the families are called in ARNs.
ARN_KINDS = {
    ARTIFACT: "artifact",
    ACTION: "action",
    CONTEXT: "context",
    EXPERIMENT: "experiment",
    TRIAL: "experiment-trial",
    TRIAL_COMPONENT: "experiment-trial-component",
}
UNTYPED = ""  # an association that was made without a type
ASSOCIATIONS = ("ContributedTo", "AssociatedWith", "DerivedFrom", "Produced", "SameAs", UNTYPED)
MEMBER = "Member"  # from a trial to a component of it; not an association
SORT = {"Name": "name", "CreationTime": "created_at"}
_PROPERTY_LIMIT = 2500  # what Describe may show of a value; CreateArtifact takes longer ones


def arn_of(api: SageMaker, family: str, name: str) -> str:
    """The ARN of a named entity. Names are not case-sensitive."""
    return api.arns.of(ARN_KINDS[family], name.lower())


def artifact_arn(api: SageMaker, source_uri: str) -> str:
    """The ARN of an artifact: there is one for each source URI."""
    digest = hashlib.sha256(source_uri.encode()).hexdigest()[:32]
    return api.arns.of(ARN_KINDS[ARTIFACT], digest)


def store(api: SageMaker, new: NewEntity, request: Request) -> Entity:
    """A new entity with its tags. Raises ``ValidationException`` where its name or source is taken."""
    try:
        entity = api.lineage.create(new)
    except ConflictError:
        what = f"source URI '{new.source_uri}'" if new.family == ARTIFACT else f"name '{new.name}'"
        raise validation(f"{new.family} with {what} already exists. ({new.id})") from None
    tags.set_on_create(api, entity.id, request)
    return entity


def find(api: SageMaker, family: str, name_or_arn: str) -> Entity:
    """The entity, or ``ResourceNotFound``."""
    arn = name_or_arn
    if not arn.startswith("arn:"):
        arn = arn_of(api, family, name_or_arn)
    elif re.fullmatch(rf"arn:[^:]+:sagemaker:[^:]*:[^:]*:{ARN_KINDS[family]}/[^/]+", arn) is None:
        raise validation(f"{arn} is not the ARN of a lineage entity of type {family}")
    try:
        return api.lineage.get(arn)
    except NotFoundError:
        raise not_found(f"{family} '{arn}' does not exist.") from None


def remove(api: SageMaker, entity: Entity) -> None:
    """Delete the entity and its tags. Raises ``ValidationException`` while it has associations."""
    try:
        api.lineage.delete(entity.id)
    except ConflictError:
        raise validation(f"{entity.family} '{entity.id}' cannot be deleted: it has associations.") from None
    api.tags.remove(entity.id)


def owned(caller: Caller) -> Response:
    """The members of a new entity that say who made it."""
    return {"CreatedBy": caller.user_context()}


def change(api: SageMaker, entity: Entity, body: Mapping[str, Any], caller: Caller, *, name: str | None = None) -> None:
    """Store another body, and who changed it."""
    api.lineage.replace(entity.id, jsonable({**body, "LastModifiedBy": caller.user_context()}), name=name)


def changed_properties(entity: Entity, request: Request) -> dict[str, str]:
    """``Properties`` overwrites what is there; ``PropertiesToRemove`` takes some away."""
    properties: Mapping[str, str] = request.get("Properties", entity.body.get("Properties", {}))
    removed = request.get("PropertiesToRemove", ())
    return {key: value for key, value in properties.items() if key not in removed}


def common(entity: Entity) -> Response:
    """What every Describe shows: times, owners, and the members as they were stored."""
    response = {key: value for key, value in entity.body.items() if value not in ({}, "")}
    if "Properties" in response:
        response["Properties"] = {key: value[:_PROPERTY_LIMIT] for key, value in response["Properties"].items()}
    return {
        **response,
        "CreationTime": entity.created_at,
        "CreatedBy": entity.body.get("CreatedBy", {}),
        "LastModifiedTime": entity.modified_at,
        "LastModifiedBy": entity.body.get("LastModifiedBy", entity.body.get("CreatedBy", {})),
    }


def listed(api: SageMaker, family: str, request: Request, kind: str | None = None) -> Page[Entity]:
    """One page of a family by the filters that its List operations share."""
    wanted = EntityFilter(family, kind=kind, source_uri=request.get("SourceUri"), **times(request))
    page = page_request(request, SORT, default_sort="CreationTime", default_order="Descending")
    return api.lineage.list(wanted, page)
