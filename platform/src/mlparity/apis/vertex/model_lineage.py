"""Uploaded models in the metadata store: an artifact of the schema google.VertexModel for each version."""

from __future__ import annotations

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.metadata_naming import scope_of
from mlparity.apis.vertex.names import location_of, new_id, region_of
from mlparity.metadata import NewNode

SCHEMA = "google.VertexModel"


def artifact(vertex: Vertex, model: str, version: str, display_name: str) -> str:
    """The resource name of a version's artifact, which is made in the location's default store."""
    store = f"{location_of(model)}/metadataStores/default"
    resource = f"{model}@{version}"
    node = NewNode(
        id=new_id(vertex.ids),
        display_name=display_name,
        schema_title=SCHEMA,
        uri=f"https://{region_of(model)}-aiplatform.googleapis.com/v1/{resource}",
        metadata={"resourceName": resource},
        state="LIVE",
    )
    made = vertex.metadata.of(scope_of(f"{store}/artifacts/{node.id}")).artifacts.create(node)
    return f"{store}/artifacts/{made.id}"
