"""The methods of Cloud Storage that are there, as data. What is not is in ``absent.py``.

Names are those of the vendor's discovery document, and of the XML API's reference for those marked XML. The router,
the coverage table and the tests read these tables.

https://cloud.google.com/storage/docs/json_api/v1
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mlparity.storage.gcs import (
    bucket_policy,
    buckets,
    copies,
    object_list,
    objects,
    resumable,
    uploads,
    xml_objects,
)
from mlparity.storage.gcs.absent import ABSENT
from mlparity.storage.gcs.errors import GcsError, not_implemented
from mlparity.storage.gcs.message import Call, GcsRequest, GcsResponse, decode_segment
from mlparity.storage.gcs.objects_json import uniform_access
from mlparity.wire.bodies import Receiver

Handler = Callable[[Call], GcsResponse]
MakeReceiver = Callable[[Call], Receiver[Any] | None]

BATCH_PATH = "/batch/storage/v1"
_JSON = ("/storage/v1/", "/download/storage/v1/")
_UPLOAD = ("/upload/storage/v1/", "/resumable/upload/storage/v1/")
_API_VERSION = re.compile(r"v\d+((alpha|beta)\d*)?(p\d+(alpha|beta)\d*)?")
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_VIRTUAL_HOST = re.compile(r"(?P<bucket>.+)\.storage\.googleapis\.com", re.IGNORECASE)
_KEPT = "kept and shown; nothing acts on it"


@dataclass(frozen=True)
class Operation:
    """One method: which requests it takes, and what answers them."""

    name: str  # the vendor's
    method: str
    template: str  # below /storage/v1/; for uploads below /upload/storage/v1/; for XML "{bucket}/{object}"
    handler: Handler
    query: tuple[str, ...] = ()  # parameters that must be there; "uploadType=media" with their value
    header: str = ""  # header that must be there
    receiver: MakeReceiver | None = None  # takes the body where it is an object's bytes
    note: str = ""  # in what it is weaker than the vendor's


JSON_OPERATIONS: tuple[Operation, ...] = (
    Operation("buckets.insert", "POST", "b", buckets.insert, note="rules such as lifecycle are kept, not acted on"),
    Operation("buckets.list", "GET", "b", buckets.list_buckets),
    Operation("buckets.get", "GET", "b/{bucket}", buckets.get),
    Operation("buckets.patch", "PATCH", "b/{bucket}", buckets.patch, note="rules are kept, not acted on"),
    Operation("buckets.update", "PUT", "b/{bucket}", buckets.update, note="rules are kept, not acted on"),
    Operation("buckets.delete", "DELETE", "b/{bucket}", buckets.delete),
    Operation("buckets.getStorageLayout", "GET", "b/{bucket}/storageLayout", buckets.storage_layout),
    Operation("buckets.getIamPolicy", "GET", "b/{bucket}/iam", bucket_policy.get_policy, note=_KEPT),
    Operation("buckets.setIamPolicy", "PUT", "b/{bucket}/iam", bucket_policy.set_policy, note=_KEPT),
    Operation(
        "buckets.testIamPermissions",
        "GET",
        "b/{bucket}/iam/testPermissions",
        bucket_policy.test_permissions,
        note="every caller has every permission",
    ),
    Operation("objects.list", "GET", "b/{bucket}/o", object_list.list_objects, note="no soft-deleted objects"),
    Operation("objects.get", "GET", "b/{bucket}/o/{object}", objects.get),
    Operation("objects.patch", "PATCH", "b/{bucket}/o/{object}", objects.patch, note="no holds and retention"),
    Operation("objects.update", "PUT", "b/{bucket}/o/{object}", objects.update, note="no holds and retention"),
    Operation("objects.delete", "DELETE", "b/{bucket}/o/{object}", objects.delete),
    Operation("objects.compose", "POST", "b/{bucket}/o/{object}/compose", copies.compose),
    Operation("objects.copy", "POST", "b/{sourceBucket}/o/{sourceObject}/copyTo/b/{bucket}/o/{object}", copies.copy),
    Operation("objects.move", "POST", "b/{bucket}/o/{sourceObject}/moveTo/o/{object}", copies.move),
    Operation(
        "objects.rewrite",
        "POST",
        "b/{sourceBucket}/o/{sourceObject}/rewriteTo/b/{bucket}/o/{object}",
        copies.rewrite,
        note="one call is always enough: maxBytesRewrittenPerCall changes nothing",
    ),
    Operation("projects.serviceAccount.get", "GET", "projects/{project}/serviceAccount", buckets.service_account),
)
_INSERT = "objects.insert"
UPLOAD_OPERATIONS: tuple[Operation, ...] = (
    Operation(_INSERT, "POST", "b/{bucket}/o", resumable.continue_upload, ("upload_id",), receiver=resumable.receiver),
    Operation(_INSERT, "PUT", "b/{bucket}/o", resumable.continue_upload, ("upload_id",), receiver=resumable.receiver),
    Operation(_INSERT, "DELETE", "b/{bucket}/o", resumable.cancel, ("upload_id",)),
    Operation(_INSERT, "POST", "b/{bucket}/o", resumable.start, ("uploadType=resumable",)),
    Operation(
        _INSERT, "POST", "b/{bucket}/o", uploads.insert, ("uploadType=multipart",), receiver=uploads.related_receiver
    ),
    Operation(_INSERT, "POST", "b/{bucket}/o", uploads.insert, ("uploadType=media",), receiver=uploads.media_receiver),
    Operation(_INSERT, "POST", "b/{bucket}/o", uploads.refuse_kind),
)
_OBJECT = "{bucket}/{object}"
XML_OPERATIONS: tuple[Operation, ...] = (
    Operation("XML: GET object", "GET", _OBJECT, xml_objects.get_object),
    Operation("XML: HEAD object", "HEAD", _OBJECT, xml_objects.head_object),
    Operation("XML: PUT object", "PUT", _OBJECT, xml_objects.put_object, receiver=xml_objects.media_receiver),
    Operation("XML: PUT object (copy)", "PUT", _OBJECT, xml_objects.copy_object, header="x-goog-copy-source"),
    Operation("XML: DELETE object", "DELETE", _OBJECT, xml_objects.delete_object),
    Operation("XML: POST object (resumable)", "POST", _OBJECT, xml_objects.start_resumable, header="x-goog-resumable"),
    Operation(
        "XML: PUT object (resumable)",
        "PUT",
        _OBJECT,
        resumable.continue_upload,
        ("upload_id",),
        receiver=resumable.receiver,
    ),
    Operation("XML: DELETE object (resumable)", "DELETE", _OBJECT, resumable.cancel, ("upload_id",)),
    Operation("XML: Initiate multipart upload", "POST", _OBJECT, xml_objects.create_upload, ("uploads",)),
    Operation(
        "XML: Upload part",
        "PUT",
        _OBJECT,
        xml_objects.put_part,
        ("partNumber", "uploadId"),
        receiver=xml_objects.part_receiver,
    ),
    Operation("XML: Complete multipart upload", "POST", _OBJECT, xml_objects.complete_upload, ("uploadId",)),
    Operation("XML: Abort multipart upload", "DELETE", _OBJECT, xml_objects.abort_upload, ("uploadId",)),
    Operation("XML: List multipart upload parts", "GET", _OBJECT, xml_objects.list_parts, ("uploadId",)),
)
OPERATIONS = (*JSON_OPERATIONS, *UPLOAD_OPERATIONS, *XML_OPERATIONS)


@dataclass(frozen=True)
class Route:
    """A request that was found its method: the template's names are in its ``params``."""

    operation: Operation
    request: GcsRequest
    xml: bool = False


