"""Models: upload, get, list, update, delete, copy, export.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.models
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mlparity.apis.vertex import model_lineage
from mlparity.apis.vertex import model_store as store
from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.errors import failed_precondition, invalid, invalid_argument
from mlparity.apis.vertex.listing import Listing
from mlparity.apis.vertex.model_artifacts import check_artifacts, copy_folder
from mlparity.apis.vertex.model_store import MODELS, Json
from mlparity.apis.vertex.names import id_of, new_id
from mlparity.apis.vertex.operation import Call, Operation
from mlparity.apis.vertex.serving_containers import Place, container, require_supported
from mlparity.storage.base import ObjectStore
from mlparity.wire.aip160 import Language, text, text_map
from mlparity.wire.google.descriptors import Message
from mlparity.wire.google.field_mask import ALL
from mlparity.wire.google.status import Code, GoogleError

_ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
_ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
_LISTING = Listing(
    MODELS,
    "models",
    Language(
        {
            "model": text(("=", "!=")),
            "display_name": text(("=", "!=")),
            "labels": text_map(),
            "base_model_name": text(("=",)),
        }
    ),
    computed={"model": lambda name, _resource: id_of(name), "base_model_name": lambda *_: None},
)
_MODEL_FIELDS = {"display_name", "description", "labels"}
_VERSION_FIELDS = {"version_description", "labels"}
_TOLD: Json = {  # of every model with a container of its own
    "supportedDeploymentResourcesTypes": ["DEDICATED_RESOURCES"],
    "supportedInputStorageFormats": ["jsonl", "csv", "file-list"],
    "supportedOutputStorageFormats": ["jsonl"],
    "supportedExportFormats": [{"id": "custom-trained", "exportableContents": ["ARTIFACT"]}],
}


def upload(vertex: Vertex, request: Message, call: Call) -> Message:
    """UploadModel: a new model, or a new version of one."""
    resource = store.as_json(call.api, request.model)
    with vertex.transaction():
        name, version = register(vertex, request.parent, resource, request.parent_model, request.model_id)
        answer = call.new(call.method.operation_response, model=name, model_version_id=version)
        return vertex.operations.done(call, name, answer)


def register(
    vertex: Vertex, parent: str, resource: Mapping[str, Any], parent_model: str = "", model_id: str = ""
) -> tuple[str, str]:
    """Add a model (``resource``: JSON of ``Model``) or, with ``parent_model``, its next version. Name and version.

    For every API that makes models (UploadModel, training pipelines). Raises ``GoogleError``.
    """
    if parent_model and model_id:
        raise invalid({"model_id": "Only one of parent_model and model_id can be set."})
    if model_id and not _ID.fullmatch(model_id):
        raise invalid({"model_id": f"Invalid model ID {model_id!r}."})
    aliases = resource.get("versionAliases", [])
    _check_aliases(aliases)
    check_model(vertex.store, resource)
    source = resource.get("modelSourceInfo", {"sourceType": "CUSTOM"})
    made = {**resource, **_TOLD, "modelSourceInfo": source}
    if not resource.get("artifactUri"):
        made.pop("supportedExportFormats")
    if parent_model:
        record = store.find(vertex, parent_model)
        name, version = record.name, store.add_version(vertex, record, made, aliases)
    else:
        name = f"{parent}/models/{model_id or new_id(vertex.ids)}"
        version = store.create(vertex, name, made, aliases)
    artifact = model_lineage.artifact(vertex, name, version, resource["displayName"])
    store.change_version(vertex, store.find(vertex, name), version, {"metadataArtifact": artifact})
    _expect(vertex, made)
    return name, version


def _expect(vertex: Vertex, resource: Json) -> None:
    """It may be deployed soon: what takes time is begun."""
    nowhere = Place("", "", "", "")
    vertex.hosting.expect([container(resource, nowhere)])


def get(vertex: Vertex, request: Message, call: Call) -> Message:
    """GetModel: the default version, or the one that @VERSION or @ALIAS names.

    The name of one that was asked for has its @VERSION: the SDK sends it back to update that version.
    """
    found = store.get(vertex, request.name)
    if store.split(request.name)[1]:
        found = {**found, "name": f"{found['name']}@{found['versionId']}"}
    return MODELS.read(call.api, found)


def list_(vertex: Vertex, request: Message, call: Call) -> Message:
    """ListModels: the default version of each."""
    return _LISTING.respond(vertex, request, call)


def update(vertex: Vertex, request: Message, call: Call) -> Message:
    """UpdateModel: of the model (MODEL, MODEL@-), or of one version (MODEL@VERSION)."""
    name, version = store.split(request.model.name)
    is_version = version not in {"", "-"}
    allowed = _VERSION_FIELDS if is_version else _MODEL_FIELDS
    with vertex.transaction():
        record, number = store.resolve(vertex, request.model.name if is_version else name)
        _check_etag(request.model, store.get(vertex, f"{name}@{number}"))
        changes = _changes(vertex, request, call, allowed, record, number if is_version else "")
        if is_version:
            store.change_version(vertex, record, number, changes)
        else:
            store.save(vertex, record, shared={**record.shared, **changes})
        return MODELS.read(call.api, store.get(vertex, f"{name}@{number}"))


def delete(vertex: Vertex, request: Message, call: Call) -> Message:
    """DeleteModel: with all its versions, unless one is deployed."""
    with vertex.transaction():
        record = store.find(vertex, request.name)
        store.remove(vertex, record)
        return vertex.operations.done(call, record.name, call.new("google.protobuf.Empty"))


def copy(vertex: Vertex, request: Message, call: Call) -> Message:
    """CopyModel: a version becomes a new model, or a new version of one, here or in another location."""
    with vertex.transaction():
        source = store.get(vertex, request.source_model)
        kept = {
            field: value
            for field, value in source.items()
            if field
            not in {"name", "versionId", "versionAliases", "deployedModels", "etag", "createTime", "updateTime"}
        }
        made = {**kept, "originalModelInfo": {"model": f"{source['name']}@{source['versionId']}"}}
        name, version = register(vertex, request.parent, made, request.parent_model, request.model_id)
        answer = call.new(call.method.operation_response, model=name, model_version_id=version)
        return vertex.operations.done(call, name, answer)


def export(vertex: Vertex, request: Message, call: Call) -> Message:
    """ExportModel: the artifact's files, in a folder of their own below the destination."""
    source = store.get(vertex, request.name)
    config = request.output_config
    if not source.get("artifactUri"):
        raise failed_precondition(f"Model `{source['name']}` has no artifact and cannot be exported.")
    if config.export_format_id not in {"", "custom-trained"}:
        told = f"Export format `{config.export_format_id}` is not supported by the model; it supports: custom-trained."
        raise invalid({"output_config.export_format_id": told})
    if config.HasField("image_destination") or not config.artifact_destination.output_uri_prefix:
        raise invalid(
            {"output_config.artifact_destination": "The artifact of the model can be exported, its image cannot."}
        )
    prefix = config.artifact_destination.output_uri_prefix.rstrip("/")
    stamp = vertex.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    target = f"{prefix}/model-{source['name'].rpartition('/')[2]}/custom-trained/{stamp}"
    copy_folder(vertex.store, source["artifactUri"], target)
    output = {"outputInfo": {"artifactOutputUri": target}}
    return vertex.operations.done(call, source["name"], call.new(call.method.operation_response), output)


