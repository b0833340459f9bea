"""Versions of models and their aliases; exactly one version is always the default one.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.models/mergeVersionAliases
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mlparity.apis.vertex import model_store as store
from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.errors import failed_precondition, invalid
from mlparity.apis.vertex.model_store import DEFAULT, MODELS
from mlparity.apis.vertex.operation import Call, Operation
from mlparity.wire.aip132 import in_order, parse_order_by
from mlparity.wire.aip160 import Language, matches, text_map
from mlparity.wire.google.descriptors import Message
from mlparity.wire.google.field_mask import read
from mlparity.wire.google.page_token import make_token, page_size, read_token

_MERGED = re.compile(r"-?[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
_LANGUAGE = Language({"labels": text_map()})
_TIMES = {"create_time": "versionCreateTime", "update_time": "versionUpdateTime"}
_DEFAULT_SIZE, _MOST = 50, 1000


def list_(vertex: Vertex, request: Message, call: Call) -> Message:
    """ListModelVersions: the newest first; in their names the version follows an @."""
    size, start = page_size(request, _DEFAULT_SIZE, _MOST), read_token(request) or 0
    wanted = _LANGUAGE.parse(request.filter)
    orders = parse_order_by(request.order_by, _TIMES)
    found = [one for one in store.versions(vertex, store.find(vertex, request.name)) if matches(wanted, one.get)]
    found = list(in_order(found, orders, _time))
    mask = list(request.read_mask.paths)
    models = [read(MODELS.read(call.api, one), mask) for one in found[start : start + size]]
    token = make_token(request, start + size) if start + size < len(found) else ""
    return call.response(models=models, next_page_token=token)


def list_checkpoints(vertex: Vertex, request: Message, call: Call) -> Message:
    """ListModelVersionCheckpoints: models with containers of their own have none."""
    store.resolve(vertex, request.name)
    return call.response()


def merge_aliases(vertex: Vertex, request: Message, call: Call) -> Message:
    """MergeVersionAliases: aliases go over to the version; those after a "-" leave it."""
    for alias in request.version_aliases:
        if not _MERGED.fullmatch(alias):
            raise invalid({"version_aliases": f"Invalid version alias {alias!r}."})
    asked = set(request.version_aliases)
    cancelled = {alias for alias in asked if f"-{alias}" in asked}
    with vertex.transaction():
        record, version = store.resolve(vertex, request.name)
        aliases = dict(record.aliases)
        for alias in sorted(asked):
            plain = alias.removeprefix("-")
            if plain in cancelled:
                continue
            if plain == alias:
                aliases[alias] = version
            elif aliases.get(plain) == version:
                del aliases[plain]
        if DEFAULT not in aliases:
            raise failed_precondition(
                f"The default alias cannot be removed from version {version} of Model `{record.name}`: there must be "
                "exactly one default version. Add the alias to another version instead."
            )
        store.save(vertex, record, aliases=aliases)
        return MODELS.read(call.api, store.get(vertex, f"{record.name}@{version}"))


def delete(vertex: Vertex, request: Message, call: Call) -> Message:
    """DeleteModelVersion: neither the default version nor one that is deployed."""
    with vertex.transaction():
        if not store.split(request.name)[1]:
            raise invalid({"name": "The name must have the version ID or a version alias after an @."})
        record, version = store.resolve(vertex, request.name)
        store.remove_version(vertex, record, version)
        return vertex.operations.done(call, record.name, call.new("google.protobuf.Empty"))


def _time(version: Mapping[str, Any], name: str) -> datetime:
    return datetime.fromisoformat(version[_TIMES[name]])


OPERATIONS = (
    Operation("ModelService.ListModelVersions", list_),
    Operation("ModelService.ListModelVersionCheckpoints", list_checkpoints, "no model has checkpoints"),
    Operation("ModelService.MergeVersionAliases", merge_aliases),
    Operation("ModelService.DeleteModelVersion", delete),
)