def serves(path: str, host: str = "") -> bool:
    """Whether a request is for Cloud Storage: its own prefixes, and /bucket/object unless that is another API's.

    A path such as /v1/... or /v1beta1/... is never a bucket's. ``host`` decides alone where it is the vendor's.
    """
    name = host.partition(":")[0].lower()
    if name == "storage.googleapis.com" or name.endswith(".storage.googleapis.com"):
        return True
    if path.startswith((*_JSON, *_UPLOAD, BATCH_PATH)):
        return True
    first, _, rest = path.removeprefix("/").partition("/")
    return bool(rest) and _API_VERSION.fullmatch(first) is None and _BUCKET_NAME.fullmatch(first) is not None


def is_xml(request: GcsRequest) -> bool:
    """Whether the request speaks the XML API."""
    return not request.raw_path.startswith((*_JSON, *_UPLOAD, BATCH_PATH))


def resolve(request: GcsRequest) -> Route:
    """The method that a request is for. Raises ``notImplemented``, naming it, or 404 or 405 as GCS does."""
    if is_xml(request):
        return _resolve_xml(request)
    prefix = next(each for each in (*_JSON, *_UPLOAD) if request.raw_path.startswith(each))
    path = request.raw_path.removeprefix(prefix)
    table = UPLOAD_OPERATIONS if prefix in _UPLOAD else JSON_OPERATIONS
    for operation in table:
        if operation.method == request.method and _asked(operation, request):
            params = _match(operation.template, path)
            if params is not None:
                return Route(operation, replace(request, params=params))
    if prefix not in _UPLOAD:
        _refuse_absent(request, path)
    if any(_match(operation.template, path) is not None for operation in table):
        raise GcsError(405, "methodNotAllowed", "Method Not Allowed")
    raise GcsError(404, "notFound", "Not Found")


def _refuse_absent(request: GcsRequest, path: str) -> None:
    for absent in ABSENT:
        if absent.method == request.method and _match(absent.template, path) is not None:
            if absent.acl:
                raise uniform_access("get legacy ACL for an object" if "/o/" in path else "get legacy ACL for a bucket")
            raise not_implemented(absent.name)


def _resolve_xml(request: GcsRequest) -> Route:
    virtual = _VIRTUAL_HOST.fullmatch(request.headers.get("host", "").partition(":")[0])
    raw = request.raw_path.removeprefix("/")
    bucket, _, name = (virtual["bucket"], "", raw) if virtual else raw.partition("/")
    request = replace(request, params={"bucket": decode_segment(bucket), "object": decode_segment(name)})
    if not name:
        raise not_implemented(f"{request.method} of a bucket in the XML API")
    fitting = [
        operation
        for operation in XML_OPERATIONS
        if operation.method == request.method
        and _asked(operation, request)
        and (not operation.header or operation.header in request.headers)
    ]
    if not fitting:
        raise not_implemented(f"{request.method} of an object in the XML API")
    most_asked = max(fitting, key=lambda operation: (len(operation.query), bool(operation.header)))
    return Route(most_asked, request, xml=True)


def _asked(operation: Operation, request: GcsRequest) -> bool:
    for item in operation.query:
        name, equals, value = item.partition("=")
        if name not in request.query or (equals and request.query[name] != value):
            return False
    return True


def _match(template: str, path: str) -> Mapping[str, str] | None:
    """The names of the template and what stands for them; None where the path is another's."""
    if template.count("/") != path.count("/"):
        return None
    wanted, given = template.split("/"), path.split("/")
    params: dict[str, str] = {}
    for pattern, piece in zip(wanted, given, strict=True):
        if pattern.startswith("{"):
            params[pattern[1:-1]] = piece
        elif pattern != piece:
            return None
    return {name: decode_segment(piece) for name, piece in params.items()} if all(params.values()) else None
