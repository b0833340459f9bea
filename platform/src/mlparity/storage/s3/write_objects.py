"""PutObject, CopyObject, DeleteObject and DeleteObjects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from mlparity.errors import NoSuchObjectError, PreconditionFailedError
from mlparity.storage.base import Deleted, ObjectInfo
from mlparity.storage.bucketstore import Condition, Properties, Staged
from mlparity.storage.s3 import checksums
from mlparity.storage.s3.conditions import check_read
from mlparity.storage.s3.documents import read_document
from mlparity.storage.s3.errors import S3Error
from mlparity.storage.s3.message import Call, S3Response, quoted, unquoted, xml_response
from mlparity.storage.s3.properties import (
    checksum_headers,
    condition_of,
    encryption_headers,
    header_tags,
    properties_of,
    version_header,
)
from mlparity.storage.s3.receive import MAX_OBJECT
from mlparity.wire.timestamps import iso_date
from mlparity.wire.xml_read import Element
from mlparity.wire.xml_write import Node

_MAX_DELETES = 1000
_UNCONDITIONAL = Condition()
# Header properties that a copy takes from the request, never from its source.
_CHANGED_BY_COPY = (
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled",
)


def put_object(call: Call) -> S3Response:
    """Store the body that has arrived."""
    request, received = call.request, call.received
    try:
        properties, condition = properties_of(request, received.checksums), condition_of(request)
    except S3Error:
        call.store.unstage(received.staged)
        raise
    info = call.store.put_staged(request.bucket, request.key, received.staged, properties, condition)
    headers = {"etag": quoted(info.etag), **version_header(info, request)}
    return S3Response(200, headers | checksum_headers(info.checksums) | encryption_headers(info.headers))


@dataclass(frozen=True)
class CopySource:
    """What x-amz-copy-source names."""

    bucket: str
    key: str
    version_id: str | None


def copy_source(call: Call) -> tuple[CopySource, ObjectInfo]:
    """The source of a copy, with its conditions checked."""
    text = call.request.headers["x-amz-copy-source"]
    path, _, query = text.partition("?")
    bucket, _, key = unquote(path).removeprefix("/").partition("/")
    version = unquote(query.removeprefix("versionId=")) if query.startswith("versionId=") else None
    if not bucket or not key:
        raise S3Error("InvalidArgument", "Invalid copy source object key", fields={"ArgumentName": "x-amz-copy-source"})
    source = CopySource(bucket, key, version)
    try:
        info = call.store.lookup(bucket, key, version)
    except NoSuchObjectError:
        code = "NoSuchKey" if version is None else "NoSuchVersion"
        raise S3Error(code, fields={"Key": key}) from None
    if info.is_delete_marker:
        if version is not None:
            raise S3Error(
                "InvalidRequest",
                "The source of a copy request may not specifically refer to a delete marker by version id.",
            )
        raise S3Error("NoSuchKey", fields={"Key": key})
    if not check_read(info, call.request.headers, "x-amz-copy-source-"):
        raise S3Error("PreconditionFailed")
    return source, info


def copy_object(call: Call) -> S3Response:
    """Store an existing object's bytes under another name, or its own with other properties."""
    request = call.request
    source, info = copy_source(call)
    directive = request.headers.get("x-amz-metadata-directive", "COPY").upper()
    if directive not in ("COPY", "REPLACE"):
        raise S3Error("InvalidArgument", "Unknown metadata directive.")
    if info.size > MAX_OBJECT:
        raise S3Error(
            "InvalidRequest",
            f"The specified copy source is larger than the maximum allowable size for a copy source: {MAX_OBJECT}",
        )
    given = properties_of(request, {})
    same = source == CopySource(request.bucket, request.key, None)
    if same and directive == "COPY" and not any(name in _CHANGED_BY_COPY for name in given.headers):
        raise S3Error(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes.",
        )
    condition = condition_of(request)
    staged, sums = _stage_copy(call, source, info)
    copied = call.store.put_staged(
        request.bucket, request.key, staged, _copied_properties(call, info, given, directive, sums), condition
    )
    headers = version_header(copied, request) | encryption_headers(copied.headers)
    if info.version_id != "null":
        headers["x-amz-copy-source-version-id"] = info.version_id
    return xml_response(
        "CopyObjectResult", copy_result(copied.etag, iso_date(copied.created_at), copied.checksums), headers
    )