def _changes(
    vertex: Vertex, request: Message, call: Call, allowed: set[str], record: store.ModelRecord, version: str
) -> Json:
    """JSON fields with their new values."""
    paths = list(request.update_mask.paths)
    if not paths or ALL in paths:
        paths = sorted(allowed)
    given = store.as_json(call.api, request.model)
    changes: Json = {}
    for path in paths:
        field, _, key = path.partition(".")
        if field not in allowed:
            kind = "version" if version else "model"
            raise invalid({"update_mask": f"The field `{path}` cannot be updated by an update of a {kind}."})
        if field != "labels":
            changes[_camel(field)] = given.get(_camel(field), "")
            continue
        labels = dict(changes.get("labels", store.own_labels(vertex, record, version)))
        wanted = given.get("labels", {})
        if not key:
            labels = wanted
        elif key in wanted:
            labels[key] = wanted[key]
        else:
            labels.pop(key, None)
        changes["labels"] = labels
    if changes.get("displayName", "-") == "":
        raise invalid({"model.display_name": "Required field is not set."})
    return changes


def _check_etag(changed: Message, stored: Mapping[str, Any]) -> None:
    if changed.etag and changed.etag != stored["etag"]:
        raise GoogleError(Code.ABORTED, f"The etag {changed.etag} is not that of the resource, {stored['etag']}.")


def _check_aliases(aliases: Sequence[str]) -> None:
    for alias in aliases:
        if not _ALIAS.fullmatch(alias):
            raise invalid({"model.version_aliases": f"Invalid version alias {alias!r}."})


def check_model(objects: ObjectStore, resource: Mapping[str, Any]) -> None:
    """Whether a ``Model`` (JSON) can be served here at all. Raises ``GoogleError``."""
    spec = resource.get("containerSpec")
    if spec is None:
        raise invalid_argument("The Model has no container_spec: mlparity serves models with a container only.")
    require_supported(spec)
    check_artifacts(objects, resource)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


OPERATIONS = (
    Operation("ModelService.UploadModel", upload, "models with a container; no AutoML, no Model Garden"),
    Operation("ModelService.GetModel", get),
    Operation("ModelService.ListModels", list_),
    Operation("ModelService.UpdateModel", update),
    Operation("ModelService.DeleteModel", delete),
    Operation("ModelService.CopyModel", copy),
    Operation("ModelService.ExportModel", export, "the artifact; no image"),
)
