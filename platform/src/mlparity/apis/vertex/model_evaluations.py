"""Evaluations of models: imported, read, listed.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.models.evaluations
"""

from __future__ import annotations

from mlparity.apis.vertex import model_store as store
from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.listing import Listing
from mlparity.apis.vertex.names import new_id
from mlparity.apis.vertex.operation import Call, Operation
from mlparity.apis.vertex.resources import ResourceKind
from mlparity.state.documents import Document
from mlparity.wire.aip160 import Language, text
from mlparity.wire.google.descriptors import Message

EVALUATIONS = ResourceKind("ModelEvaluation", "evaluations")
_LISTING = Listing(
    EVALUATIONS,
    "model_evaluations",
    Language({"display_name": text(("=", "!=")), "metrics_schema_uri": text(("=", "!="))}),
)


def import_(vertex: Vertex, request: Message, call: Call) -> Message:
    """ImportModelEvaluation: of the version that the parent names, the default one where it names none."""
    with vertex.transaction():
        record, version = store.resolve(vertex, request.parent)
        evaluation = request.model_evaluation
        evaluation.name = f"{record.name}/evaluations/{new_id(vertex.ids)}"
        return EVALUATIONS.create(vertex, call.api, evaluation, {"version": version})


def get(vertex: Vertex, request: Message, call: Call) -> Message:
    """GetModelEvaluation."""
    return EVALUATIONS.get(vertex, call.api, request.name)


def list_(vertex: Vertex, request: Message, call: Call) -> Message:
    """ListModelEvaluations: of one version."""
    record, version = store.resolve(vertex, request.parent)
    request.parent = record.name

    def of_version(found: Document) -> bool:
        return str(found.body["private"]["version"]) == version

    return _LISTING.respond(vertex, request, call, where=of_version)


OPERATIONS = (
    Operation("ModelService.ImportModelEvaluation", import_),
    Operation("ModelService.GetModelEvaluation", get),
    Operation("ModelService.ListModelEvaluations", list_),
)
