"""What headers say about an object: stored when it is written, given back when it is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from mlparity.storage.base import ObjectInfo
from mlparity.storage.bucketstore import Condition, Properties
from mlparity.storage.s3 import checksums
from mlparity.storage.s3.errors import S3Error, not_implemented
from mlparity.storage.s3.message import Context, S3Request, quoted, unquoted
from mlparity.wire.timestamps import http_date

_META = "x-amz-meta-"
_OF_OTHERS = "x-goog-"  # what another protocol keeps in an object's headers
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_MAX_META = 2048  # bytes, names and values
_MAX_TAGS = 10
_MAX_TAG_KEY, _MAX_TAG_VALUE = 128, 256  # characters
_STORED = (
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled",
)
_STORAGE_CLASSES = (
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
)
_ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")  # their objects must be restored before they can be read
_ENCRYPTIONS = ("AES256", "aws:kms", "aws:kms:dsse")
_ABSENT_HEADERS = (
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "x-amz-write-offset-bytes",
)
_RESPONSE_OVERRIDES = {
    "response-content-type": "content-type",
    "response-content-language": "content-language",
    "response-expires": "expires",
    "response-cache-control": "cache-control",
    "response-content-disposition": "content-disposition",
    "response-content-encoding": "content-encoding",
}


def check_headers(context: Context, request: S3Request) -> None:
    """Refuse what the headers ask for and this store does not do."""
    headers = request.headers
    for name in _ABSENT_HEADERS:
        if name in headers:
            raise not_implemented(name)
    owner = headers.get("x-amz-expected-bucket-owner", context.account_id)
    if owner != context.account_id:
        raise S3Error("AccessDenied")


def check_write_headers(request: S3Request) -> None:
    """Refuse ACLs, locks and storage classes that S3, or this store, would not take for a new object."""
    headers = request.headers
    if headers.get("x-amz-acl", "private") not in ("private", "bucket-owner-full-control") or any(
        name.startswith("x-amz-grant-") for name in headers
    ):
        raise S3Error("AccessControlListNotSupported")
    if any(name.startswith("x-amz-object-lock-") for name in headers):
        raise S3Error("InvalidRequest", "Bucket is missing Object Lock Configuration")
    storage_class = headers.get("x-amz-storage-class", "STANDARD")
    if storage_class in _ARCHIVES:
        raise not_implemented(f"x-amz-storage-class: {storage_class}")
    if storage_class not in _STORAGE_CLASSES:
        raise S3Error("InvalidStorageClass")
    if headers.get("x-amz-server-side-encryption", "AES256") not in _ENCRYPTIONS:
        raise S3Error("InvalidArgument", "The encryption method specified is not supported")


def properties_of(request: S3Request, checksum: Mapping[str, str]) -> Properties:
    """The properties that a writing request gives to its object."""
    check_write_headers(request)
    stored = {name: request.headers[name] for name in _STORED if request.headers.get(name)}
    encoding = _without_aws_chunked(stored.pop("content-encoding", ""))
    if encoding:
        stored["content-encoding"] = encoding
    return Properties(stored, _user_metadata(request.headers), checksum, header_tags(request))


def condition_of(request: S3Request) -> Condition:
    """The condition of a writing request."""
    if_none_match = request.headers.get("if-none-match", "")
    if if_none_match not in ("", "*"):
        raise not_implemented("If-None-Match with an entity tag, for writing")
    return Condition(unquoted(request.headers.get("if-match", "")), if_none_match)


def header_tags(request: S3Request) -> Mapping[str, str]:
    """The tags of an x-amz-tagging header."""
    given = request.headers.get("x-amz-tagging", "")
    pairs = parse_qsl(given, keep_blank_values=True)
    return check_tags(pairs, _MAX_TAGS)


def check_tags(pairs: list[tuple[str, str]], limit: int) -> Mapping[str, str]:
    """The pairs as a mapping. Raises ``S3Error`` where S3 would refuse them."""
    tags = dict(pairs)
    if len(tags) != len(pairs):
        raise S3Error("InvalidTag", "Cannot provide multiple Tags with the same key")
    if len(tags) > limit:
        raise S3Error("InvalidTag", f"Object tags cannot be greater than {limit}")
    for name, value in pairs:
        if not 0 < len(name) <= _MAX_TAG_KEY:
            raise S3Error("InvalidTag", "The TagKey you have provided is invalid")
        if len(value) > _MAX_TAG_VALUE:
            raise S3Error("InvalidTag", "The TagValue you have provided is invalid")
    return tags


def object_headers(info: ObjectInfo, request: S3Request) -> dict[str, str]:
    """The headers that a GET or HEAD answers with, but for the length."""
    headers = {
        "content-type": "binary/octet-stream",
        **{name: value for name, value in info.headers.items() if not name.startswith(_OF_OTHERS)},
        "etag": quoted(info.etag),
        "last-modified": http_date(info.created_at),
        "accept-ranges": "bytes",
    }
    if headers.get("x-amz-storage-class") == "STANDARD":
        del headers["x-amz-storage-class"]
    headers.update(_metadata_headers(info.user_metadata))
    headers.update(version_header(info, request))
    if info.tags:
        headers["x-amz-tagging-count"] = str(len(info.tags))
    for name, target in _RESPONSE_OVERRIDES.items():
        if name in request.query:
            headers[target] = request.query[name]
    return headers


def version_header(info: ObjectInfo, request: S3Request) -> dict[str, str]:
    """x-amz-version-id, where the object is versioned or the client asked for a version."""
    if info.version_id == "null" and request.version_id is None:
        return {}
    return {"x-amz-version-id": info.version_id}


def checksum_headers(stored: Mapping[str, str]) -> dict[str, str]:
    """x-amz-checksum-* and x-amz-checksum-type of a stored checksum."""
    algorithm = checksums.algorithm_of(stored)
    if algorithm is None:
        return {}
    return {
        checksums.header_name(algorithm): stored[algorithm],
        "x-amz-checksum-type": stored.get("type", checksums.FULL_OBJECT),
    }


def encryption_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The x-amz-server-side-encryption headers that the object was written with."""
    return {name: value for name, value in headers.items() if name.startswith("x-amz-server-side-encryption")}


def _user_metadata(headers: Mapping[str, str]) -> Mapping[str, str]:
    metadata = {name[len(_META) :]: value for name, value in headers.items() if name.startswith(_META)}
    size = sum(len(name) + len(value.encode("utf-8", "surrogateescape")) for name, value in metadata.items())
    if size > _MAX_META:
        raise S3Error("MetadataTooLarge", fields={"Size": str(size), "MaxSizeAllowed": str(_MAX_META)})
    return metadata


def _metadata_headers(metadata: Mapping[str, str]) -> dict[str, str]:
    """As headers, those that can be; of the others (another protocol wrote them) S3 tells only how many they are."""
    fitting = {
        _META + name: value
        for name, value in metadata.items()
        if _HEADER_NAME.fullmatch(name) and not _CONTROL.search(value)
    }
    missing = len(metadata) - len(fitting)
    return fitting | ({"x-amz-missing-meta": str(missing)} if missing else {})


def _without_aws_chunked(encoding: str) -> str:
    """Content-Encoding as the object has it: aws-chunked is only how it travelled."""
    return ",".join(part.strip() for part in encoding.split(",") if part.strip() not in ("", "aws-chunked"))
