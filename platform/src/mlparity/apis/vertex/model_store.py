"""Models and their versions in the database: numbers, aliases, and what is the model's own or a version's.

A model's document holds what ListModels shows (its default version) and, privately, the aliases, the fields that all
versions share and where it is deployed; each version has a document of its own, called MODEL@NUMBER.
https://cloud.google.com/vertex-ai/docs/model-registry/model-alias
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.errors import already_exists, failed_precondition, not_found
from mlparity.apis.vertex.resources import ResourceKind
from mlparity.errors import ConflictError, NotFoundError
from mlparity.state.documents import Document, DocumentFilter
from mlparity.state.paging import PageRequest
from mlparity.wire.google.descriptors import ApiVersion, Message

MODELS = ResourceKind("Model", "models")
VERSION = "ModelVersion"  # the kind of a version's document
DEFAULT = "default"
SHARED = ("displayName", "description")  # fields that are the model's, whatever the version
# What updates change, and so what an etag is of: deployments and aliases come and go without one.
_UPDATED = ("name", "versionId", *SHARED, "versionDescription", "labels")
_CHUNK = 500
Json = dict[str, Any]


@dataclass(frozen=True)
class ModelRecord:
    """What is kept of a model beside its versions."""

    name: str  # without @VERSION
    last_version: int
    aliases: Mapping[str, str]  # alias -> version
    shared: Mapping[str, Any]  # displayName, description and the model's own labels
    deployed: Sequence[Mapping[str, str]]  # endpoint, deployedModelId, version
    created_at: str
    updated_at: str

    def private(self) -> Json:
        """As stored."""
        return {
            "last_version": self.last_version,
            "aliases": dict(self.aliases),
            "shared": dict(self.shared),
            "deployed": [dict(one) for one in self.deployed],
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        }

    def aliases_of(self, version: str) -> list[str]:
        """The aliases of one version, ``default`` first."""
        return sorted((alias for alias, one in self.aliases.items() if one == version), key=lambda one: one != DEFAULT)


def split(name: str) -> tuple[str, str]:
    """A model's name and what follows its @: a version, an alias, or ""."""
    model, _, version = name.partition("@")
    return model, version


def now(vertex: Vertex) -> str:
    """The time as JSON has it."""
    return vertex.clock.now().isoformat().replace("+00:00", "Z")


def find(vertex: Vertex, name: str) -> ModelRecord:
    """What is kept of a model; what follows an @ is ignored. Raises ``GoogleError`` NOT_FOUND."""
    model, _ = split(name)
    try:
        document = vertex.documents.get(MODELS.message, model)
    except NotFoundError:
        raise not_found("Model", name) from None
    return ModelRecord(name=model, **document.body["private"])


def resolve(vertex: Vertex, name: str) -> tuple[ModelRecord, str]:
    """The model, and the number of the version that ``name`` means. Raises ``GoogleError`` NOT_FOUND."""
    record = find(vertex, name)
    wanted = split(name)[1] or DEFAULT
    version = record.aliases.get(wanted, wanted)
    _version_document(vertex, record.name, version, name)
    return record, version


def get(vertex: Vertex, name: str) -> Json:
    """One version as GetModel shows it. Raises ``GoogleError`` NOT_FOUND."""
    record, version = resolve(vertex, name)
    return rendered(record, version, _version_document(vertex, record.name, version, name).body["resource"])


def versions(vertex: Vertex, record: ModelRecord) -> Iterator[Json]:
    """Every version, the newest first; their names have @VERSION."""
    found = [(int(split(document.name)[1]), document) for document in _version_documents(vertex, record.name)]
    for number, document in sorted(found, key=lambda one: -one[0]):
        shown = rendered(record, str(number), document.body["resource"])
        yield {**shown, "name": f"{record.name}@{number}"}


def create(vertex: Vertex, name: str, resource: Mapping[str, Any], aliases: Sequence[str]) -> str:
    """A new model with its first version, which is its default. Its number. Raises ``GoogleError`` ALREADY_EXISTS."""
    at = now(vertex)
    shared = {field: resource[field] for field in (*SHARED, "labels") if field in resource}
    record = ModelRecord(name, 0, {}, shared, (), at, at)
    try:
        vertex.documents.create(MODELS.message, name, {"resource": {}, "private": record.private()})
    except ConflictError:
        raise already_exists("Model", name) from None
    return add_version(vertex, record, {**resource, "labels": {}}, [*aliases, DEFAULT])


def add_version(vertex: Vertex, record: ModelRecord, resource: Mapping[str, Any], aliases: Sequence[str]) -> str:
    """The model's next version, with aliases that go over to it from others. Its number, which is never used twice."""
    number, at = str(record.last_version + 1), now(vertex)
    kept = {field: value for field, value in resource.items() if field not in {*SHARED, "name", "versionAliases"}}
    version = {**kept, "versionCreateTime": at, "versionUpdateTime": at}
    vertex.documents.create(VERSION, f"{record.name}@{number}", {"resource": version})
    moved = {**record.aliases, **dict.fromkeys(aliases, number)}
    save(vertex, record, last_version=int(number), aliases=moved)
    return number


