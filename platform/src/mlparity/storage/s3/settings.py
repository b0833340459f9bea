"""Sub-resources of a bucket that are stored and read back, or that say truthfully that they are not set.

Stored documents are given back as they came. Nothing acts on them here: no rule expires objects, no
notification is sent, no policy is evaluated. What would claim more than that answers NotImplemented.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from mlparity.storage.s3.documents import read_document
from mlparity.storage.s3.errors import S3Error, not_implemented
from mlparity.storage.s3.message import Call, S3Response, xml_response
from mlparity.storage.s3.owner import owner_id
from mlparity.storage.s3.properties import check_tags
from mlparity.storage.s3.read_objects import find
from mlparity.wire.xml_write import Node, Value

_BUCKET_TAGS = 50
_DELETED = ""  # stored in place of a document whose default S3 does not bring back
_XSI = "http://www.w3.org/2001/XMLSchema-instance"


@dataclass(frozen=True)
class Setting:
    """One sub-resource: its query key, its document's root, and what S3 answers where none is set."""

    key: str
    root: str
    missing: str = ""  # error code; "" means ``default`` is the answer
    default: Value = ()
    put_status: int = 200
    remembers_delete: bool = False  # after a delete the answer is ``missing``, not ``default``

    def get(self, call: Call) -> S3Response:
        """The stored document, the default, or the error."""
        stored = call.store.buckets.get(call.request.bucket).settings.get(self.key)
        if stored:
            return S3Response(200, {"content-type": "application/xml"}, stored.encode())
        if stored == _DELETED or (not self.default and self.missing):
            raise S3Error(self.missing, fields={"BucketName": call.request.bucket})
        return xml_response(self.root, self.default)

    def put(self, call: Call) -> S3Response:
        """Store the document."""
        read_document(call, self.root)
        call.store.buckets.put_setting(call.request.bucket, self.key, call.document.decode("utf-8", "replace"))
        return S3Response(self.put_status)

    def delete(self, call: Call) -> S3Response:
        """Forget the document."""
        document = _DELETED if self.remembers_delete else None
        call.store.buckets.put_setting(call.request.bucket, self.key, document)
        return S3Response(204)


_TRUE_BLOCKS: Value = [
    (name, "true") for name in ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
]
_SSE_S3_ALGORITHM: list[Node] = [("SSEAlgorithm", "AES256")]
_SSE_S3: list[Node] = [("ApplyServerSideEncryptionByDefault", _SSE_S3_ALGORITHM), ("BucketKeyEnabled", "false")]

CORS = Setting("cors", "CORSConfiguration", missing="NoSuchCORSConfiguration")
LIFECYCLE = Setting("lifecycle", "LifecycleConfiguration", missing="NoSuchLifecycleConfiguration")
ENCRYPTION = Setting("encryption", "ServerSideEncryptionConfiguration", default=[("Rule", _SSE_S3)])
NOTIFICATION = Setting("notification", "NotificationConfiguration")
PUBLIC_ACCESS_BLOCK = Setting(
    "publicAccessBlock",
    "PublicAccessBlockConfiguration",
    missing="NoSuchPublicAccessBlockConfiguration",
    default=_TRUE_BLOCKS,
    remembers_delete=True,
)
OWNERSHIP_CONTROLS = Setting(
    "ownershipControls",
    "OwnershipControls",
    missing="OwnershipControlsNotFoundError",
    default=[("Rule", [("ObjectOwnership", "BucketOwnerEnforced")])],
    remembers_delete=True,
)
TAGGING = Setting("tagging", "Tagging", missing="NoSuchTagSet", put_status=204)
# Only read: setting them would promise what nothing here does.
WEBSITE = Setting("website", "WebsiteConfiguration", missing="NoSuchWebsiteConfiguration")
REPLICATION = Setting("replication", "ReplicationConfiguration", missing="ReplicationConfigurationNotFoundError")
OBJECT_LOCK = Setting("object-lock", "ObjectLockConfiguration", missing="ObjectLockConfigurationNotFoundError")
LOGGING = Setting("logging", "BucketLoggingStatus")
ACCELERATE = Setting("accelerate", "AccelerateConfiguration")
REQUEST_PAYMENT = Setting("requestPayment", "RequestPaymentConfiguration", default=[("Payer", "BucketOwner")])


def put_tagging(call: Call) -> S3Response:
    """Store the bucket's tags."""
    tag_set = read_document(call, "Tagging").find("TagSet")
    if tag_set is None:
        raise S3Error("MalformedXML")
    check_tags([(tag.get("Key"), tag.get("Value")) for tag in tag_set.all("Tag")], _BUCKET_TAGS)
    return TAGGING.put(call)


def put_ownership_controls(call: Call) -> S3Response:
    """Store them; only ownership without ACLs is there."""
    rule = read_document(call, "OwnershipControls").find("Rule")
    ownership = rule.get("ObjectOwnership") if rule is not None else ""
    if ownership in ("ObjectWriter", "BucketOwnerPreferred"):
        raise not_implemented(f"ObjectOwnership {ownership}")
    if ownership != "BucketOwnerEnforced":
        raise S3Error("MalformedXML")
    return OWNERSHIP_CONTROLS.put(call)


def get_policy(call: Call) -> S3Response:
    """The policy as it was stored."""
    policy = call.store.buckets.get(call.request.bucket).settings.get("policy")
    if policy is None:
        raise S3Error("NoSuchBucketPolicy", fields={"BucketName": call.request.bucket})
    return S3Response(200, {"content-type": "application/json"}, policy.encode())


def put_policy(call: Call) -> S3Response:
    """Store a JSON policy."""
    try:
        policy = json.loads(call.document)
    except ValueError:
        raise S3Error("MalformedPolicy") from None
    if not isinstance(policy, dict) or "Statement" not in policy:
        raise S3Error("MalformedPolicy", "Missing required field Statement")
    call.store.buckets.put_setting(call.request.bucket, "policy", call.document.decode())
    return S3Response(204)


def delete_policy(call: Call) -> S3Response:
    """Forget the policy."""
    call.store.buckets.put_setting(call.request.bucket, "policy", None)
    return S3Response(204)


def get_bucket_acl(call: Call) -> S3Response:
    """The only list there is: the owner may do everything."""
    call.store.buckets.get(call.request.bucket)
    return _owner_acl(call)


def get_object_acl(call: Call) -> S3Response:
    """The only list there is: the owner may do everything."""
    find(call)
    return _owner_acl(call)


def refuse_acl(call: Call) -> S3Response:
    """What S3 answers for buckets whose owner is enforced, as all are here."""
    call.store.buckets.get(call.request.bucket)
    raise S3Error("AccessControlListNotSupported")


def _owner_acl(call: Call) -> S3Response:
    owner = owner_id(call.context.account_id)
    grantee: Node = ("Grantee", [("ID", owner)], {"xmlns:xsi": _XSI, "xsi:type": "CanonicalUser"})
    nodes: list[Node] = [
        ("Owner", [("ID", owner)]),
        ("AccessControlList", [("Grant", [grantee, ("Permission", "FULL_CONTROL")])]),
    ]
    return xml_response("AccessControlPolicy", nodes)
