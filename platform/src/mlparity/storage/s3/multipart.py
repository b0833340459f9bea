"""Multipart uploads.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html and its siblings
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from mlparity.storage.bucketstore import PartInfo, UploadInfo
from mlparity.storage.s3 import checksums
from mlparity.storage.s3.conditions import parse_range
from mlparity.storage.s3.documents import read_document
from mlparity.storage.s3.errors import S3Error
from mlparity.storage.s3.list_objects import encoder, page_size
from mlparity.storage.s3.message import Call, S3Request, S3Response, quoted, unquoted, xml_response
from mlparity.storage.s3.owner import owner_id
from mlparity.storage.s3.properties import (
    condition_of,
    encryption_headers,
    properties_of,
    version_header,
)
from mlparity.storage.s3.write_objects import copy_result, copy_source
from mlparity.wire.ranges import Window
from mlparity.wire.timestamps import iso_date
from mlparity.wire.xml_read import Element
from mlparity.wire.xml_write import Node

_MAX_PARTS = 10_000
_COPY_CHUNK = 1024 * 1024  # bytes
_CRCS = ("CRC32", "CRC32C", "CRC64NVME")


def create_upload(call: Call) -> S3Response:
    """Begin an upload."""
    request = call.request
    checksum = _declared_checksum(request)
    upload = call.store.uploads.create(request.bucket, request.key, properties_of(request, {}), checksum)
    headers = encryption_headers(upload.properties.headers)
    if checksum:
        headers |= {"x-amz-checksum-algorithm": checksum["algorithm"], "x-amz-checksum-type": checksum["type"]}
    return xml_response(
        "InitiateMultipartUploadResult",
        [("Bucket", upload.bucket), ("Key", upload.key), ("UploadId", upload.upload_id)],
        headers,
    )


def part_target(call: Call) -> UploadInfo:
    """The upload that a part is for; refused before its body is read."""
    _part_number(call.request)
    return _upload(call)


def upload_part(call: Call) -> S3Response:
    """Keep the body that has arrived as a part."""
    received, upload = call.received, call.received.upload
    if upload is None:
        raise S3Error("InternalError")
    part = call.store.uploads.put_part(upload, _part_number(call.request), received.staged, received.checksums)
    checksum = {checksums.header_name(received.algorithm): part.checksums[received.algorithm]}
    return S3Response(200, {"etag": quoted(part.etag)} | checksum)


def upload_part_copy(call: Call) -> S3Response:
    """Copy an existing object, or a range of it, as a part."""
    number = _part_number(call.request)
    upload = _upload(call)
    source, info = copy_source(call)
    span = call.request.headers.get("x-amz-copy-source-range")
    window = Window(0, info.size, partial=False) if span is None else parse_range(span, info.size)
    if window is None:
        raise S3Error("InvalidArgument", "The x-amz-copy-source-range value must be of the form bytes=first-last")
    algorithm = upload.checksum.get("algorithm", checksums.DEFAULT_ALGORITHM)
    checksum = checksums.new(algorithm)
    writer = call.store.stage()
    try:
        with call.store.open(source.bucket, source.key, source.version_id) as stream:
            stream.seek(window.start)
            left = window.length
            while left and (chunk := stream.read(min(left, _COPY_CHUNK))):
                checksum.update(chunk)
                writer.write(chunk)
                left -= len(chunk)
        staged = writer.finish()
    except BaseException:
        writer.discard()
        raise
    sums = {algorithm: checksums.encode(checksum.digest())}
    part = call.store.uploads.put_part(upload, number, staged, sums)
    headers = {} if info.version_id == "null" else {"x-amz-copy-source-version-id": info.version_id}
    return xml_response("CopyPartResult", copy_result(part.etag, iso_date(part.created_at), sums), headers)


def complete_upload(call: Call) -> S3Response:
    """Make the object of its parts."""
    request = call.request
    upload = _upload(call)
    named = list(read_document(call, "CompleteMultipartUpload").all("Part"))
    try:
        parts = [(int(item.get("PartNumber")), unquoted(item.get("ETag"))) for item in named]
    except ValueError:
        raise S3Error("MalformedXML") from None
    if not parts:
        raise S3Error("MalformedXML")
    stored = {part.number: part for part in call.store.uploads.parts(upload)}
    sums = _whole_checksum(upload, named, [stored[number] for number, _ in parts if number in stored])
    _check_whole(request, sums, sum(stored[number].size for number, _ in parts if number in stored))
    info = call.store.uploads.complete(upload, parts, sums, condition_of(request))
    host = request.headers.get("host", "")
    nodes: list[Node] = [
        ("Location", f"http://{host}/{quote(info.bucket)}/{quote(info.key)}"),
        ("Bucket", info.bucket),
        ("Key", info.key),
        ("ETag", quoted(info.etag)),
    ]
    algorithm = checksums.algorithm_of(sums)
    if algorithm:
        nodes += [(checksums.element_name(algorithm), sums[algorithm]), ("ChecksumType", sums["type"])]
    headers = version_header(info, request) | encryption_headers(info.headers)
    return xml_response("CompleteMultipartUploadResult", nodes, headers)


def abort_upload(call: Call) -> S3Response:
    """Drop the upload and its parts."""
    call.store.uploads.abort(_upload(call))
    return S3Response(204)


def list_parts(call: Call) -> S3Response:
    """The parts that have arrived."""
    query, upload = call.request.query, _upload(call)
    limit = page_size(query, "max-parts")
    marker = query.get("part-number-marker", "0")
    if not marker.isdecimal():
        raise S3Error("InvalidArgument", "part-number-marker must be a number")
    after = [part for part in call.store.uploads.parts(upload) if part.number > int(marker)]
    page = after[:limit]
    owner = [("ID", owner_id(call.context.account_id))]
    nodes: list[Node] = [
        ("Bucket", upload.bucket),
        ("Key", upload.key),
        ("UploadId", upload.upload_id),
        ("Initiator", owner),
        ("Owner", owner),
        ("StorageClass", upload.properties.headers.get("x-amz-storage-class", "STANDARD")),
        ("PartNumberMarker", marker),
        ("NextPartNumberMarker", str(page[-1].number if page else marker)),
        ("MaxParts", str(limit)),
        ("IsTruncated", "true" if len(after) > len(page) else "false"),
        *_checksum_nodes(upload),
        *(("Part", _part_nodes(part, upload)) for part in page),
    ]
    return xml_response("ListPartsResult", nodes)


def list_uploads(call: Call) -> S3Response:
    """The uploads under way in a bucket."""
    query = call.request.query
    text, limit = encoder(query), page_size(query, "max-uploads")
    prefix, delimiter, marker = query.get("prefix", ""), query.get("delimiter", ""), query.get("key-marker", "")
    upload_marker = query.get("upload-id-marker", "") if marker else ""
    page = call.store.uploads.list(
        call.request.bucket,
        prefix=prefix,
        delimiter=delimiter,
        key_marker=marker,
        upload_id_marker=upload_marker,
        limit=limit,
    )
    owner = [("ID", owner_id(call.context.account_id))]
    nodes: list[Node] = [
        ("Bucket", call.request.bucket),
        ("KeyMarker", text(marker)),
        ("UploadIdMarker", upload_marker),
        ("NextKeyMarker", text(page.next_key or "")),
        ("NextUploadIdMarker", page.next_upload_id or ""),
        ("MaxUploads", str(limit)),
        ("IsTruncated", "true" if page.next_key is not None else "false"),
        ("Prefix", text(prefix)),
    ]
    if delimiter:
        nodes.append(("Delimiter", text(delimiter)))
    if query.get("encoding-type"):
        nodes.append(("EncodingType", "url"))
    for upload in page.uploads:
        item: list[Node] = [
            ("Key", text(upload.key)),
            ("UploadId", upload.upload_id),
            ("Initiator", owner),
            ("Owner", owner),
            ("StorageClass", upload.properties.headers.get("x-amz-storage-class", "STANDARD")),
            ("Initiated", iso_date(upload.created_at)),
            *_checksum_nodes(upload),
        ]
        nodes.append(("Upload", item))
    nodes += [("CommonPrefixes", [("Prefix", text(found))]) for found in page.prefixes]
    return xml_response("ListMultipartUploadsResult", nodes)


def _upload(call: Call) -> UploadInfo:
    request = call.request
    return call.store.uploads.get(request.bucket, request.key, request.query["uploadId"])


def _part_number(request: S3Request) -> int:
    text = request.query["partNumber"]
    if not text.isdecimal() or not 1 <= int(text) <= _MAX_PARTS:
        raise S3Error(
            "InvalidArgument",
            "Part number must be an integer between 1 and 10000, inclusive",
            fields={"ArgumentName": "partNumber", "ArgumentValue": text},
        )
    return int(text)


def _declared_checksum(request: S3Request) -> Mapping[str, str]:
    algorithm = request.headers.get("x-amz-checksum-algorithm", "").upper()
    kind = request.headers.get("x-amz-checksum-type", "").upper()
    if not algorithm:
        if kind:
            raise S3Error(
                "InvalidRequest",
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            )
        return {}
    if algorithm not in checksums.ALGORITHMS:
        raise S3Error("InvalidRequest", "Checksum algorithm provided is unsupported.")
    default = checksums.FULL_OBJECT if algorithm == "CRC64NVME" else checksums.COMPOSITE
    kind = kind or default
    possible = (
        kind == checksums.COMPOSITE if algorithm not in _CRCS else kind in (checksums.FULL_OBJECT, checksums.COMPOSITE)
    )
    if not possible or (algorithm == "CRC64NVME" and kind == checksums.COMPOSITE):
        raise S3Error(
            "InvalidRequest",
            f"The {kind} checksum type cannot be used with the {algorithm.lower()} checksum algorithm.",
        )
    return {"algorithm": algorithm, "type": kind}


def _whole_checksum(upload: UploadInfo, named: Sequence[Element], parts: Sequence[PartInfo]) -> Mapping[str, str]:
    """The object's checksum from its parts'; the client's part checksums are compared with them."""
    algorithm = upload.checksum.get("algorithm", checksums.DEFAULT_ALGORITHM)
    kind = upload.checksum.get("type", checksums.FULL_OBJECT)
    element = checksums.element_name(algorithm)
    by_number = {str(part.number): part for part in parts}
    for item in named:
        given, part = item.get(element), by_number.get(item.get("PartNumber"))
        if not given and kind == checksums.COMPOSITE:
            raise S3Error(
                "InvalidRequest",
                f"The upload was created using a {algorithm.lower()} checksum. The complete request must include the "
                f"checksum for each part. It was missing for part {item.get('PartNumber')} in the request.",
            )
        if given and part is not None and part.checksums.get(algorithm) != given:
            raise S3Error("InvalidPart")
    values = [part.checksums[algorithm] for part in parts]
    if kind == checksums.COMPOSITE:
        return {algorithm: checksums.composite(algorithm, values), "type": kind}
    sizes = [part.size for part in parts]
    return {algorithm: checksums.full_object(algorithm, list(zip(values, sizes, strict=True))), "type": kind}


