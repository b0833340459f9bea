"""Objects in the XML API: what signed URLs and parallel uploads use.

https://cloud.google.com/storage/docs/xml-api/reference-methods
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote

from mlparity.storage import crc32c
from mlparity.storage.bucketstore import Condition, Properties, Staged, UploadInfo
from mlparity.storage.gcs import resumable
from mlparity.storage.gcs.buckets_json import default_class
from mlparity.storage.gcs.conditions import check_xml_read, xml_condition_of
from mlparity.storage.gcs.copies import source_of
from mlparity.storage.gcs.errors import GcsError, invalid, not_implemented
from mlparity.storage.gcs.media import send
from mlparity.storage.gcs.message import Call, GcsResponse, check_object_name
from mlparity.storage.gcs.objects import find, open_object
from mlparity.storage.gcs.objects_json import check_absent, new_properties
from mlparity.storage.gcs.receive import MediaReceiver, check_hashes, to_base64
from mlparity.storage.gcs.xml_answers import object_etag, object_headers
from mlparity.wire.timestamps import iso_date
from mlparity.wire.xml_read import XmlError, parse
from mlparity.wire.xml_write import Node, render

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_META = "x-goog-meta-"
_FIELDS = {
    "content-type": "contentType",
    "content-encoding": "contentEncoding",
    "content-disposition": "contentDisposition",
    "content-language": "contentLanguage",
    "cache-control": "cacheControl",
    "x-goog-storage-class": "storageClass",
    "x-goog-custom-time": "customTime",
}
_OVERRIDES = {
    "response-content-type": "content-type",
    "response-content-disposition": "content-disposition",
}
_PRIVATE_ACLS = ("", "private", "project-private", "bucket-owner-full-control", "bucket-owner-read")
_MAX_PARTS = 10_000


def get_object(call: Call) -> GcsResponse:
    """The bytes, or a range of them."""
    check_absent(call)
    opened = open_object(call)
    try:
        check_xml_read(call, opened.info, object_etag(opened.info))
        return send(call, opened, object_headers(opened.info) | _overrides(call))
    except BaseException:
        opened.stream.close()
        raise


def head_object(call: Call) -> GcsResponse:
    """What a GET would answer, without the bytes."""
    check_absent(call)
    info = find(call)
    check_xml_read(call, info, object_etag(info))
    return GcsResponse(200, object_headers(info) | _overrides(call), length=info.size)


def media_receiver(call: Call) -> MediaReceiver:
    """Takes an object's bytes."""
    _check_write(call)
    call.store.buckets.get(call.request.bucket)
    return MediaReceiver(call.context, call.request)


def put_object(call: Call) -> GcsResponse:
    """Make the object of the body that has come."""
    received = call.received
    try:
        check_hashes(call.request, {}, received, received.md5)
        name = check_object_name(call.request.name)
        properties = _properties(call, received.staged)
    except BaseException:
        call.store.unstage(received.staged)
        raise
    condition = xml_condition_of(call)
    info = call.store.put_staged(call.request.bucket, name, received.staged, properties, condition)
    return GcsResponse(200, object_headers(info))


def copy_object(call: Call) -> GcsResponse:
    """Make the object of another."""
    _check_write(call)
    bucket, _, name = unquote(call.request.headers["x-goog-copy-source"]).lstrip("/").partition("/")
    generation = call.request.headers.get("x-goog-copy-source-generation", "")
    source = source_of(call, bucket, name, int(generation) if generation.isdecimal() else None)
    staged = call.store.stage_copy(bucket, name, source.version_id)
    if call.request.headers.get("x-goog-metadata-directive", "COPY").upper() == "REPLACE":
        properties = _properties(call, staged)
    else:
        properties = Properties(source.headers, source.user_metadata, source.checksums, source.tags)
    made = call.store.put_staged(call.request.bucket, call.request.name, staged, properties, xml_condition_of(call))
    nodes: list[Node] = [("ETag", f'"{made.etag}"'), ("LastModified", iso_date(made.created_at))]
    return _document("CopyObjectResult", nodes)


def delete_object(call: Call) -> GcsResponse:
    """Delete the live generation, or the given one for good."""
    request = call.request
    call.store.generations.delete(request.bucket, request.name, call.number("generation"), xml_condition_of(call))
    return GcsResponse(204)


def start_resumable(call: Call) -> GcsResponse:
    """Begin an upload session."""
    _check_write(call)
    request = call.request
    name = check_object_name(request.name)
    call.store.buckets.get(request.bucket)
    session = resumable.begin(call, name, _resource(call), xml_condition_of(call), xml=True)
    address = f"{request.base}/{quote(request.bucket)}/{quote(name, safe='/~')}?upload_id={session.session_id}"
    return GcsResponse(201, {"location": address, "x-guploader-uploadid": session.session_id})


