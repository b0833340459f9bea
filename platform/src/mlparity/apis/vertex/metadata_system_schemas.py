"""The schemas that every metadata store has from the beginning.

https://cloud.google.com/vertex-ai/docs/ml-metadata/system-schemas: the titles that the SDK and pipelines use.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.operation import Call
from mlparity.apis.vertex.resources import ResourceKind
from mlparity.state.documents import DocumentFilter
from mlparity.state.paging import PageRequest

SCHEMAS = ResourceKind("MetadataSchema", "metadataSchemas")
_VERSION = "0.0.1"
_TITLES = {
    "ARTIFACT_TYPE": (
        *("system.Artifact", "system.Dataset", "system.Model", "system.Metrics"),
        *("system.ClassificationMetrics", "system.SlicedClassificationMetrics", "system.HTML", "system.Markdown"),
        *("google.VertexDataset", "google.VertexModel", "google.VertexEndpoint", "google.VertexBatchPredictionJob"),
        *("google.UnmanagedContainerModel", "google.ClassificationMetrics", "google.RegressionMetrics"),
        *("google.ForecastingMetrics", "google.ExperimentModel", "google.VertexTensorboardRun"),
    ),
    "EXECUTION_TYPE": (
        *("system.Run", "system.ContainerExecution", "system.CustomJobExecution", "system.DagExecution"),
        "system.ImporterExecution",
    ),
    "CONTEXT_TYPE": ("system.Experiment", "system.ExperimentRun", "system.Pipeline", "system.PipelineRun"),
}
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def add_system_schemas(vertex: Vertex, call: Call, store: str) -> None:
    """Give a new store its schemas."""
    for kind, title in _all():
        SCHEMAS.create(
            vertex,
            call.api,
            call.new(
                SCHEMAS.message,
                name=f"{store}/metadataSchemas/{schema_id(title)}",
                schema_version=_VERSION,
                schema_type=call.api.enum_number("MetadataSchema.MetadataSchemaType", kind),
                schema=f"title: {title}\ntype: object\n",
            ),
        )


def schemas_of(vertex: Vertex, store: str) -> Iterator[str]:
    """The names of a store's schemas, the users' as well."""
    token: str | None = None
    while True:
        asked = PageRequest("name", False, 200, token)
        page = vertex.documents.list(SCHEMAS.message, DocumentFilter(name_under=f"{store}/"), asked)
        yield from (document.name for document in page.items)
        token = page.next_token
        if token is None:
            return


def schema_id(title: str) -> str:
    """The id of a system schema: "system-container-execution-v0-0-1"."""
    return f"{_WORD.sub('-', title).replace('.', '-').lower()}-v{_VERSION.replace('.', '-')}"


def _all() -> Iterator[tuple[str, str]]:
    for kind, titles in _TITLES.items():
        yield from ((kind, title) for title in titles)
