"""A bucket as the JSON API shows it, and what a client may say about one.

What S3 has no word for is kept as one setting of the bucket, ``gcs``. Rules are kept and shown; nothing acts on them.

https://cloud.google.com/storage/docs/json_api/v1/buckets#resource
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from mlparity.storage.bucketstore import BucketInfo
from mlparity.storage.gcs.errors import GcsError, invalid, not_implemented
from mlparity.storage.gcs.message import Context
from mlparity.storage.gcs.objects_json import STORAGE_CLASSES
from mlparity.wire.timestamps import iso_date

SETTING = "gcs"
_KEPT = ("labels", "lifecycle", "cors", "website", "logging", "billing", "rpo", "customPlacementConfig")
_ABSENT = ("retentionPolicy", "encryption", "autoclass", "hierarchicalNamespace", "objectRetention", "ipFilter")
_MULTI_REGIONS = ("US", "EU", "ASIA")
_DUAL_REGIONS = ("NAM4", "EUR4", "EUR5", "EUR7", "EUR8", "ASIA1")


def kept(info: BucketInfo) -> dict[str, Any]:
    """What is kept of a bucket for this API."""
    document: dict[str, Any] = json.loads(info.settings.get(SETTING, "{}"))
    return document


def default_class(info: BucketInfo) -> str:
    """The class of new objects."""
    return str(kept(info).get("storageClass", "STANDARD"))


def metageneration(info: BucketInfo) -> int:
    """How often the bucket's metadata were written."""
    return int(kept(info).get("metageneration", 1))


def bucket_resource(context: Context, base: str, info: BucketInfo) -> dict[str, Any]:
    """The resource. ``base`` begins the addresses in it."""
    document, created = kept(info), iso_date(info.created_at)
    location = str(document.get("location", info.region.upper()))
    resource: dict[str, Any] = {
        "kind": "storage#bucket",
        "id": info.name,
        "selfLink": f"{base}/storage/v1/b/{info.name}",
        "name": info.name,
        "projectNumber": context.project_number,
        "metageneration": str(metageneration(info)),
        "location": location,
        "locationType": location_type(location),
        "storageClass": document.get("storageClass", "STANDARD"),
        "etag": base64.b64encode(b"\x08" + metageneration(info).to_bytes(4, "big")).decode(),
        "timeCreated": created,
        "updated": document.get("updated", created),
        "softDeletePolicy": {"retentionDurationSeconds": "0"},
        "iamConfiguration": {
            "bucketPolicyOnly": {"enabled": True},
            "uniformBucketLevelAccess": {"enabled": True},
            "publicAccessPrevention": document.get("publicAccessPrevention", "inherited"),
        },
    }
    if info.versioning:
        resource["versioning"] = {"enabled": info.versioning == "Enabled"}
    if location_type(location) != "region":
        resource["rpo"] = "DEFAULT"
    return resource | {name: document[name] for name in _KEPT if document.get(name)}


def location_type(location: str) -> str:
    """region, dual-region or multi-region."""
    if location.upper() in _MULTI_REGIONS:
        return "multi-region"
    return "dual-region" if location.upper() in _DUAL_REGIONS else "region"


def changed(info: BucketInfo, resource: Mapping[str, Any], now: datetime, *, whole: bool = False) -> BucketInfo:
    """The bucket as ``resource`` makes it. ``whole``: what the resource does not name is unset."""
    _refuse(resource)
    document = {} if whole else kept(info)
    previous = kept(info)
    for name in _KEPT:
        if name in resource:
            document[name] = _merged(name, document.get(name), resource[name])
    if resource.get("storageClass"):
        if resource["storageClass"] not in STORAGE_CLASSES:
            raise invalid(f"Invalid argument. The storage class {resource['storageClass']!r} is not known.")
        document["storageClass"] = resource["storageClass"]
    prevention = (resource.get("iamConfiguration") or {}).get("publicAccessPrevention")
    if prevention is not None:
        document["publicAccessPrevention"] = prevention
    for name in ("location", "iamPolicy"):
        if name in previous:
            document[name] = previous[name]
    document["metageneration"] = metageneration(info) + 1
    document["updated"] = iso_date(now)
    versioning = _versioning(info.versioning, resource, whole=whole)
    return replace(info, versioning=versioning, settings={**info.settings, SETTING: json.dumps(document)})


def _merged(name: str, before: Any, given: Any) -> Any:
    """Labels are merged one by one, null removing one; anything else is replaced."""
    if name != "labels" or not isinstance(given, Mapping):
        return given
    merged = {**(before or {}), **given}
    return {label: value for label, value in merged.items() if value is not None}


def _versioning(before: str, resource: Mapping[str, Any], *, whole: bool) -> str:
    given = resource.get("versioning")
    if given is None:
        return "Suspended" if before and (whole or "versioning" in resource) else before
    enabled = bool(given.get("enabled")) if isinstance(given, Mapping) else False
    return "Enabled" if enabled else "Suspended" if before else ""


def _refuse(resource: Mapping[str, Any]) -> None:
    for name in _ABSENT:
        value = resource.get(name)
        if value and not (isinstance(value, Mapping) and value.get("enabled") is False):
            raise not_implemented(f"the field {name} of buckets")
    if resource.get("defaultEventBasedHold"):
        raise not_implemented("the field defaultEventBasedHold of buckets")
    soft = resource.get("softDeletePolicy") or {}
    if str(soft.get("retentionDurationSeconds", "0")) not in ("0", "None"):
        raise not_implemented("soft delete (softDeletePolicy with a retentionDurationSeconds)")
    access = (resource.get("iamConfiguration") or {}).get("uniformBucketLevelAccess") or {}
    if access.get("enabled") is False:
        raise GcsError(
            412, "conditionNotMet", "Request violates constraint 'constraints/storage.uniformBucketLevelAccess'"
        )
    for label in ("labels", "lifecycle", "iamConfiguration", "versioning"):
        if not isinstance(resource.get(label) or {}, Mapping):
            raise invalid(f"Invalid value for {label}: it is not an object")
