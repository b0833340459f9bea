"""Lineage artifacts: data, models and images, one for each URI."""

from __future__ import annotations

from mlparity.apis.sagemaker import lineage_entities as entities
from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import validation
from mlparity.apis.sagemaker.lineage_entities import ARTIFACT
from mlparity.apis.sagemaker.listing import with_token
from mlparity.apis.sagemaker.operation import Operation
from mlparity.engine.lineage import Entity, NewEntity
from mlparity.wire.json_values import jsonable


def create(api: SageMaker, request: Request, caller: Caller) -> Response:
    """CreateArtifact."""
    source_uri = request["Source"]["SourceUri"]
    kept = ("Source", "Properties", "MetadataProperties")
    body = {**{name: request[name] for name in kept if name in request}, **entities.owned(caller)}
    new = NewEntity(
        entities.artifact_arn(api, source_uri),
        ARTIFACT,
        request["ArtifactType"],
        request.get("ArtifactName", ""),
        source_uri,
        jsonable(body),
    )
    return {"ArtifactArn": entities.store(api, new, request).id}


def describe(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DescribeArtifact."""
    return render(entities.find(api, ARTIFACT, request["ArtifactArn"]))


def render(entity: Entity) -> Response:
    """An artifact as DescribeArtifact shows it."""
    response = {**entities.common(entity), "ArtifactArn": entity.id, "ArtifactType": entity.kind}
    if entity.name:
        response["ArtifactName"] = entity.name
    return response


def update(api: SageMaker, request: Request, caller: Caller) -> Response:
    """UpdateArtifact."""
    entity = entities.find(api, ARTIFACT, request["ArtifactArn"])
    body = {**entity.body, "Properties": entities.changed_properties(entity, request)}
    entities.change(api, entity, body, caller, name=request.get("ArtifactName"))
    return {"ArtifactArn": entity.id}


def delete(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DeleteArtifact, by its ARN or its source."""
    if "ArtifactArn" in request:
        arn = request["ArtifactArn"]
    elif "Source" in request:
        arn = entities.artifact_arn(api, request["Source"]["SourceUri"])
    else:
        raise validation("Either ArtifactArn or Source must be specified")
    entity = entities.find(api, ARTIFACT, arn)
    entities.remove(api, entity)
    return {"ArtifactArn": entity.id}


def list_(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListArtifacts."""
    page = entities.listed(api, ARTIFACT, request, request.get("ArtifactType"))
    return with_token({"ArtifactSummaries": [_summary(item) for item in page.items]}, page)


def _summary(entity: Entity) -> Response:
    shown = ("ArtifactArn", "ArtifactName", "Source", "ArtifactType", "CreationTime", "LastModifiedTime")
    described = render(entity)
    return {name: described[name] for name in shown if name in described}


OPERATIONS = (
    Operation("CreateArtifact", create),
    Operation("DescribeArtifact", describe),
    Operation("UpdateArtifact", update),
    Operation("DeleteArtifact", delete),
    Operation("ListArtifacts", list_),
)
