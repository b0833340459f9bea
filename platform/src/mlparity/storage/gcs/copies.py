"""Objects made of objects: compose, copy and rewrite. No byte is copied, so a rewrite is done at once.

https://cloud.google.com/storage/docs/composite-objects, https://cloud.google.com/storage/docs/json_api/v1/objects/rewrite
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlparity.errors import NoSuchObjectError
from mlparity.storage.base import ObjectInfo
from mlparity.storage.bucketstore import Condition, Properties, Staged
from mlparity.storage.gcs.buckets_json import default_class
from mlparity.storage.gcs.conditions import check, check_now, condition_of
from mlparity.storage.gcs.errors import GcsError, invalid, no_such_object
from mlparity.storage.gcs.message import Call, GcsResponse, check_object_name
from mlparity.storage.gcs.objects import answer
from mlparity.storage.gcs.objects_json import (
    COMPONENTS,
    HEADERS,
    check_absent,
    component_count,
    new_properties,
    object_resource,
)

_MAX_SOURCES = 32


def compose(call: Call) -> GcsResponse:
    """Make an object of up to 32 objects of the bucket, one after another."""
    check_absent(call)
    request, document = call.request, call.resource()
    sources = document.get("sourceObjects")
    if not isinstance(sources, list) or not sources:
        raise GcsError(400, "required", "You must provide at least one source component.")
    if len(sources) > _MAX_SOURCES:
        raise invalid(f"The number of source components provided ({len(sources)}) exceeds the maximum (32)")
    bucket = call.store.buckets.get(request.bucket)
    infos = [_component(call, source) for source in sources]
    resource = {"contentType": infos[0].headers.get("content-type"), **(document.get("destination") or {})}
    condition = condition_of(call)
    check_now(call, request.name, condition)
    staged = call.store.stage_concatenation(request.bucket, [(info.key, info.version_id) for info in infos])
    try:
        properties = new_properties(resource, default_class(bucket), staged)
        count = sum(component_count(info) or 1 for info in infos)
        headers = {**properties.headers, COMPONENTS: str(count)}
        made = Properties(headers, properties.user_metadata, properties.checksums)
    except GcsError:
        call.store.unstage(staged)
        raise
    info = call.store.put_staged(request.bucket, check_object_name(request.name), staged, made, condition)
    if document.get("deleteSourceObjects"):
        for source in infos:
            if source.key != request.name:
                call.store.generations.delete(request.bucket, source.key, source.sequence, Condition())
    return answer(call, info)


def copy(call: Call) -> GcsResponse:
    """Copy an object; metadata come from the source, or all from the request where it has any."""
    return answer(call, _copied(call))


def rewrite(call: Call) -> GcsResponse:
    """Copy an object. One call is always enough."""
    if call.request.query.get("rewriteToken"):
        raise invalid("Invalid rewriteToken", "parameter", "rewriteToken")
    info = _copied(call)
    resource = {
        "kind": "storage#rewriteResponse",
        "totalBytesRewritten": str(info.size),
        "objectSize": str(info.size),
        "done": True,
        "resource": object_resource(call.request.base, info),
    }
    return GcsResponse(resource=resource)


def move(call: Call) -> GcsResponse:
    """Rename the live generation of an object, in one step."""
    check_absent(call)
    request = call.request
    source = source_of(call, request.bucket, request.params["sourceObject"])
    check(condition_of(call, "ifSource"), source)
    condition, name = condition_of(call), check_object_name(request.name)
    if name == source.key:
        raise invalid("The source and the destination of a move must differ.")
    check_now(call, name, condition)
    properties = Properties(source.headers, source.user_metadata, source.checksums, source.tags)
    return answer(call, call.store.generations.move(source, name, _stage(call, source), properties, condition))


def source_of(call: Call, bucket: str, name: str, generation: int | None = None) -> ObjectInfo:
    """What is copied. Raises ``GcsError`` 404 that names it, and not the object to be made."""
    try:
        return call.store.generations.get(bucket, name, generation)
    except NoSuchObjectError:
        raise no_such_object(bucket, name) from None


def _stage(call: Call, source: ObjectInfo) -> Staged:
    """The bytes again, as an object of parts where the source is one: neither is read."""
    if "-" in source.etag:
        return call.store.stage_concatenation(source.bucket, [(source.key, source.version_id)])
    return call.store.stage_copy(source.bucket, source.key, source.version_id)


def _copied(call: Call) -> ObjectInfo:
    check_absent(call)
    params, request = call.request.params, call.request
    source = source_of(call, params["sourceBucket"], params["sourceObject"], call.number("sourceGeneration"))
    check(condition_of(call, "ifSource"), source)
    bucket = call.store.buckets.get(request.bucket)
    condition = condition_of(call)
    check_now(call, request.name, condition)
    composite = component_count(source) > 0
    staged = _stage(call, source)
    try:
        properties = _copied_properties(source, call.resource(), default_class(bucket), staged, composite=composite)
        name = check_object_name(request.name)
    except GcsError:
        call.store.unstage(staged)
        raise
    return call.store.put_staged(request.bucket, name, staged, properties, condition)


def _copied_properties(
    source: ObjectInfo, resource: Mapping[str, Any], bucket_class: str, staged: Staged, *, composite: bool
) -> Properties:
    """The source's metadata. A resource with more than a name replaces them all; the class is the bucket's own."""
    given = {name: value for name, value in resource.items() if name in (*HEADERS, "metadata")}
    if set(given) <= {"storageClass"}:
        inherited = {name: source.headers[header] for name, header in HEADERS.items() if header in source.headers}
        inherited.pop("storageClass", None)
        given = {**inherited, "metadata": dict(source.user_metadata), **given}
    properties = new_properties(given, bucket_class, staged)
    headers = dict(properties.headers)
    if composite:
        headers[COMPONENTS] = source.headers[COMPONENTS]
    return Properties(headers, properties.user_metadata, properties.checksums, source.tags)


def _component(call: Call, source: Any) -> ObjectInfo:
    if not isinstance(source, dict) or not isinstance(source.get("name"), str):
        raise GcsError(400, "required", "Required: the name of a source object")
    generation = source.get("generation")
    try:
        wanted = None if generation is None else int(generation)
        required = (source.get("objectPreconditions") or {}).get("ifGenerationMatch")
        condition = Condition(generation=None if required is None else int(required))
        info = source_of(call, call.request.bucket, source["name"], wanted)
    except (ValueError, TypeError, AttributeError):
        raise invalid("Invalid value for the generation of a source object") from None
    check(condition, info)
    return info
