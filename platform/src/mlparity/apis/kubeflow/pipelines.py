"""Pipelines: names for a series of versions."""

from __future__ import annotations

from typing import Any

from mlparity.apis.kubeflow import bodies, pipeline_versions, specs
from mlparity.apis.kubeflow.context import Kubeflow, Request, Response
from mlparity.apis.kubeflow.errors import exists, invalid, not_found
from mlparity.apis.kubeflow.listing import Listable, list_page, member, same_text, stored_time
from mlparity.apis.kubeflow.operation import Operation
from mlparity.state.documents import Document

KIND = "Pipeline"
_LONGEST_NAME, _LONGEST_NAMESPACE = 128, 63
_MEMBERS = ("pipeline_id", "display_name", "name", "description", "created_at", "tags")
_LISTABLE = Listable(
    KIND,
    KIND,
    "pipelines",
    {
        "id": "pipeline_id",
        "pipeline_id": "pipeline_id",
        "name": "name",
        "display_name": "display_name",
        "created_at": "created_at",
        "description": "description",
    },
)


def create(api: Kubeflow, request: Request) -> Response:
    """CreatePipeline: no version yet."""
    body = request["body"]
    with api.transaction():
        return show(store(api, body))


def create_with_version(api: Kubeflow, request: Request) -> Response:
    """CreatePipelineAndVersion: both or none."""
    pipeline, version = request["body"].get("pipeline"), request["body"].get("pipeline_version")
    if not pipeline:
        raise invalid("Pipeline is nil. Please specify a valid pipeline")
    if not version:
        raise invalid("Pipeline version is nil. Please specify a valid pipeline version")
    spec = pipeline_versions.spec_of(version)
    return _both(api, pipeline, version, spec)


def upload(api: Kubeflow, request: Request, spec: specs.Spec, filename: str) -> Response:
    """UploadPipeline: named by the query, or else by the file."""
    display_name = str(request.get("display_name", ""))
    name = str(request.get("name", "")) or display_name or filename
    described = {
        "name": name,
        "display_name": display_name or name,
        "description": request.get("description", ""),
        "tags": request.get("tags", {}),
    }
    version = {key: described[key] for key in ("name", "display_name", "description")}
    return _both(api, described, version, spec)


def _both(api: Kubeflow, pipeline: Request, version: Request, spec: specs.Spec) -> Response:
    specs.check(api, spec)
    name = pipeline.get("name") or pipeline.get("display_name") or version.get("name") or spec.name
    with api.transaction():
        made = store(api, {**pipeline, "name": name})
        versioned = {**version, "name": version.get("name") or name}
        pipeline_versions.store(api, made.name, versioned, spec)
        return show(made)


def store(api: Kubeflow, body: Request) -> Document:
    """Keep a new pipeline. In a transaction. Raises ``KubeflowError``."""
    name = str(body.get("name") or body.get("display_name") or "")
    if not name:
        raise invalid("pipeline's name cannot be empty")
    bodies.require_length(KIND, "Name", name, _LONGEST_NAME)
    bodies.require_length(KIND, "Namespace", str(body.get("namespace", "")), _LONGEST_NAMESPACE)
    if api.search.count(KIND, same_text("name", name)):
        raise exists(f"Failed to create a new pipeline. The name {name} already exists. Please specify a new name")
    pipeline_id = api.ids.uuid()
    document: dict[str, Any] = {
        "pipeline_id": pipeline_id,
        "name": name,
        "display_name": str(body.get("display_name") or name),
        "description": str(body.get("description", "")),
        "tags": bodies.check_tags(body.get("tags", {})),
        "created_at": stored_time(api.clock.now()),
    }
    return api.documents.create(KIND, pipeline_id, document)


def get(api: Kubeflow, request: Request) -> Response:
    """GetPipeline."""
    return show(bodies.get(api, KIND, request["pipeline_id"]))


def get_by_name(api: Kubeflow, request: Request) -> Response:
    """GetPipelineByName."""
    found = api.search.all_of(KIND, same_text("name", request["name"]))
    if not found:
        raise not_found(KIND, request["name"])
    return show(found[0])


def list_all(api: Kubeflow, request: Request) -> Response:
    """ListPipelines."""
    return list_page(api, _LISTABLE, request, [], show)


def update(api: Kubeflow, request: Request) -> Response:
    """UpdatePipeline: the display name and the tags; what is not sent stays."""
    pipeline_id, body = request["pipeline.pipeline_id"], request["body"]
    bodies.get(api, KIND, pipeline_id)
    return show(api.documents.merge(KIND, pipeline_id, pipeline_versions.changes(body)))


def delete(api: Kubeflow, request: Request) -> Response:
    """DeletePipeline: with its versions where ``cascade`` says so, else only without any."""
    pipeline_id = request["pipeline_id"]
    with api.transaction():
        bodies.get(api, KIND, pipeline_id)
        versions = api.search.all_of(pipeline_versions.KIND, member("pipeline_id", pipeline_id))
        if versions and not request.get("cascade", False):
            raise invalid(
                f"Failed to delete pipeline with id {pipeline_id} as it has existing pipeline versions "
                f"(e.g. {versions[-1].name}). Set cascade=true to delete all versions"
            )
        for version in versions:
            pipeline_versions.drop(api, version)
        api.documents.delete(KIND, pipeline_id)
    return {}


def show(document: Document) -> Response:
    """As the API shows it."""
    return bodies.shown(document, _MEMBERS)


OPERATIONS = (
    Operation("PipelineService.CreatePipeline", create, "Failed to create a pipeline"),
    Operation(
        "PipelineService.CreatePipelineAndVersion",
        create_with_version,
        "Failed to create a pipeline and a pipeline version",
        "package_url is refused: specs come in the request",
    ),
    Operation("PipelineService.GetPipeline", get, "Failed to get a pipeline"),
    Operation("PipelineService.GetPipelineByName", get_by_name, "Failed to get a pipeline by name"),
    Operation("PipelineService.ListPipelines", list_all, "Failed to list pipelines"),
    Operation("PipelineService.UpdatePipeline", update, "Failed to update a pipeline"),
    Operation("PipelineService.DeletePipeline", delete, "Failed to delete a pipeline"),
)
