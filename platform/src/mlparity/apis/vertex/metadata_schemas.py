"""Metadata schemas: those that every store has, and those that users add."""

from __future__ import annotations

import re
from typing import Any

import yaml

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.errors import invalid
from mlparity.apis.vertex.listing import Listing
from mlparity.apis.vertex.metadata_naming import checked_id
from mlparity.apis.vertex.metadata_stores import opened
from mlparity.apis.vertex.metadata_system_schemas import SCHEMAS
from mlparity.apis.vertex.operation import Call, Operation
from mlparity.wire.aip160 import Language, enumeration, text, time
from mlparity.wire.google.descriptors import Message

_TYPES = ("ARTIFACT_TYPE", "EXECUTION_TYPE", "CONTEXT_TYPE")
_TITLE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*\.[A-Z][A-Za-z0-9]*")


def _title(_name: str, resource: Any) -> str:
    content = yaml.safe_load(resource.get("schema", "")) or {}
    return str(content.get("title", "")) if isinstance(content, dict) else ""


_LISTING = Listing(
    SCHEMAS,
    "metadata_schemas",
    Language(
        {
            "schema_title": text(wildcards=True),
            "schema_version": text(),
            "schema_type": enumeration(_TYPES),
            "create_time": time(),
        }
    ),
    page_size=100,
    nested=True,
    computed={"schema_title": _title},
)


def create(vertex: Vertex, request: Message, call: Call) -> Message:
    """A user's own schema: OpenAPI in YAML, with a title such as ``mine.Forest``."""
    schema_id = checked_id("metadata_schema_id", request.metadata_schema_id) or vertex.ids.uuid()
    schema = request.metadata_schema
    try:
        title = _title("", {"schema": schema.schema})
    except yaml.YAMLError as error:
        raise invalid({"metadata_schema.schema": f"The schema is not YAML: {error}"}) from error
    if not _TITLE.fullmatch(title):
        raise invalid({"metadata_schema.schema": "The schema's title must have the form <namespace>.<name>."})
    with vertex.transaction():
        opened(vertex, call, request.parent)
        schema.name = f"{request.parent}/metadataSchemas/{schema_id}"
        return SCHEMAS.create(vertex, call.api, schema)


def get(vertex: Vertex, request: Message, call: Call) -> Message:
    """One schema."""
    with vertex.transaction():
        opened(vertex, call, request.name)
    return SCHEMAS.get(vertex, call.api, request.name)


def list_(vertex: Vertex, request: Message, call: Call) -> Message:
    """The schemas of a store."""
    with vertex.transaction():
        opened(vertex, call, request.parent)
    return _LISTING.respond(vertex, request, call)


OPERATIONS = (
    Operation("MetadataService.CreateMetadataSchema", create),
    Operation(
        "MetadataService.GetMetadataSchema",
        get,
        partial="the system schemas have titles only",
    ),
    Operation("MetadataService.ListMetadataSchemas", list_),
)
