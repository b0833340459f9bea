"""GetObject, HeadObject and GetObjectAttributes."""

from __future__ import annotations

from dataclasses import replace

from mlparity.errors import NoSuchObjectError
from mlparity.storage.base import ObjectInfo
from mlparity.storage.bucketstore import OpenObject
from mlparity.storage.s3 import checksums
from mlparity.storage.s3.conditions import check_read, window
from mlparity.storage.s3.errors import S3Error
from mlparity.storage.s3.message import Call, S3Request, S3Response, xml_response
from mlparity.storage.s3.properties import checksum_headers, object_headers, version_header
from mlparity.wire.timestamps import http_date
from mlparity.wire.xml_write import Node

INLINE = 256 * 1024  # bytes; smaller answers are read at once
_DEFAULT_MAX_PARTS = 1000


def get_object(call: Call) -> S3Response:
    """The object's bytes, or a range of them."""
    opened = _open(call)
    try:
        response = _answer(opened.info, call.request)
        if response.length is None:
            opened.stream.close()
            return response
        window_ = window(opened.info, call.request)
        opened.stream.seek(window_.start)
        if window_.length <= INLINE:
            data = opened.stream.read(window_.length)
            opened.stream.close()
            return replace(response, body=data, length=None)
        return replace(response, stream=opened.stream, length=window_.length)
    except BaseException:
        opened.stream.close()
        raise


def head_object(call: Call) -> S3Response:
    """What GetObject would answer, without the bytes."""
    return _answer(find(call), call.request)


def get_object_attributes(call: Call) -> S3Response:
    """Etag, checksum, parts, storage class and size, as far as asked for."""
    info = find(call)
    wanted = {name.strip() for name in call.request.headers.get("x-amz-object-attributes", "").split(",")}
    if not wanted - {""}:
        raise S3Error("InvalidArgument", "x-amz-object-attributes is required")
    nodes: list[Node] = []
    if "ETag" in wanted:
        nodes.append(("ETag", info.etag))
    algorithm = checksums.algorithm_of(info.checksums)
    if "Checksum" in wanted and algorithm:
        kind = info.checksums.get("type", checksums.FULL_OBJECT)
        value = info.checksums[algorithm].partition("-")[0]
        nodes.append(("Checksum", [(checksums.element_name(algorithm), value), ("ChecksumType", kind)]))
    if "ObjectParts" in wanted and info.part_sizes:
        nodes.append(("ObjectParts", _parts(info, call.request)))
    if "StorageClass" in wanted:
        nodes.append(("StorageClass", info.headers.get("x-amz-storage-class", "STANDARD")))
    if "ObjectSize" in wanted:
        nodes.append(("ObjectSize", str(info.size)))
    headers = {"last-modified": http_date(info.created_at), **version_header(info, call.request)}
    return xml_response("GetObjectAttributesResponse", nodes, headers)


def find(call: Call) -> ObjectInfo:
    """The version that the request is about. Raises S3's errors for absent ones and delete markers."""
    request = call.request
    try:
        info = call.store.lookup(request.bucket, request.key, request.version_id)
    except NoSuchObjectError:
        raise absent(request) from None
    _refuse_marker(info, request)
    return info


def _open(call: Call) -> OpenObject:
    request = call.request
    try:
        opened = call.store.open_version(request.bucket, request.key, request.version_id)
    except NoSuchObjectError:
        raise absent(request) from None
    if opened.info.is_delete_marker:
        opened.stream.close()
        _refuse_marker(opened.info, request)
    return opened


def absent(request: S3Request) -> S3Error:
    """The error for a key, or the version of it that was asked for, that does not exist."""
    if request.version_id is None:
        return S3Error("NoSuchKey", fields={"Key": request.key})
    return S3Error("NoSuchVersion", fields={"Key": request.key, "VersionId": request.version_id})


def _refuse_marker(info: ObjectInfo, request: S3Request) -> None:
    if not info.is_delete_marker:
        return
    headers = {"x-amz-delete-marker": "true", "x-amz-version-id": info.version_id}
    if request.version_id is None:
        raise S3Error("NoSuchKey", fields={"Key": request.key}, headers=headers)
    headers |= {"allow": "DELETE", "last-modified": http_date(info.created_at)}
    raise S3Error(
        "MethodNotAllowed", fields={"Method": request.method, "ResourceType": "DeleteMarker"}, headers=headers
    )


def _answer(info: ObjectInfo, request: S3Request) -> S3Response:
    """Status and headers; ``length`` is None where there is nothing to send."""
    headers = object_headers(info, request)
    if not check_read(info, request.headers):
        kept = ("etag", "last-modified", "cache-control", "expires", "x-amz-version-id")
        return S3Response(304, {name: headers[name] for name in kept if name in headers})
    wanted = window(info, request)
    if wanted.partial:
        headers["content-range"] = wanted.content_range(info.size)
    if "partNumber" in request.query and info.part_sizes:
        headers["x-amz-mp-parts-count"] = str(len(info.part_sizes))
    whole = wanted.length == info.size
    if whole and request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
        headers |= checksum_headers(info.checksums)
    return S3Response(206 if wanted.partial else 200, headers, length=wanted.length)


def _parts(info: ObjectInfo, request: S3Request) -> list[Node]:
    marker = _number(request.headers.get("x-amz-part-number-marker"), 0)
    limit = _number(request.headers.get("x-amz-max-parts"), _DEFAULT_MAX_PARTS)
    numbered = list(enumerate(info.part_sizes, 1))
    page = [part for part in numbered if part[0] > marker][:limit]
    last = page[-1][0] if page else marker
    return [
        ("PartsCount", str(len(numbered))),
        ("PartNumberMarker", str(marker)),
        ("NextPartNumberMarker", str(last)),
        ("MaxParts", str(limit)),
        ("IsTruncated", "true" if last < len(numbered) else "false"),
        *(("Part", [("PartNumber", str(number)), ("Size", str(size))]) for number, size in page),
    ]


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() else default