def copy_result(etag: str, modified: str, sums: Mapping[str, str]) -> list[Node]:
    """The elements that both kinds of copy answer with."""
    nodes: list[Node] = [("LastModified", modified), ("ETag", quoted(etag))]
    algorithm = checksums.algorithm_of(sums)
    if algorithm:
        nodes += [(checksums.element_name(algorithm), sums[algorithm])]
        nodes += [("ChecksumType", sums["type"])] if "type" in sums else []
    return nodes


def delete_object(call: Call) -> S3Response:
    """Delete the newest version (or leave a marker), or the given version for good."""
    request = call.request
    condition = Condition(if_match=unquoted(request.headers.get("if-match", "")))
    (deleted,) = call.store.delete_many(request.bucket, [(request.key, request.version_id)], condition)
    headers = {}
    if deleted.is_delete_marker:
        headers["x-amz-delete-marker"] = "true"
    if deleted.version_id is not None:
        headers["x-amz-version-id"] = deleted.version_id
    return S3Response(204, headers)


def delete_objects(call: Call) -> S3Response:
    """Delete up to 1000 keys; a failed condition of one does not stop the others."""
    root = read_document(call, "Delete")
    items = list(root.all("Object"))
    if not 0 < len(items) <= _MAX_DELETES or any(not item.get("Key") for item in items):
        raise S3Error("MalformedXML")
    if not any(name in call.request.headers for name in ("content-md5", "x-amz-sdk-checksum-algorithm")) and not any(
        name.startswith("x-amz-checksum-") for name in call.request.headers
    ):
        raise S3Error("InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
    plain = [item for item in items if not item.get("ETag")]
    results: list[Node] = []
    pairs = [(item.get("Key"), item.get("VersionId") or None) for item in plain]
    if pairs:
        done = call.store.delete_many(call.request.bucket, pairs, _UNCONDITIONAL)
        results += [_deleted(gone, version) for gone, (_, version) in zip(done, pairs, strict=True)]
    results += [_delete_if(call, item) for item in items if item.get("ETag")]
    if root.get("Quiet").lower() == "true":
        results = [node for node in results if node[0] == "Error"]
    return xml_response("DeleteResult", results)


def _delete_if(call: Call, item: Element) -> Node:
    key, version = item.get("Key"), item.get("VersionId") or None
    try:
        (gone,) = call.store.delete_many(
            call.request.bucket, [(key, version)], Condition(if_match=unquoted(item.get("ETag")))
        )
    except PreconditionFailedError:
        code = S3Error("PreconditionFailed")
    except NoSuchObjectError:
        code = S3Error("NoSuchKey")
    else:
        return _deleted(gone, version)
    return ("Error", [("Key", key), ("Code", code.code), ("Message", code.message)])


def _deleted(gone: Deleted, asked_version: str | None) -> Node:
    nodes: list[Node] = [("Key", gone.key)]
    if asked_version is not None:
        nodes.append(("VersionId", asked_version))
    if gone.is_delete_marker:
        nodes += [("DeleteMarker", "true"), ("DeleteMarkerVersionId", gone.version_id or "null")]
    return ("Deleted", nodes)


def _stage_copy(call: Call, source: CopySource, info: ObjectInfo) -> tuple[Staged, Mapping[str, str]]:
    """The bytes and their checksum: the source's own, unless another is asked for or it was composite."""
    wanted = call.request.headers.get("x-amz-checksum-algorithm", "").upper()
    if wanted and wanted not in checksums.ALGORITHMS:
        raise S3Error("InvalidRequest", "Checksum algorithm provided is unsupported.")
    current = checksums.algorithm_of(info.checksums)
    algorithm = wanted or current or checksums.DEFAULT_ALGORITHM
    version = source.version_id
    if current == algorithm and info.checksums.get("type") == checksums.FULL_OBJECT:
        return call.store.stage_copy(source.bucket, source.key, version), info.checksums
    checksum = checksums.new(algorithm)
    staged = call.store.stage_copy(source.bucket, source.key, version, observe=checksum.update)
    return staged, {algorithm: checksums.encode(checksum.digest()), "type": checksums.FULL_OBJECT}


def _copied_properties(
    call: Call, info: ObjectInfo, given: Properties, directive: str, sums: Mapping[str, str]
) -> Properties:
    own = {name: value for name, value in given.headers.items() if name in _CHANGED_BY_COPY}
    inherited = {name: value for name, value in info.headers.items() if name not in _CHANGED_BY_COPY}
    replace = directive == "REPLACE"
    replace_tags = call.request.headers.get("x-amz-tagging-directive", "COPY").upper() == "REPLACE"
    return Properties(
        given.headers if replace else inherited | own,
        given.user_metadata if replace else info.user_metadata,
        sums,
        header_tags(call.request) if replace_tags else info.tags,
    )
