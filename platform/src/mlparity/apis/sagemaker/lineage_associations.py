"""Associations: the directed edges between lineage entities."""

from __future__ import annotations

from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import not_found, validation
from mlparity.apis.sagemaker.lineage_entities import ARN_KINDS, ASSOCIATIONS, UNTYPED, owned
from mlparity.apis.sagemaker.listing import page_request, times, with_token
from mlparity.apis.sagemaker.operation import Operation
from mlparity.engine.lineage import Edge, EdgeFilter, Entity, NewEdge
from mlparity.errors import NotFoundError

_SORT = {
    "SourceArn": "source",
    "DestinationArn": "target",
    "SourceType": "source_kind",
    "DestinationType": "target_kind",
    "CreationTime": "created_at",
}


def add(api: SageMaker, request: Request, caller: Caller) -> Response:
    """AddAssociation. Two entities have at most one."""
    source, target = request["SourceArn"], request["DestinationArn"]
    for arn in (source, target):
        _require_entity(api, arn)
    if source == target:
        raise validation("The source and the destination of an association must be different entities")
    between = api.lineage.edges_of([source], ASSOCIATIONS, outgoing=True)
    if any(edge.target == target for edge in between):
        raise validation(f"Association between {source} and {target} already exists.")
    api.lineage.connect(NewEdge(source, target, request.get("AssociationType", UNTYPED), owned(caller)))
    return {"SourceArn": source, "DestinationArn": target}


def _require_entity(api: SageMaker, arn: str) -> None:
    kind = arn.split(":", 5)[-1].partition("/")[0]
    if not arn.startswith("arn:") or kind not in ARN_KINDS.values():
        raise validation(f"{arn} is not the ARN of a lineage entity")
    try:
        api.lineage.get(arn)
    except NotFoundError:
        raise not_found(f"Lineage entity '{arn}' does not exist.") from None


def delete(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DeleteAssociation."""
    source, target = request["SourceArn"], request["DestinationArn"]
    try:
        api.lineage.disconnect(source, target, ASSOCIATIONS)
    except NotFoundError:
        raise not_found(f"Association between {source} and {target} does not exist.") from None
    return {"SourceArn": source, "DestinationArn": target}


def list_(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListAssociations, by either end and its type."""
    wanted = EdgeFilter(
        kinds=(request["AssociationType"],) if "AssociationType" in request else ASSOCIATIONS,
        source=request.get("SourceArn"),
        target=request.get("DestinationArn"),
        source_kind=request.get("SourceType"),
        target_kind=request.get("DestinationType"),
        **times(request),
    )
    page = api.lineage.list_edges(
        wanted, page_request(request, _SORT, default_sort="CreationTime", default_order="Descending")
    )
    ends = api.lineage.get_all({end for edge in page.items for end in (edge.source, edge.target)})
    return with_token({"AssociationSummaries": [_summary(edge, ends) for edge in page.items]}, page)


def _summary(edge: Edge, ends: dict[str, Entity]) -> Response:
    summary: Response = {
        "SourceArn": edge.source,
        "DestinationArn": edge.target,
        "SourceType": edge.source_kind,
        "DestinationType": edge.target_kind,
        "CreationTime": edge.created_at,
        "CreatedBy": edge.body.get("CreatedBy", {}),
    }
    if edge.kind != UNTYPED:
        summary["AssociationType"] = edge.kind
    for member, end in (("SourceName", edge.source), ("DestinationName", edge.target)):
        if end in ends and ends[end].name:
            summary[member] = ends[end].name
    return summary


OPERATIONS = (
    Operation("AddAssociation", add),
    Operation("DeleteAssociation", delete),
    Operation("ListAssociations", list_),
)
