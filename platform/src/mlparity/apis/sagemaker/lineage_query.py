"""QueryLineage: what led to an entity, and what came of it.

https://docs.aws.amazon.com/sagemaker/latest/dg/querying-lineage-entities.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import not_found, validation
from mlparity.apis.sagemaker.lineage_entities import ASSOCIATIONS, UNTYPED
from mlparity.apis.sagemaker.operation import Operation
from mlparity.engine.lineage import Edge, Entity
from mlparity.errors import NotFoundError

_MAX_DEPTH = 10
_PAGE = 10
_FAMILIES = ("TrialComponent", "Artifact", "Context", "Action")


def query(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """QueryLineage. Vertices come nearest first; a page's edges are those that lead to its vertices."""
    starts = _starts(api, request)
    found, edges = _walk(api, starts, request)
    included = request.get("IncludeEdges", True)
    matching = [entity for entity in found.values() if _matches(entity, request.get("Filters", {}))]
    if included:
        shown = _on_paths(starts, matching, edges, found)
    else:
        shown = [entity for entity in matching if entity.id not in starts]
    vertices, token = _page(shown, request)
    response: Response = {"Vertices": [_vertex(entity) for entity in vertices], "Edges": []}
    if included:
        here, everywhere = {entity.id for entity in vertices}, {entity.id for entity in shown}
        response["Edges"] = [
            _edge(edge)
            for edge in edges
            if {edge.source, edge.target} <= everywhere and (edge.source in here or edge.target in here)
        ]
    if token:
        response["NextToken"] = token
    return response


def _starts(api: SageMaker, request: Request) -> dict[str, Entity]:
    """The entities to begin at; an ARN of a job or a model package stands for the entity that tracks it."""
    if not request.get("StartArns"):
        raise validation("StartArns must name the lineage entity to start from")
    starts: dict[str, Entity] = {}
    for arn in request["StartArns"]:
        try:
            starts[arn] = api.lineage.get(arn)
        except NotFoundError:
            standing = [item for item in api.lineage.of_source(arn) if item.family in _FAMILIES]
            if not standing:
                raise not_found(f"Lineage entity '{arn}' does not exist.") from None
            starts.update((item.id, item) for item in standing)
    return starts


def _walk(api: SageMaker, starts: Mapping[str, Entity], request: Request) -> tuple[dict[str, Entity], list[Edge]]:
    """Everything within reach, by depth, and the edges that were followed."""
    direction = request.get("Direction", "Both")
    ways = [
        outgoing for outgoing, word in ((False, "Ascendants"), (True, "Descendants")) if direction in {word, "Both"}
    ]
    reached: dict[str, int] = dict.fromkeys(starts, 0)
    edges: dict[int, Edge] = {}
    for outgoing in ways:
        frontier, seen = list(starts), set(starts)
        for depth in range(1, request.get("MaxDepth", _MAX_DEPTH) + 1):
            followed = api.lineage.edges_of(frontier, ASSOCIATIONS, outgoing=outgoing)
            edges.update((edge.sequence, edge) for edge in followed)
            ends = [edge.target if outgoing else edge.source for edge in followed]
            frontier = [end for end in dict.fromkeys(ends) if end not in seen]
            seen.update(frontier)
            for end in frontier:
                reached[end] = min(depth, reached.get(end, depth))
            if not frontier:
                break
    entities = api.lineage.get_all(reached)
    nearest = sorted(reached, key=lambda arn: reached[arn])  # stable: as they were found
    found = {arn: entities[arn] for arn in nearest if arn in entities and entities[arn].family in _FAMILIES}
    return found, [edges[number] for number in sorted(edges)]


def _matches(entity: Entity, filters: Mapping[str, Any]) -> bool:
    properties: Mapping[str, str] = entity.body.get("Properties", {})
    wanted = filters.get("Properties", {})
    return all(
        (
            entity.kind in filters["Types"] if filters.get("Types") else True,
            entity.family in filters["LineageTypes"] if filters.get("LineageTypes") else True,
            entity.created_at < filters["CreatedBefore"] if "CreatedBefore" in filters else True,
            entity.created_at > filters["CreatedAfter"] if "CreatedAfter" in filters else True,
            entity.modified_at < filters["ModifiedBefore"] if "ModifiedBefore" in filters else True,
            entity.modified_at > filters["ModifiedAfter"] if "ModifiedAfter" in filters else True,
            any(properties.get(key) == value for key, value in wanted.items()) if wanted else True,
        )
    )


def _on_paths(
    starts: Mapping[str, Entity], matching: Iterable[Entity], edges: Iterable[Edge], found: Mapping[str, Entity]
) -> list[Entity]:
    """The matching entities and those between them and the start, in the order they were found."""
    neighbours: dict[str, list[str]] = {}
    for edge in edges:
        neighbours.setdefault(edge.source, []).append(edge.target)
    wanted = {entity.id for entity in matching}
    kept = set(wanted)
    for start in starts:
        kept |= _between(start, wanted, neighbours)
        kept |= _between(start, wanted, _reversed(neighbours))
    return [entity for arn, entity in found.items() if arn in kept]


def _between(start: str, wanted: set[str], neighbours: Mapping[str, list[str]]) -> set[str]:
    """The vertices of every path from ``start`` to one of ``wanted``."""
    forward = _closure({start}, neighbours)
    backward = _closure(wanted & forward, _reversed(neighbours))
    return forward & backward


def _closure(begin: set[str], neighbours: Mapping[str, list[str]]) -> set[str]:
    seen, waiting = set(begin), list(begin)
    while waiting:
        for following in neighbours.get(waiting.pop(), ()):
            if following not in seen:
                seen.add(following)
                waiting.append(following)
    return seen


def _reversed(neighbours: Mapping[str, list[str]]) -> dict[str, list[str]]:
    turned: dict[str, list[str]] = {}
    for source, targets in neighbours.items():
        for target in targets:
            turned.setdefault(target, []).append(source)
    return turned


def _page(entities: list[Entity], request: Request) -> tuple[list[Entity], str | None]:
    token = request.get("NextToken", "0")
    if not token.isdigit():
        raise validation("Invalid pagination token")
    begin = int(token)
    end = begin + request.get("MaxResults", _PAGE)
    return entities[begin:end], str(end) if end < len(entities) else None


def _vertex(entity: Entity) -> Response:
    return {"Arn": entity.id, "Type": entity.kind[:40], "LineageType": entity.family}


def _edge(edge: Edge) -> Response:
    rendered = {"SourceArn": edge.source, "DestinationArn": edge.target}
    return rendered if edge.kind == UNTYPED else {**rendered, "AssociationType": edge.kind}


OPERATIONS = (Operation("QueryLineage", query, "within this account"),)
