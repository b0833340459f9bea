"""Uploads in one request: plain media, and a resource with its media.

https://cloud.google.com/storage/docs/json_api/v1/objects/insert
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlparity.storage.bucketstore import Condition
from mlparity.storage.gcs.buckets_json import default_class
from mlparity.storage.gcs.conditions import condition_of
from mlparity.storage.gcs.errors import GcsError
from mlparity.storage.gcs.message import Call, GcsResponse, check_object_name
from mlparity.storage.gcs.objects import answer
from mlparity.storage.gcs.objects_json import check_absent, new_properties
from mlparity.storage.gcs.receive import MediaReceiver, RelatedReceiver, check_hashes


def media_receiver(call: Call) -> MediaReceiver:
    """Takes the body of a plain upload; refuses before it comes what is bound to fail."""
    _check(call)
    return MediaReceiver(call.context, call.request)


def related_receiver(call: Call) -> RelatedReceiver:
    """Takes the body of a multipart upload."""
    _check(call)
    return RelatedReceiver(call.context, call.request)


def insert(call: Call) -> GcsResponse:
    """Make the object of the body that has come."""
    received = call.received
    try:
        resource = merged_resource(call, received.resource, received.content_type)
        name = check_object_name(str(resource.get("name") or ""))
        check_hashes(call.request, resource, received, received.md5)
        bucket = call.store.buckets.get(call.request.bucket)
        properties = new_properties(resource, default_class(bucket), received.staged)
        condition = condition_of(call)
    except BaseException:
        call.store.unstage(received.staged)
        raise
    info = call.store.put_staged(call.request.bucket, name, received.staged, properties, condition)
    return answer(call, info)


def merged_resource(call: Call, resource: Mapping[str, Any], content_type: str) -> dict[str, Any]:
    """The resource with what the query and the media say where it says nothing."""
    query = call.request.query
    merged = dict(resource)
    if not merged.get("name") and query.get("name"):
        merged["name"] = query["name"]
    if not merged.get("contentType") and content_type:
        merged["contentType"] = content_type
    if not merged.get("contentEncoding") and query.get("contentEncoding"):
        merged["contentEncoding"] = query["contentEncoding"]
    return merged


def refuse_kind(call: Call) -> GcsResponse:
    """An upload without a known ``uploadType``."""
    kind = call.request.query.get("uploadType", "")
    raise GcsError(400, "badRequest", f"Invalid upload type: {kind!r}", location=("parameter", "uploadType"))


def conditions_as_json(condition: Condition) -> dict[str, int]:
    """The preconditions as a session keeps them."""
    names = ("generation", "generation_not", "metageneration", "metageneration_not")
    return {name: getattr(condition, name) for name in names if getattr(condition, name) is not None}


def _check(call: Call) -> None:
    check_absent(call)
    call.store.buckets.get(call.request.bucket)  # rather now than after gigabytes