def save(vertex: Vertex, record: ModelRecord, **changes: Any) -> ModelRecord:
    """Store a changed model, and what ListModels shows of it."""
    members = {**record.private(), "updated_at": now(vertex), **changes}
    after = ModelRecord(name=record.name, **members)
    version = after.aliases[DEFAULT]
    document = _version_document(vertex, after.name, version, after.name)
    shown = rendered(after, version, document.body["resource"])
    vertex.documents.merge(MODELS.message, after.name, {"resource": shown, "private": after.private()})
    return after


def change_version(vertex: Vertex, record: ModelRecord, version: str, changes: Mapping[str, Any]) -> ModelRecord:
    """Set fields of one version."""
    name = f"{record.name}@{version}"
    resource = vertex.documents.get(VERSION, name).body["resource"]
    vertex.documents.merge(VERSION, name, {"resource": {**resource, **changes, "versionUpdateTime": now(vertex)}})
    return save(vertex, record)


def own_labels(vertex: Vertex, record: ModelRecord, version: str) -> Mapping[str, str]:
    """The labels of a version, without the model's; of the model for "" ."""
    if not version:
        return dict(record.shared.get("labels", {}))
    return dict(vertex.documents.get(VERSION, f"{record.name}@{version}").body["resource"].get("labels", {}))


def remove_version(vertex: Vertex, record: ModelRecord, version: str) -> None:
    """Forget one version and its aliases. Raises ``GoogleError`` where it is the default one or deployed."""
    if record.aliases[DEFAULT] == version:
        raise failed_precondition(
            f"The default version of Model `{record.name}` cannot be deleted: {version}. Make another version the "
            "default one first, or delete the Model."
        )
    _require_not_deployed(record, version)
    vertex.documents.delete(VERSION, f"{record.name}@{version}")
    save(vertex, record, aliases={alias: one for alias, one in record.aliases.items() if one != version})


def remove(vertex: Vertex, record: ModelRecord) -> None:
    """Forget a model and all its versions. Raises ``GoogleError`` while one of them is deployed."""
    _require_not_deployed(record)
    for document in list(_version_documents(vertex, record.name)):
        vertex.documents.delete(VERSION, document.name)
    vertex.documents.delete(MODELS.message, record.name)


def note_deployed(vertex: Vertex, name: str, version: str, endpoint: str, deployed_model_id: str) -> None:
    """A version serves behind an endpoint from now on."""
    record = find(vertex, name)
    one = {"endpoint": endpoint, "deployedModelId": deployed_model_id, "version": version}
    save(vertex, record, deployed=[*record.deployed, one], updated_at=record.updated_at)


def note_undeployed(vertex: Vertex, name: str, endpoint: str, deployed_model_id: str) -> None:
    """It does not any more."""
    record = find(vertex, name)
    gone = (endpoint, deployed_model_id)
    left = [one for one in record.deployed if (one["endpoint"], one["deployedModelId"]) != gone]
    save(vertex, record, deployed=left, updated_at=record.updated_at)


def rendered(record: ModelRecord, version: str, resource: Mapping[str, Any]) -> Json:
    """A version as GetModel shows it."""
    labels = {**record.shared.get("labels", {}), **resource.get("labels", {})}
    deployed = [
        {"endpoint": one["endpoint"], "deployedModelId": one["deployedModelId"]}
        for one in record.deployed
        if one["version"] == version
    ]
    shown: Json = {
        **resource,
        **{field: record.shared[field] for field in SHARED if field in record.shared},
        "name": record.name,
        "versionId": version,
        "versionAliases": record.aliases_of(version),
        "createTime": record.created_at,
        "updateTime": record.updated_at,
        "labels": labels,
        "deployedModels": deployed,
    }
    shown = {field: value for field, value in shown.items() if value not in ({}, [])}
    content = json.dumps([shown.get(field) for field in _UPDATED], sort_keys=True).encode()
    return {**shown, "etag": f"AMEw9y{hashlib.sha256(content).hexdigest()[:26]}"}


def as_json(api: ApiVersion, message: Message) -> Json:
    """A message in JSON."""
    found: Json = MessageToDict(message, descriptor_pool=api.pool)
    return found


def _require_not_deployed(record: ModelRecord, version: str = "") -> None:
    found = [one for one in record.deployed if version in {"", one["version"]}]
    if found:
        where = ", ".join(f"{one['endpoint']} (deployed model {one['deployedModelId']})" for one in found)
        what = f"version {version} of Model" if version else "Model"
        raise failed_precondition(f"The {what} `{record.name}` is deployed or being deployed at: {where}.")


def _version_document(vertex: Vertex, model: str, version: str, asked: str) -> Document:
    try:
        return vertex.documents.get(VERSION, f"{model}@{version}")
    except NotFoundError:
        raise not_found("Model", asked) from None


def _version_documents(vertex: Vertex, model: str) -> Iterator[Document]:
    token: str | None = None
    while True:
        asked = PageRequest("created_at", True, _CHUNK, token)
        page = vertex.documents.list(VERSION, DocumentFilter(name_prefix=f"{model}@"), asked)
        yield from page.items
        token = page.next_token
        if token is None:
            return
