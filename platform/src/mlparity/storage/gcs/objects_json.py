"""An object as the JSON API shows it, and what a client may say about one.

https://cloud.google.com/storage/docs/json_api/v1/objects#resource
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from mlparity.storage import crc32c
from mlparity.storage.base import ObjectInfo
from mlparity.storage.bucketstore import Properties, Staged
from mlparity.storage.gcs.conditions import etag_of
from mlparity.storage.gcs.errors import GcsError, invalid, not_implemented
from mlparity.storage.gcs.message import Call, encoded
from mlparity.wire.timestamps import iso_date

STORAGE_CLASS = "x-goog-storage-class"
COMPONENTS = "x-goog-component-count"
CUSTOM_TIME = "x-goog-custom-time"
STORAGE_CLASSES = ("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE")
# Field of the resource -> the header that keeps it, which S3 shows too.
HEADERS = {
    "contentType": "content-type",
    "contentEncoding": "content-encoding",
    "contentDisposition": "content-disposition",
    "contentLanguage": "content-language",
    "cacheControl": "cache-control",
    "storageClass": STORAGE_CLASS,
    "customTime": CUSTOM_TIME,
}
_FIELDS = {header: name for name, header in HEADERS.items() if name != "storageClass"}
_ABSENT_FIELDS = ("temporaryHold", "eventBasedHold", "retention", "kmsKeyName", "contexts")
_FIRST_PRINTABLE = 0x20
_PRIVATE_ACLS = ("", "private", "projectPrivate", "bucketOwnerFullControl", "bucketOwnerRead")
_ABSENT_HEADERS = (
    "x-goog-encryption-algorithm",
    "x-goog-encryption-key",
    "x-goog-copy-source-encryption-algorithm",
    "x-goog-encryption-kms-key-name",
)
_ABSENT_PARAMETERS = ("kmsKeyName", "destinationKmsKeyName")


def object_resource(base: str, info: ObjectInfo) -> dict[str, Any]:
    """The resource. ``base`` begins the addresses in it."""
    path = f"b/{info.bucket}/o/{quote(info.key, safe='')}"
    created, generation = iso_date(info.created_at), str(info.sequence)
    resource: dict[str, Any] = {
        "kind": "storage#object",
        "id": f"{info.bucket}/{info.key}/{generation}",
        "selfLink": f"{base}/storage/v1/{path}",
        "mediaLink": f"{base}/download/storage/v1/{path}?generation={generation}&alt=media",
        "name": info.key,
        "bucket": info.bucket,
        "generation": generation,
        "metageneration": str(info.metageneration),
        "storageClass": storage_class(info.headers),
        "size": str(info.size),
        "etag": etag_of(info.sequence, info.metageneration),
        "timeCreated": created,
        "updated": iso_date(info.updated_at or info.created_at),
        "timeStorageClassUpdated": created,
        "timeFinalized": created,
    }
    for header, value in info.headers.items():
        if header in _FIELDS:
            resource[_FIELDS[header]] = value
    md5 = md5_of(info)
    if md5:
        resource["md5Hash"] = md5
    if info.crc32c is not None:
        resource["crc32c"] = crc32c.encode(info.crc32c)
    if component_count(info):
        resource["componentCount"] = component_count(info)
    if info.user_metadata:
        resource["metadata"] = dict(info.user_metadata)
    if info.superseded_at is not None:
        resource["timeDeleted"] = iso_date(info.superseded_at)
    return resource


def md5_of(info: ObjectInfo) -> str:
    """The MD5 in base64; "" for an object of several parts, which has none."""
    return "" if "-" in info.etag else base64.b64encode(bytes.fromhex(info.etag)).decode()


def component_count(info: ObjectInfo) -> int:
    """Of how many objects it was composed; 0 for any other.

    A copy that S3 made is one object, whatever headers it keeps.
    """
    return int(info.headers.get(COMPONENTS, "0")) if "-" in info.etag else 0


def storage_class(headers: Mapping[str, str]) -> str:
    """The class; what S3 calls otherwise is STANDARD here."""
    return headers.get(STORAGE_CLASS, "STANDARD")


def check_absent(call: Call) -> None:
    """Refuse what the request asks for and this store does not do."""
    for name in _ABSENT_HEADERS:
        if name in call.request.headers:
            raise not_implemented(f"encryption with a customer's key ({name})")
    for name in _ABSENT_PARAMETERS:
        if call.request.query.get(name):
            raise not_implemented(f"encryption with a key of Cloud KMS ({name})")
    if call.flag("softDeleted"):
        raise soft_delete()
    for name in ("predefinedAcl", "destinationPredefinedAcl"):
        if call.request.query.get(name, "") not in _PRIVATE_ACLS:
            raise uniform_access("insert legacy ACL for an object")


def soft_delete() -> GcsError:
    """What is answered about soft-deleted objects: no bucket keeps them."""
    return invalid("Soft delete policy is required: soft delete is not there in the local Cloud Storage.")


def uniform_access(what: str) -> GcsError:
    """What GCS answers about ACLs of buckets with uniform access, as all are here."""
    return invalid(
        f"Cannot {what} when uniform bucket-level access is enabled. Read more at "
        "https://cloud.google.com/storage/docs/uniform-bucket-level-access"
    )


def new_properties(resource: Mapping[str, Any], default_class: str, staged: Staged) -> Properties:
    """The properties that a resource gives to a new object. Raises ``invalid``."""
    headers = change_headers({}, resource)
    headers.setdefault(STORAGE_CLASS, default_class)
    if headers[STORAGE_CLASS] == "STANDARD":
        del headers[STORAGE_CLASS]
    sums = {} if staged.crc32c is None else {"CRC32C": crc32c.encode(staged.crc32c), "type": "FULL_OBJECT"}
    return Properties(headers, change_metadata({}, resource), sums)


def change_headers(headers: Mapping[str, str], resource: Mapping[str, Any]) -> dict[str, str]:
    """``headers`` with the fields of ``resource`` set, and those that are null removed."""
    for name in _ABSENT_FIELDS:
        if resource.get(name):
            raise not_implemented(f"the field {name} of objects")
    changed = dict(headers)
    for name, header in HEADERS.items():
        if name not in resource:
            continue
        value = resource[name]
        if value is None or value == "":
            changed.pop(header, None)
        elif not isinstance(value, str) or any(byte < _FIRST_PRINTABLE for byte in encoded(value)):
            raise invalid(f"Invalid value for {name}: {value!r}")
        elif name == "storageClass" and value not in STORAGE_CLASSES:
            raise invalid(f"Invalid argument. The storage class {value!r} is not known.")
        else:
            changed[header] = value
    return changed


def change_metadata(metadata: Mapping[str, str], resource: Mapping[str, Any]) -> dict[str, str]:
    """``metadata`` with the entries of the resource's set, and those that are null removed; all, where it is null."""
    if "metadata" not in resource:
        return dict(metadata)
    given = resource["metadata"]
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise invalid("Invalid value for metadata: it is not an object")
    changed = dict(metadata)
    for name, value in given.items():
        if value is None:
            changed.pop(name, None)
        elif isinstance(value, str):
            encoded(name + value)
            changed[name] = value
        else:
            raise invalid(f"Invalid value for metadata.{name}: it is not a string")
    return changed
