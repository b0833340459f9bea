"""Tags of buckets and objects."""

from __future__ import annotations

from collections.abc import Mapping

from mlparity.errors import NoSuchObjectError
from mlparity.storage.base import ObjectInfo
from mlparity.storage.s3.documents import read_document
from mlparity.storage.s3.errors import S3Error
from mlparity.storage.s3.message import Call, S3Response, xml_response
from mlparity.storage.s3.properties import check_tags, version_header
from mlparity.storage.s3.read_objects import absent, find
from mlparity.wire.xml_write import Node

_OBJECT_TAGS = 10


def get_object_tagging(call: Call) -> S3Response:
    """The object's tags; none is an empty set."""
    info = find(call)
    return xml_response("Tagging", [_tag_set(info.tags)], version_header(info, call.request))


def put_object_tagging(call: Call) -> S3Response:
    """Replace the object's tags."""
    root = read_document(call, "Tagging")
    sets = list(root.all("TagSet"))
    if len(sets) != 1:
        raise S3Error("MalformedXML")
    pairs = [(tag.get("Key"), tag.get("Value")) for tag in sets[0].all("Tag")]
    info = _set(call, check_tags(pairs, _OBJECT_TAGS))
    return S3Response(200, version_header(info, call.request))


def delete_object_tagging(call: Call) -> S3Response:
    """Remove the object's tags."""
    return S3Response(204, version_header(_set(call, {}), call.request))


def _set(call: Call, tags: Mapping[str, str]) -> ObjectInfo:
    request = call.request
    try:
        return call.store.set_tags(request.bucket, request.key, request.version_id, tags)
    except NoSuchObjectError:
        raise absent(request) from None


def _tag_set(tags: Mapping[str, str]) -> Node:
    return ("TagSet", [("Tag", [("Key", name), ("Value", value)]) for name, value in tags.items()])
