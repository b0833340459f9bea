"""The operations of S3, as data. What the vendor has and this store has not is in ``absent.py``.

Names are those of the vendor's service model. The router, ``mlparity parity`` and the tests read these tables.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mlparity.storage.bucketstore import UploadInfo
from mlparity.storage.s3 import (
    buckets,
    list_objects,
    multipart,
    read_objects,
    settings,
    tagging,
    write_objects,
)
from mlparity.storage.s3.absent import ABSENT
from mlparity.storage.s3.errors import S3Error, not_implemented
from mlparity.storage.s3.message import Call, S3Request, S3Response

Handler = Callable[[Call], S3Response]

_STORED = "stored and read back; nothing acts on it"
_UNSET = "says truthfully that it is not set; setting it answers NotImplemented"


@dataclass(frozen=True)
class Operation:
    """One operation: which requests it takes, and what answers them."""

    name: str  # the vendor's
    method: str
    level: str  # "service", "bucket" or "object"
    handler: Handler
    query: tuple[str, ...] = ()  # parameters that must be there
    header: str = ""  # header that must be there
    takes_object: bool = False  # the body is an object, not a small document
    prepare: Callable[[Call], UploadInfo] | None = None  # runs before an object body is read
    note: str = ""  # in what it is weaker than the vendor's


def _setting(stem: str, setting: settings.Setting, *kinds: str, put: Handler | None = None) -> tuple[Operation, ...]:
    handlers = {"Get": setting.get, "Put": put or setting.put, "Delete": setting.delete}
    note = _STORED if "Put" in kinds else _UNSET
    return tuple(
        Operation(f"{kind}{stem}", kind.upper(), "bucket", handlers[kind], (setting.key,), note=note) for kind in kinds
    )


OPERATIONS: tuple[Operation, ...] = (
    Operation("ListBuckets", "GET", "service", buckets.list_buckets),
    Operation("CreateBucket", "PUT", "bucket", buckets.create_bucket),
    Operation("HeadBucket", "HEAD", "bucket", buckets.head_bucket),
    Operation("DeleteBucket", "DELETE", "bucket", buckets.delete_bucket),
    Operation("GetBucketLocation", "GET", "bucket", buckets.get_location, ("location",)),
    Operation("GetBucketVersioning", "GET", "bucket", buckets.get_versioning, ("versioning",)),
    Operation("PutBucketVersioning", "PUT", "bucket", buckets.put_versioning, ("versioning",)),
    Operation("ListObjects", "GET", "bucket", list_objects.list_objects),
    Operation("ListObjectsV2", "GET", "bucket", list_objects.list_objects_v2, ("list-type",)),
    Operation("ListObjectVersions", "GET", "bucket", list_objects.list_versions, ("versions",)),
    Operation("ListMultipartUploads", "GET", "bucket", multipart.list_uploads, ("uploads",)),
    Operation("DeleteObjects", "POST", "bucket", write_objects.delete_objects, ("delete",)),
    Operation("PutObject", "PUT", "object", write_objects.put_object, takes_object=True),
    Operation("CopyObject", "PUT", "object", write_objects.copy_object, header="x-amz-copy-source"),
    Operation("GetObject", "GET", "object", read_objects.get_object),
    Operation("HeadObject", "HEAD", "object", read_objects.head_object),
    Operation("DeleteObject", "DELETE", "object", write_objects.delete_object),
    Operation("GetObjectAttributes", "GET", "object", read_objects.get_object_attributes, ("attributes",)),
    Operation("CreateMultipartUpload", "POST", "object", multipart.create_upload, ("uploads",)),
    Operation(
        "UploadPart",
        "PUT",
        "object",
        multipart.upload_part,
        ("partNumber", "uploadId"),
        takes_object=True,
        prepare=multipart.part_target,
    ),
    Operation(
        "UploadPartCopy",
        "PUT",
        "object",
        multipart.upload_part_copy,
        ("partNumber", "uploadId"),
        "x-amz-copy-source",
    ),
    Operation("CompleteMultipartUpload", "POST", "object", multipart.complete_upload, ("uploadId",)),
    Operation("AbortMultipartUpload", "DELETE", "object", multipart.abort_upload, ("uploadId",)),
    Operation("ListParts", "GET", "object", multipart.list_parts, ("uploadId",)),
    Operation("GetObjectTagging", "GET", "object", tagging.get_object_tagging, ("tagging",)),
    Operation("PutObjectTagging", "PUT", "object", tagging.put_object_tagging, ("tagging",)),
    Operation("DeleteObjectTagging", "DELETE", "object", tagging.delete_object_tagging, ("tagging",)),
    Operation("GetBucketAcl", "GET", "bucket", settings.get_bucket_acl, ("acl",)),
    Operation(
        "PutBucketAcl", "PUT", "bucket", settings.refuse_acl, ("acl",), note="ACLs are disabled, as S3's default"
    ),
    Operation("GetObjectAcl", "GET", "object", settings.get_object_acl, ("acl",)),
    Operation(
        "PutObjectAcl", "PUT", "object", settings.refuse_acl, ("acl",), note="ACLs are disabled, as S3's default"
    ),
    Operation("GetBucketPolicy", "GET", "bucket", settings.get_policy, ("policy",), note=_STORED),
    Operation("PutBucketPolicy", "PUT", "bucket", settings.put_policy, ("policy",), note=_STORED),
    Operation("DeleteBucketPolicy", "DELETE", "bucket", settings.delete_policy, ("policy",), note=_STORED),
    *_setting("BucketTagging", settings.TAGGING, "Get", "Put", "Delete", put=settings.put_tagging),
    *_setting("BucketCors", settings.CORS, "Get", "Put", "Delete"),
    *_setting("BucketLifecycleConfiguration", settings.LIFECYCLE, "Get", "Put"),
    *_setting("BucketLifecycle", settings.LIFECYCLE, "Delete"),
    *_setting("BucketEncryption", settings.ENCRYPTION, "Get", "Put", "Delete"),
    *_setting("BucketNotificationConfiguration", settings.NOTIFICATION, "Get", "Put"),
    *_setting("PublicAccessBlock", settings.PUBLIC_ACCESS_BLOCK, "Get", "Put", "Delete"),
    *_setting(
        "BucketOwnershipControls",
        settings.OWNERSHIP_CONTROLS,
        "Get",
        "Put",
        "Delete",
        put=settings.put_ownership_controls,
    ),
    *_setting("BucketWebsite", settings.WEBSITE, "Get"),
    *_setting("BucketReplication", settings.REPLICATION, "Get"),
    *_setting("ObjectLockConfiguration", settings.OBJECT_LOCK, "Get"),
    *_setting("BucketLogging", settings.LOGGING, "Get"),
    *_setting("BucketAccelerateConfiguration", settings.ACCELERATE, "Get"),
    *_setting("BucketRequestPayment", settings.REQUEST_PAYMENT, "Get"),
)

_SUB_RESOURCES = frozenset(
    {name for operation in OPERATIONS for name in operation.query} | {absent.query for absent in ABSENT}
) - {"partNumber", "uploadId", "list-type"}
_BY_PLACE: dict[tuple[str, str], list[Operation]] = {}
for _operation in sorted(OPERATIONS, key=lambda each: (len(each.query), bool(each.header)), reverse=True):
    _BY_PLACE.setdefault((_operation.method, _operation.level), []).append(_operation)


def resolve(request: S3Request) -> Operation:
    """The operation that a request is for. Raises ``NotImplemented`` (naming it) or ``MethodNotAllowed``."""
    level = "object" if request.key else "bucket" if request.bucket else "service"
    asked = _SUB_RESOURCES & request.query.keys() if level != "service" else frozenset()
    for operation in _BY_PLACE.get((request.method, level), ()):
        if not asked <= set(operation.query) or not all(name in request.query for name in operation.query):
            continue
        if not operation.header or operation.header in request.headers:
            return operation
    for absent in ABSENT:
        if absent.query in asked and (absent.method, absent.level) == (request.method, level):
            raise not_implemented(f"{absent.name} (?{absent.query})")
    if asked:
        raise not_implemented(f"{request.method} of a {level} with ?{'&'.join(sorted(asked))}")
    if request.method == "POST" and level == "bucket":
        raise not_implemented("POST of a browser form")
    raise S3Error("MethodNotAllowed", fields={"Method": request.method, "ResourceType": level.upper()})
