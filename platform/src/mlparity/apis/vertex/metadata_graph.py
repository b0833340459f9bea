"""What connects artifacts, executions and contexts, and the lineage that comes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.errors import invalid, not_found
from mlparity.apis.vertex.metadata_messages import lineage
from mlparity.apis.vertex.metadata_naming import KINDS, naming, node_id, open_store, store_name
from mlparity.apis.vertex.names import id_of
from mlparity.apis.vertex.operation import Call, Operation
from mlparity.errors import InvalidRequestError, NotFoundError
from mlparity.metadata import EventType, Family, MetadataStore, NewEvent
from mlparity.wire.google.descriptors import Message


def add_members(vertex: Vertex, request: Message, call: Call) -> Message:
    """Put artifacts and executions into a context."""
    store, context = _context(vertex, request.context)
    artifacts = _ids(vertex, store, request.context, Family.ARTIFACT, "artifacts", request.artifacts)
    executions = _ids(vertex, store, request.context, Family.EXECUTION, "executions", request.executions)
    store.add_members(context, artifacts, executions)
    return call.response()


def add_children(vertex: Vertex, request: Message, call: Call) -> Message:
    """Put contexts into a context."""
    store, context = _context(vertex, request.context)
    children = _ids(vertex, store, request.context, Family.CONTEXT, "child_contexts", request.child_contexts)
    store.add_children(context, children)
    return call.response()


def remove_children(vertex: Vertex, request: Message, call: Call) -> Message:
    """Take contexts out of a context."""
    store, context = _context(vertex, request.context)
    children = _ids(vertex, store, request.context, Family.CONTEXT, "child_contexts", request.child_contexts)
    store.remove_children(context, children)
    return call.response()


def add_events(vertex: Vertex, request: Message, call: Call) -> Message:
    """Connect an execution with artifacts; an artifact that it is connected with stays as it is."""
    store = open_store(vertex, request.execution)
    with _known(Family.EXECUTION, request.execution):
        execution = store.executions.get(id_of(request.execution))
    named = [event.artifact for event in request.events]
    artifacts = _ids(vertex, store, request.execution, Family.ARTIFACT, "events.artifact", named)
    events: list[NewEvent] = []
    for number, (event, artifact) in enumerate(zip(request.events, artifacts, strict=True)):
        kind = call.api.enum_name("Event.Type", event.type)
        if kind not in EventType.__members__:
            raise invalid({f"events[{number}].type": "Required field is not set."})
        events.append(NewEvent(artifact, EventType(kind), dict(event.labels)))
    store.add_events(execution.id, events, once_per_artifact=True)
    return call.response()


def context_lineage(vertex: Vertex, request: Message, call: Call) -> Message:
    """The artifacts and executions of a context, and the events between them."""
    store, context = _context(vertex, request.context)
    return lineage(call, store_name(request.context), store.context_lineage(context))


def execution_lineage(vertex: Vertex, request: Message, call: Call) -> Message:
    """An execution with its inputs and outputs."""
    store = open_store(vertex, request.execution)
    with _known(Family.EXECUTION, request.execution):
        part = store.execution_lineage(id_of(request.execution))
    return lineage(call, store_name(request.execution), part)


def artifact_lineage(vertex: Vertex, request: Message, call: Call) -> Message:
    """What led to an artifact and what came of it.

    ``max_hops`` 0 cannot be told from none in the message: both mean the whole graph.
    """
    store, parent = open_store(vertex, request.artifact), store_name(request.artifact)
    names = naming(vertex, parent, Family.ARTIFACT)
    with _known(Family.ARTIFACT, request.artifact):
        part = store.artifact_lineage(id_of(request.artifact), request.max_hops or None, request.filter, names)
    return lineage(call, parent, part)


def _context(vertex: Vertex, name: str) -> tuple[MetadataStore, str]:
    store = open_store(vertex, name)
    with _known(Family.CONTEXT, name):
        return store, store.contexts.get(id_of(name)).id


def _ids(
    vertex: Vertex, store: MetadataStore, name: str, family: Family, field: str, names: Sequence[str]
) -> list[str]:
    """The ids of the nodes named. Raises ``GoogleError``: INVALID_ARGUMENT for another store's, NOT_FOUND."""
    ids: list[str] = []
    for number, item in enumerate(names):
        try:
            found = node_id(vertex, store_name(name), family, item)
        except InvalidRequestError as error:
            raise invalid({f"{field}[{number}]": f"{error.what}."}) from None
        if found is None:
            raise invalid({f"{field}[{number}]": f"{item} lies in another metadata store."})
        ids.append(found)
    there = store.nodes(family).get_all(ids)
    for found, item in zip(ids, names, strict=True):
        if found not in there:
            raise not_found(KINDS[family], item)
    return ids


@contextmanager
def _known(family: Family, name: str) -> Iterator[None]:
    try:
        yield
    except NotFoundError:
        raise not_found(KINDS[family], name) from None


OPERATIONS = (
    Operation("MetadataService.AddContextArtifactsAndExecutions", add_members),
    Operation("MetadataService.AddContextChildren", add_children),
    Operation("MetadataService.RemoveContextChildren", remove_children),
    Operation("MetadataService.AddExecutionEvents", add_events),
    Operation("MetadataService.QueryContextLineageSubgraph", context_lineage),
    Operation("MetadataService.QueryExecutionInputsAndOutputs", execution_lineage),
    Operation("MetadataService.QueryArtifactLineageSubgraph", artifact_lineage),
)