def create_upload(call: Call) -> GcsResponse:
    """Begin an upload in parts."""
    _check_write(call)
    name = check_object_name(call.request.name)
    properties = _properties(call, Staged((), 0, ""))
    upload = call.store.uploads.create(call.request.bucket, name, properties, {})
    return _document(
        "InitiateMultipartUploadResult",
        [("Bucket", upload.bucket), ("Key", upload.key), ("UploadId", upload.upload_id)],
    )


def part_receiver(call: Call) -> MediaReceiver:
    """Takes a part's bytes."""
    _part_number(call)
    return MediaReceiver(call.context, call.request, _upload(call))


def put_part(call: Call) -> GcsResponse:
    """Keep the body that has come as a part."""
    received = call.received
    try:
        check_hashes(call.request, {}, received, received.md5)
        upload = received.upload or _upload(call)
    except BaseException:
        call.store.unstage(received.staged)
        raise
    part = call.store.uploads.put_part(upload, _part_number(call), received.staged, {})
    hashes = f"md5={to_base64(part.etag)}"
    if received.crc32c is not None:
        hashes = f"crc32c={crc32c.encode(received.crc32c)},{hashes}"
    return GcsResponse(200, {"etag": f'"{part.etag}"', "x-goog-hash": hashes})


def complete_upload(call: Call) -> GcsResponse:
    """Make the object of its parts."""
    upload = _upload(call)
    try:
        root = parse(call.document)
        parts = [(int(part.get("PartNumber")), part.get("ETag").strip().strip('"')) for part in root.all("Part")]
    except (XmlError, ValueError):
        raise GcsError(400, "parseError", "The XML you provided was not well-formed.", code="MalformedXML") from None
    info = call.store.uploads.complete(upload, sorted(parts), {}, Condition())
    location = f"{call.request.base}/{quote(info.bucket)}/{quote(info.key)}"
    nodes: list[Node] = [
        ("Location", location),
        ("Bucket", info.bucket),
        ("Key", info.key),
        ("ETag", f'"{object_etag(info)}"'),
    ]
    response = _document("CompleteMultipartUploadResult", nodes)
    shown = object_headers(info)
    headers = dict(response.headers)
    headers |= {name: value for name, value in shown.items() if name in ("x-goog-hash", "x-goog-generation")}
    return GcsResponse(200, headers, response.body)


def abort_upload(call: Call) -> GcsResponse:
    """Drop an upload and its parts."""
    call.store.uploads.abort(_upload(call))
    return GcsResponse(204)


def list_parts(call: Call) -> GcsResponse:
    """The parts so far."""
    upload = _upload(call)
    marker = call.number("part-number-marker") or 0
    limit = min(call.number("max-parts") or 1000, 1000)
    later = [part for part in call.store.uploads.parts(upload) if part.number > marker]
    page = later[:limit]
    nodes: list[Node] = [
        ("Bucket", upload.bucket),
        ("Key", upload.key),
        ("UploadId", upload.upload_id),
        ("StorageClass", "STANDARD"),
        ("PartNumberMarker", str(marker)),
        ("NextPartNumberMarker", str(page[-1].number if page else marker)),
        ("MaxParts", str(limit)),
        ("IsTruncated", "true" if len(later) > len(page) else "false"),
    ]
    for part in page:
        said: list[Node] = [
            ("PartNumber", str(part.number)),
            ("LastModified", iso_date(part.created_at)),
            ("ETag", f'"{part.etag}"'),
            ("Size", str(part.size)),
        ]
        nodes.append(("Part", said))
    return _document("ListPartsResult", nodes)


def _resource(call: Call) -> dict[str, Any]:
    headers = call.request.headers
    resource: dict[str, Any] = {field: headers[name] for name, field in _FIELDS.items() if headers.get(name)}
    metadata = {name[len(_META) :]: value for name, value in headers.items() if name.startswith(_META)}
    return {**resource, "metadata": metadata} if metadata else resource


def _properties(call: Call, staged: Staged) -> Properties:
    bucket = call.store.buckets.get(call.request.bucket)
    return new_properties(_resource(call), default_class(bucket), staged)


def _check_write(call: Call) -> None:
    check_absent(call)
    if call.request.headers.get("x-goog-acl", "") not in _PRIVATE_ACLS:
        raise not_implemented("public ACLs: buckets have uniform access")


def _upload(call: Call) -> UploadInfo:
    request = call.request
    return call.store.uploads.get(request.bucket, request.name, request.query.get("uploadId", ""))


def _part_number(call: Call) -> int:
    number = call.number("partNumber")
    if number is None or not 1 <= number <= _MAX_PARTS:
        raise invalid("Part number must be an integer between 1 and 10000, inclusive.")
    return number


def _overrides(call: Call) -> dict[str, str]:
    query = call.request.query
    wanted = {target: query[name] for name, target in _OVERRIDES.items() if query.get(name)}
    if not all(value.isprintable() for value in wanted.values()):
        raise invalid("Invalid value for a response header")
    return wanted


def _document(root: str, nodes: list[Node]) -> GcsResponse:
    return GcsResponse(200, {"content-type": "application/xml; charset=UTF-8"}, render(root, nodes, _NAMESPACE))
