"""Buckets: making, finding, changing, deleting.

https://cloud.google.com/storage/docs/json_api/v1/buckets
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import replace
from typing import Any

from mlparity.storage.bucketstore import BucketInfo, Condition
from mlparity.storage.gcs.buckets_json import SETTING, bucket_resource, changed, kept, metageneration
from mlparity.storage.gcs.buckets_json import location_type as type_of
from mlparity.storage.gcs.conditions import condition_of
from mlparity.storage.gcs.errors import GcsError, condition_not_met, invalid
from mlparity.storage.gcs.message import Call, GcsResponse
from mlparity.storage.gcs.objects_json import uniform_access

_PAGE = 1000
_PRIVATE = ("", "private", "projectPrivate", "bucketOwnerFullControl", "bucketOwnerRead")


def insert(call: Call) -> GcsResponse:
    """Make a bucket."""
    query = call.request.query
    resource = call.resource()
    name = resource.get("name")
    if not query.get("project"):
        raise GcsError(400, "required", "Required parameter: project", location=("parameter", "project"))
    if not isinstance(name, str) or not name:
        raise GcsError(400, "required", "Required")
    if name.startswith("goog") or "google" in name:
        raise GcsError(400, "invalid", f"Invalid bucket name: '{name}'", code="InvalidBucketName")
    for parameter in ("predefinedAcl", "predefinedDefaultObjectAcl"):
        if query.get(parameter, "") not in _PRIVATE:
            raise uniform_access("insert legacy ACL for a bucket")
    now = call.context.clock.now()
    draft = changed(BucketInfo(name, now, call.store.region, ""), resource, now)
    location = str(resource.get("location") or call.context.location).upper()
    document = {**kept(draft), "location": location, "metageneration": 1}
    document.pop("updated")
    settings = {SETTING: json.dumps(document)}
    made = call.store.buckets.create(name, versioning=draft.versioning, settings=settings)
    return _answer(call, made)


def get(call: Call) -> GcsResponse:
    """One bucket."""
    info = call.store.buckets.get(call.request.bucket)
    wanted, unwanted = call.number("ifMetagenerationMatch"), call.number("ifMetagenerationNotMatch")
    if wanted not in (None, metageneration(info)):
        raise condition_not_met()
    if unwanted == metageneration(info):
        raise GcsError(304, "notModified", "Not Modified")
    return _answer(call, info)


def list_buckets(call: Call) -> GcsResponse:
    """One page of the project's buckets: all there are."""
    query = call.request.query
    if not query.get("project"):
        raise GcsError(400, "required", "Required parameter: project", location=("parameter", "project"))
    limit = page_size(call)
    after = read_token(query["pageToken"]) if query.get("pageToken") else ""
    found = [
        info
        for info in call.store.buckets.list()
        if info.name > after and info.name.startswith(query.get("prefix", ""))
    ]
    page = found[:limit]
    resource: dict[str, Any] = {"kind": "storage#buckets"}
    if page:
        resource["items"] = [bucket_resource(call.context, call.request.base, info) for info in page]
    if len(found) > len(page) and page:
        resource["nextPageToken"] = write_token(page[-1].name)
    return GcsResponse(resource=resource)


def patch(call: Call) -> GcsResponse:
    """Change the fields that the request names."""
    return _revise(call, whole=False)


def update(call: Call) -> GcsResponse:
    """Change the fields that the request names, and unset the others."""
    return _revise(call, whole=True)


def delete(call: Call) -> GcsResponse:
    """Delete an empty bucket."""
    condition = condition_of(call)
    call.store.buckets.delete(call.request.bucket, despite_markers=True, check=lambda info: _check(condition, info))
    return GcsResponse(204)


def storage_layout(call: Call) -> GcsResponse:
    """Where and how the bucket is laid out: flat, always."""
    resource = bucket_resource(call.context, call.request.base, call.store.buckets.get(call.request.bucket))
    location = resource["location"]
    return GcsResponse(
        resource={
            "kind": "storage#storageLayout",
            "bucket": call.request.bucket,
            "location": location,
            "locationType": type_of(location),
            "hierarchicalNamespace": {"enabled": False},
        }
    )


def service_account(call: Call) -> GcsResponse:
    """The account by which Cloud Storage would act for the project."""
    address = f"service-{call.context.project_number}@gs-project-accounts.iam.gserviceaccount.com"
    return GcsResponse(resource={"kind": "storage#serviceAccount", "email_address": address})


def page_size(call: Call) -> int:
    """maxResults: 1 to 1000."""
    limit = call.number("maxResults")
    if limit is None:
        return _PAGE
    if limit <= 0:
        raise invalid(f"Invalid value for maxResults: {limit}", "parameter", "maxResults")
    return min(limit, _PAGE)


def write_token(text: str) -> str:
    """A page token: where the page ended."""
    return base64.urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).decode()


def read_token(token: str) -> str:
    """Where the page before ended. Raises ``invalid``."""
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode("utf-8", "surrogatepass")
    except (binascii.Error, UnicodeError, ValueError):
        raise invalid("Invalid pageToken", "parameter", "pageToken") from None


def _revise(call: Call, *, whole: bool) -> GcsResponse:
    condition, resource, now = condition_of(call), call.resource(), call.context.clock.now()
    predefined = call.request.query.get("predefinedAcl", "")
    if predefined not in _PRIVATE:
        raise uniform_access("update legacy ACL for a bucket")

    def revise(info: BucketInfo) -> BucketInfo:
        _check(condition, info)
        return changed(info, resource, now, whole=whole)

    return _answer(call, call.store.buckets.revise(call.request.bucket, revise))


def _check(condition: Condition, info: BucketInfo) -> None:
    current = metageneration(info)
    if condition.metageneration not in (None, current) or condition.metageneration_not == current:
        raise condition_not_met()


def _answer(call: Call, info: BucketInfo) -> GcsResponse:
    resource = bucket_resource(call.context, call.request.base, info)
    return GcsResponse(headers={"etag": resource["etag"]}, resource=resource)


def revised_policy(info: BucketInfo, policy: str) -> BucketInfo:
    """The bucket with a policy kept."""
    document = {**kept(info), "iamPolicy": policy}
    return replace(info, settings={**info.settings, SETTING: json.dumps(document)})
