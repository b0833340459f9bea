"""Artifacts, executions and contexts of the Metadata API as nodes of the store, and back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict

from mlparity.apis.vertex.errors import invalid
from mlparity.apis.vertex.metadata_naming import COLLECTIONS, KINDS
from mlparity.apis.vertex.operation import Call
from mlparity.metadata import Family, NewNode, Node, Subgraph
from mlparity.wire.google.descriptors import Message

# "<namespace>.<name>", and three numbers: as the guide to managing metadata documents them.
_TITLE = re.compile(r"[a-z][a-z0-9_]{1,19}(\.[a-z][a-z0-9_]{0,19})*\.[A-Z][A-Za-z0-9]{1,48}")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_PLAIN = ("display_name", "schema_title", "schema_version", "description")
_STATES = {Family.ARTIFACT: "Artifact.State", Family.EXECUTION: "Execution.State"}


def new_node(call: Call, family: Family, message: Message, node_id: str) -> NewNode:
    """A node from the message to create it from. Raises ``GoogleError`` INVALID_ARGUMENT."""
    return NewNode(id=node_id, **fields(call, family, message))


def fields(call: Call, family: Family, message: Message) -> dict[str, Any]:
    """The node's fields as the message has them. Raises ``GoogleError`` INVALID_ARGUMENT."""
    check_schema(family, message)
    found: dict[str, Any] = {name: getattr(message, name) for name in _PLAIN}
    found["labels"] = dict(message.labels)
    found["metadata"] = MessageToDict(message.metadata, descriptor_pool=call.api.pool)
    if family in _STATES:
        name = call.api.enum_name(_STATES[family], message.state)
        found["state"] = "" if name == "STATE_UNSPECIFIED" else name
    if family is Family.ARTIFACT:
        found["uri"] = message.uri
    return found


def check_schema(family: Family, message: Message) -> None:
    """The schema's title and version have the form that is documented. Raises ``GoogleError``."""
    kind = KINDS[family].lower()
    if message.schema_title and not _TITLE.fullmatch(message.schema_title):
        told = "must have the form <namespace>.<name>, such as system.Dataset"
        raise invalid({f"{kind}.schema_title": f"The schema title {message.schema_title!r} {told}."})
    if message.schema_version and not _VERSION.fullmatch(message.schema_version):
        told = "must be three numbers, such as 0.0.1"
        raise invalid({f"{kind}.schema_version": f"The schema version {message.schema_version!r} {told}."})


def message(call: Call, store: str, node: Node, parents: Sequence[str] = ()) -> Message:
    """The node as the API tells it. ``parents`` are the ids of a context's parents."""
    found = call.new(
        KINDS[node.family],
        name=f"{store}/{COLLECTIONS[node.family]}/{node.id}",
        labels=dict(node.labels),
        etag=node.etag,
        **{name: getattr(node, name) for name in _PLAIN},
    )
    found.create_time.FromDatetime(node.created_at)
    found.update_time.FromDatetime(node.updated_at)
    found.metadata.update(node.metadata)
    if node.family is Family.ARTIFACT:
        found.uri = node.uri
    if node.family is Family.CONTEXT:
        found.parent_contexts.extend(f"{store}/contexts/{parent}" for parent in parents)
    elif node.state:
        found.state = call.api.enum_number(_STATES[node.family], node.state)
    return found


def lineage(call: Call, store: str, part: Subgraph) -> Message:
    """A part of the lineage as the API tells it."""
    found = call.new("LineageSubgraph")
    found.artifacts.extend(message(call, store, node) for node in part.artifacts)
    found.executions.extend(message(call, store, node) for node in part.executions)
    for event in part.events:
        added = found.events.add(
            artifact=f"{store}/artifacts/{event.artifact}",
            execution=f"{store}/executions/{event.execution}",
            type=call.api.enum_number("Event.Type", event.type),
            labels=dict(event.labels),
        )
        added.event_time.FromDatetime(event.at)
    return found
