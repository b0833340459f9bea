"""Versions of pipelines: each has a spec, checked when it is made. The newest is the one that is run by default."""

from __future__ import annotations

from typing import Any

from mlparity.apis.kubeflow import bodies, specs
from mlparity.apis.kubeflow.context import Kubeflow, Request, Response
from mlparity.apis.kubeflow.errors import exists, invalid, not_found
from mlparity.apis.kubeflow.listing import Listable, list_page, member, same_text, stored_time
from mlparity.apis.kubeflow.operation import Operation
from mlparity.state.documents import Document

KIND = "PipelineVersion"
_PIPELINE = "Pipeline"
_LONGEST_NAME = 127
_NO_URLS = "package_url is refused: specs come in the request"
_MEMBERS = (
    "pipeline_id",
    "pipeline_version_id",
    "display_name",
    "name",
    "description",
    "created_at",
    "code_source_url",
    "tags",
)
_LISTABLE = Listable(
    KIND,
    KIND,
    "pipeline_versions",
    {
        "id": "pipeline_version_id",
        "pipeline_version_id": "pipeline_version_id",
        "name": "name",
        "display_name": "display_name",
        "created_at": "created_at",
        "description": "description",
    },
)


def create(api: Kubeflow, request: Request) -> Response:
    """CreatePipelineVersion."""
    body, pipeline_id = request["body"], request["pipeline_id"]
    if body.get("pipeline_id", pipeline_id) != pipeline_id:
        raise invalid("Pipeline IDs in the URL and in the request body are not the same")
    bodies.get(api, _PIPELINE, pipeline_id)
    spec = spec_of(body)
    specs.check(api, spec)
    with api.transaction():
        return show(api, store(api, pipeline_id, body, spec))


def upload(api: Kubeflow, request: Request, spec: specs.Spec, filename: str) -> Response:
    """UploadPipelineVersion: named by the query, or else by the file."""
    pipeline_id = str(request.get("pipelineid", ""))
    if not pipeline_id:
        raise invalid("Failed to create a pipeline version. Error reading pipeline id")
    bodies.get(api, _PIPELINE, pipeline_id)
    display_name = str(request.get("display_name", ""))
    name = str(request.get("name", "")) or display_name or filename
    specs.check(api, spec)
    body = {
        "name": name,
        "display_name": display_name or name,
        "description": request.get("description", ""),
        "tags": request.get("tags", {}),
    }
    with api.transaction():
        return show(api, store(api, pipeline_id, body, spec))


def spec_of(body: Request) -> specs.Spec:
    """The spec that a request brings. Raises ``KubeflowError``."""
    if (body.get("package_url") or {}).get("pipeline_url"):
        raise invalid(f"mlparity fetches nothing: {_NO_URLS} (pipeline_spec), or are uploaded")
    if not body.get("pipeline_spec"):
        raise invalid("pipeline version must have a pipeline spec or a valid source code's URL")
    return specs.read_struct(body["pipeline_spec"])


def store(api: Kubeflow, pipeline_id: str, body: Request, spec: specs.Spec) -> Document:
    """Keep a new version. In a transaction. Raises ``KubeflowError``."""
    name = str(body.get("name") or body.get("display_name") or spec.name)
    bodies.require_length(KIND, "Name", name, _LONGEST_NAME)
    if api.search.count(KIND, member("pipeline_id", pipeline_id), same_text("name", name)):
        raise exists(f"Failed to create a new pipeline version. The name {name} already exists. Specify a new name")
    version_id = api.ids.uuid()
    document: dict[str, Any] = {
        "pipeline_id": pipeline_id,
        "pipeline_version_id": version_id,
        "name": name,
        "display_name": str(body.get("display_name") or name),
        "description": str(body.get("description", "")),
        "code_source_url": str(body.get("code_source_url", "")),
        "tags": bodies.check_tags(body.get("tags", {})),
        "created_at": stored_time(api.clock.now()),
    }
    specs.keep(api, version_id, spec)
    return api.documents.create(KIND, version_id, document)


def get(api: Kubeflow, request: Request) -> Response:
    """GetPipelineVersion."""
    return show(api, find(api, request["pipeline_id"], request["pipeline_version_id"]))


def find(api: Kubeflow, pipeline_id: str, version_id: str) -> Document:
    """A version of this pipeline ("": of any). Raises ``KubeflowError``."""
    version = bodies.get(api, KIND, version_id)
    if pipeline_id and version.body["pipeline_id"] != pipeline_id:
        raise not_found(KIND, version_id)
    return version


def newest(api: Kubeflow, pipeline_id: str) -> Document:
    """The version that is run where none is named. Raises ``KubeflowError``."""
    bodies.get(api, _PIPELINE, pipeline_id)
    found = api.search.all_of(KIND, member("pipeline_id", pipeline_id))
    if not found:
        raise not_found(KIND, f"of pipeline {pipeline_id}")
    return found[-1]


def list_all(api: Kubeflow, request: Request) -> Response:
    """ListPipelineVersions."""
    pipeline_id = request["pipeline_id"]
    return list_page(api, _LISTABLE, request, [member("pipeline_id", pipeline_id)], lambda found: show(api, found))


def update(api: Kubeflow, request: Request) -> Response:
    """UpdatePipelineVersion: the display name and the tags; what is not sent stays."""
    version_id, body = request["pipeline_version.pipeline_version_id"], request["body"]
    find(api, request["pipeline_version.pipeline_id"], version_id)
    return show(api, api.documents.merge(KIND, version_id, changes(body)))


def changes(body: Request) -> dict[str, Any]:
    """What an update of a pipeline or of a version changes."""
    changed: dict[str, Any] = {"display_name": body["display_name"]} if body.get("display_name") else {}
    if "tags" in body:
        changed["tags"] = bodies.check_tags(body["tags"])
    return changed


def delete(api: Kubeflow, request: Request) -> Response:
    """DeletePipelineVersion. Runs of it keep their own copy of the spec."""
    with api.transaction():
        drop(api, find(api, request["pipeline_id"], request["pipeline_version_id"]))
    return {}


def drop(api: Kubeflow, version: Document) -> None:
    """Forget a version and its spec. In a transaction."""
    specs.forget(api, version.name)
    api.documents.delete(KIND, version.name)


def show(api: Kubeflow, document: Document) -> Response:
    """As the API shows it."""
    return {**bodies.shown(document, _MEMBERS), "pipeline_spec": specs.kept(api, document.name).struct}


OPERATIONS = (
    Operation("PipelineService.CreatePipelineVersion", create, "Failed to create a pipeline version", _NO_URLS),
    Operation("PipelineService.GetPipelineVersion", get, "Failed to get a pipeline version"),
    Operation("PipelineService.ListPipelineVersions", list_all, "Failed to list pipeline versions"),
    Operation("PipelineService.UpdatePipelineVersion", update, "Failed to update a pipeline version"),
    Operation("PipelineService.DeletePipelineVersion", delete, "Failed to delete a pipeline version"),
)