def _check_whole(request: S3Request, sums: Mapping[str, str], size: int) -> None:
    algorithm = checksums.algorithm_of(sums) or ""
    given = request.headers.get(checksums.header_name(algorithm))
    if given is not None and given.partition("-")[0] != sums[algorithm].partition("-")[0]:
        raise S3Error("BadDigest", f"The {algorithm.lower()} you specified did not match the calculated checksum.")
    declared = request.headers.get("x-amz-mp-object-size")
    if declared is not None and declared != str(size):
        raise S3Error(
            "InvalidRequest",
            f"The provided 'x-amz-mp-object-size' header value {declared} does not match what was computed: {size}",
        )


def _checksum_nodes(upload: UploadInfo) -> list[Node]:
    if not upload.checksum:
        return []
    return [("ChecksumAlgorithm", upload.checksum["algorithm"]), ("ChecksumType", upload.checksum["type"])]


def _part_nodes(part: PartInfo, upload: UploadInfo) -> list[Node]:
    nodes: list[Node] = [
        ("PartNumber", str(part.number)),
        ("LastModified", iso_date(part.created_at)),
        ("ETag", quoted(part.etag)),
        ("Size", str(part.size)),
    ]
    algorithm = upload.checksum.get("algorithm", "")
    if algorithm in part.checksums:
        nodes.append((checksums.element_name(algorithm), part.checksums[algorithm]))
    return nodes
