"""The IAM policy of a bucket: kept and shown. Nobody is refused by it, which testPermissions says truthfully.

https://cloud.google.com/storage/docs/json_api/v1/buckets/getIamPolicy
"""

from __future__ import annotations

import base64
import json
from typing import Any

from mlparity.storage.bucketstore import BucketInfo
from mlparity.storage.gcs.buckets import revised_policy
from mlparity.storage.gcs.buckets_json import kept
from mlparity.storage.gcs.errors import condition_not_met, invalid
from mlparity.storage.gcs.message import Call, GcsResponse

_FIRST_TAG = 1


def get_policy(call: Call) -> GcsResponse:
    """The policy: what was set, else that of a new bucket."""
    return GcsResponse(resource=_policy(call, call.store.buckets.get(call.request.bucket)))


def set_policy(call: Call) -> GcsResponse:
    """Keep a policy. With an etag that is not the current one it is refused."""
    given = call.resource()
    bindings = given.get("bindings", [])
    if not isinstance(bindings, list) or not all(isinstance(each, dict) and each.get("role") for each in bindings):
        raise invalid("Invalid value for bindings")

    def revise(info: BucketInfo) -> BucketInfo:
        current = _policy(call, info)
        if given.get("etag") not in (None, "", current["etag"]):
            raise condition_not_met()
        number = _number(current["etag"]) + 1
        kept_policy = {"version": given.get("version", 1), "bindings": bindings, "number": number}
        return revised_policy(info, json.dumps(kept_policy))

    return GcsResponse(resource=_policy(call, call.store.buckets.revise(call.request.bucket, revise)))


def test_permissions(call: Call) -> GcsResponse:
    """All that were asked about: no caller is refused anything here."""
    call.store.buckets.get(call.request.bucket)
    asked = [item.partition("=")[2] for item in call.request.raw_query.split("&") if item.startswith("permissions=")]
    if not asked:
        raise invalid("Required parameter: permissions", "parameter", "permissions")
    return GcsResponse(resource={"kind": "storage#testIamPermissionsResponse", "permissions": asked})


def _policy(call: Call, info: BucketInfo) -> dict[str, Any]:
    policy: dict[str, Any] = {"kind": "storage#policy", "resourceId": f"projects/_/buckets/{info.name}"}
    stored = kept(info).get("iamPolicy")
    if stored:
        document = json.loads(stored)
        return policy | {
            "version": document["version"],
            "etag": _etag(document["number"]),
            "bindings": document["bindings"],
        }
    project = call.context.project
    owners = [f"projectEditor:{project}", f"projectOwner:{project}"]
    bindings = [
        {"role": "roles/storage.legacyBucketOwner", "members": owners},
        {"role": "roles/storage.legacyBucketReader", "members": [f"projectViewer:{project}"]},
        {"role": "roles/storage.legacyObjectOwner", "members": owners},
        {"role": "roles/storage.legacyObjectReader", "members": [f"projectViewer:{project}"]},
    ]
    return policy | {"version": 1, "etag": _etag(_FIRST_TAG), "bindings": bindings}


def _etag(number: int) -> str:
    return base64.b64encode(b"\x08" + number.to_bytes(3, "big")).decode()


def _number(etag: str) -> int:
    return int.from_bytes(base64.b64decode(etag)[1:], "big")
