"""One object: looking it up, reading it, changing and deleting it.

https://cloud.google.com/storage/docs/json_api/v1/objects
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlparity.storage.base import ObjectInfo
from mlparity.storage.bucketstore import OpenObject, Properties
from mlparity.storage.gcs.conditions import check_read, condition_of, etag_of
from mlparity.storage.gcs.media import media_headers, send
from mlparity.storage.gcs.message import Call, GcsResponse
from mlparity.storage.gcs.objects_json import (
    COMPONENTS,
    STORAGE_CLASS,
    change_headers,
    change_metadata,
    check_absent,
    object_resource,
)


def get(call: Call) -> GcsResponse:
    """The resource, or with ``alt=media`` the bytes."""
    if call.request.query.get("alt") == "media":
        return download(call)
    check_absent(call)
    info = find(call)
    check_read(call, info)
    return answer(call, info)


def download(call: Call) -> GcsResponse:
    """The bytes, or a range of them."""
    check_absent(call)
    opened = open_object(call)
    try:
        check_read(call, opened.info)
        headers = media_headers(opened.info) | {"etag": etag_of(opened.info.sequence, opened.info.metageneration)}
        return send(call, opened, headers)
    except BaseException:
        opened.stream.close()
        raise


def patch(call: Call) -> GcsResponse:
    """Change the metadata that the request names."""
    resource = _changeable(call)

    def change(info: ObjectInfo) -> Properties:
        headers, metadata = change_headers(info.headers, resource), change_metadata(info.user_metadata, resource)
        return Properties(headers, metadata)

    return _revise(call, change)


def update(call: Call) -> GcsResponse:
    """Change the metadata that the request names, and unset the others."""
    resource = _changeable(call)

    def change(info: ObjectInfo) -> Properties:
        lasting = {name: value for name, value in info.headers.items() if name in (COMPONENTS, STORAGE_CLASS)}
        return Properties(change_headers(lasting, resource), change_metadata({}, resource))

    return _revise(call, change)


def delete(call: Call) -> GcsResponse:
    """Delete the live generation, or the given one for good."""
    request = call.request
    call.store.generations.delete(request.bucket, request.name, call.number("generation"), condition_of(call))
    return GcsResponse(204)


def find(call: Call) -> ObjectInfo:
    """The generation that the request is about."""
    return call.store.generations.get(call.request.bucket, call.request.name, call.number("generation"))


def open_object(call: Call) -> OpenObject:
    """The generation that the request is about, and its bytes."""
    return call.store.generations.open(call.request.bucket, call.request.name, call.number("generation"))


def answer(call: Call, info: ObjectInfo) -> GcsResponse:
    """The object's resource."""
    resource = object_resource(call.request.base, info)
    return GcsResponse(headers={"etag": resource["etag"]}, resource=resource)


def _changeable(call: Call) -> dict[str, Any]:
    """What the request says, but for the class: only a rewrite changes it."""
    return {name: value for name, value in call.resource().items() if name != "storageClass"}


def _revise(call: Call, change: Callable[[ObjectInfo], Properties]) -> GcsResponse:
    check_absent(call)
    request = call.request
    info = call.store.generations.update(
        request.bucket, request.name, call.number("generation"), condition_of(call), change
    )
    return answer(call, info)
