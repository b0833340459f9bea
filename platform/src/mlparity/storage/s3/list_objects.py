"""ListObjects, ListObjectsV2 and ListObjectVersions."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

from mlparity.storage.base import ObjectInfo
from mlparity.storage.s3 import checksums
from mlparity.storage.s3.errors import S3Error
from mlparity.storage.s3.message import Call, S3Response, quoted, xml_response
from mlparity.storage.s3.owner import owner_id
from mlparity.wire.timestamps import iso_date
from mlparity.wire.xml_write import Node

_PAGE = 1000
_PAGE_MARK = "1"  # the token's format, so that another can follow


def list_objects_v2(call: Call) -> S3Response:
    """One page of keys; the continuation token is the last entry of the page before."""
    query = call.request.query
    text, limit = encoder(query), page_size(query, "max-keys")
    prefix, delimiter, start = query.get("prefix", ""), query.get("delimiter", ""), query.get("start-after", "")
    token = query.get("continuation-token")
    after = start if token is None else _read_token(token)
    page = call.store.list(call.request.bucket, prefix, delimiter=delimiter, start_after=after, limit=limit)
    nodes: list[Node] = [
        ("Name", call.request.bucket),
        ("Prefix", text(prefix)),
        ("MaxKeys", str(limit)),
        ("KeyCount", str(len(page.objects) + len(page.prefixes))),
        ("IsTruncated", "true" if page.next_key is not None else "false"),
    ]
    if token is not None:
        nodes.append(("ContinuationToken", token))
    if page.next_key is not None:
        nodes.append(("NextContinuationToken", _write_token(page.next_key)))
    if start:
        nodes.append(("StartAfter", text(start)))
    owner = owner_id(call.context.account_id) if query.get("fetch-owner", "").lower() == "true" else ""
    return _listed("ListBucketResult", nodes, query, page.objects, page.prefixes, owner)


def list_objects(call: Call) -> S3Response:
    """The first version of the listing, with markers."""
    query = call.request.query
    text, limit = encoder(query), page_size(query, "max-keys")
    prefix, delimiter, marker = query.get("prefix", ""), query.get("delimiter", ""), query.get("marker", "")
    page = call.store.list(call.request.bucket, prefix, delimiter=delimiter, start_after=marker, limit=limit)
    nodes: list[Node] = [
        ("Name", call.request.bucket),
        ("Prefix", text(prefix)),
        ("Marker", text(marker)),
        ("MaxKeys", str(limit)),
        ("IsTruncated", "true" if page.next_key is not None else "false"),
    ]
    if delimiter and page.next_key is not None:
        nodes.append(("NextMarker", text(page.next_key)))
    owner = owner_id(call.context.account_id)
    return _listed("ListBucketResult", nodes, query, page.objects, page.prefixes, owner)


def list_versions(call: Call) -> S3Response:
    """One page of versions and delete markers."""
    query = call.request.query
    text, limit = encoder(query), page_size(query, "max-keys")
    prefix, delimiter, marker = query.get("prefix", ""), query.get("delimiter", ""), query.get("key-marker", "")
    version_marker = query.get("version-id-marker", "")
    if version_marker and not marker:
        raise S3Error("InvalidArgument", "A version-id marker cannot be specified without a key marker.")
    page = call.store.list_versions(
        call.request.bucket,
        prefix=prefix,
        delimiter=delimiter,
        key_marker=marker,
        version_id_marker=version_marker,
        limit=limit,
    )
    nodes: list[Node] = [
        ("Name", call.request.bucket),
        ("Prefix", text(prefix)),
        ("KeyMarker", text(marker)),
        ("VersionIdMarker", version_marker),
        ("MaxKeys", str(limit)),
        ("IsTruncated", "true" if page.next_key is not None else "false"),
    ]
    if page.next_key is not None:
        nodes += [("NextKeyMarker", text(page.next_key)), ("NextVersionIdMarker", page.next_version_id or "")]
    owner = owner_id(call.context.account_id)
    return _listed("ListVersionsResult", nodes, query, page.versions, page.prefixes, owner)


def encoder(query: Mapping[str, str]) -> Callable[[str], str]:
    """How keys are written: as they are, or percent-encoded for ``encoding-type=url``."""
    kind = query.get("encoding-type", "")
    if kind not in ("", "url"):
        raise S3Error("InvalidArgument", "Invalid Encoding Method specified in Request")
    return _url if kind else str


def page_size(query: Mapping[str, str], name: str) -> int:
    """max-keys and its like: 0 to 1000."""
    text = query.get(name) or str(_PAGE)
    if not text.isdecimal() or int(text) >= 2**31:
        raise S3Error("InvalidArgument", f"Provided {name} not an integer or within integer range")
    return min(int(text), _PAGE)


def _url(text: str) -> str:
    return quote(text, safe="/")


def _listed(
    root: str,
    nodes: list[Node],
    query: Mapping[str, str],
    objects: Sequence[ObjectInfo],
    prefixes: Sequence[str],
    owner: str,
) -> S3Response:
    text = encoder(query)
    if query.get("delimiter"):
        nodes.append(("Delimiter", text(query["delimiter"])))
    if query.get("encoding-type"):
        nodes.append(("EncodingType", "url"))
    versions = root == "ListVersionsResult"
    for info in objects:
        name = "Contents" if not versions else "DeleteMarker" if info.is_delete_marker else "Version"
        nodes.append((name, _entry(info, text(info.key), owner, versions=versions)))
    nodes += [("CommonPrefixes", [("Prefix", text(prefix))]) for prefix in prefixes]
    return xml_response(root, nodes)


def _entry(info: ObjectInfo, key: str, owner: str, *, versions: bool) -> list[Node]:
    nodes: list[Node] = [("Key", key)]
    if versions:
        nodes += [("VersionId", info.version_id), ("IsLatest", "true" if info.is_latest else "false")]
    nodes.append(("LastModified", iso_date(info.created_at)))
    if not info.is_delete_marker:
        nodes.append(("ETag", quoted(info.etag)))
        algorithm = checksums.algorithm_of(info.checksums)
        if algorithm:
            nodes += [("ChecksumAlgorithm", algorithm), ("ChecksumType", info.checksums.get("type", ""))]
        nodes.append(("Size", str(info.size)))
        nodes.append(("StorageClass", info.headers.get("x-amz-storage-class", "STANDARD")))
    if owner:
        nodes.append(("Owner", [("ID", owner)]))
    return nodes


def _write_token(key: str) -> str:
    return base64.urlsafe_b64encode((_PAGE_MARK + key).encode()).decode()


def _read_token(token: str) -> str:
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, UnicodeError, ValueError):
        text = ""
    if not text.startswith(_PAGE_MARK):
        raise S3Error("InvalidArgument", "The continuation token provided is incorrect")
    return text[len(_PAGE_MARK) :]
