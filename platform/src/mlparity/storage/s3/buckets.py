"""Buckets: making, finding, deleting, versioning."""

from __future__ import annotations

from mlparity.errors import BucketExistsError
from mlparity.storage.s3.documents import read_document
from mlparity.storage.s3.errors import S3Error, not_implemented
from mlparity.storage.s3.message import Call, S3Response, xml_response
from mlparity.storage.s3.owner import owner_id
from mlparity.storage.s3.properties import check_write_headers
from mlparity.wire.timestamps import iso_date
from mlparity.wire.xml_write import Node

_CLASSIC = "us-east-1"
_STATES = ("Enabled", "Suspended")


def list_buckets(call: Call) -> S3Response:
    """All buckets, or a page of them with max-buckets."""
    query = call.request.query
    prefix, token, region = query.get("prefix", ""), query.get("continuation-token", ""), query.get("bucket-region", "")
    limit = query.get("max-buckets", "10000")
    if not limit.isdecimal() or not 1 <= int(limit) <= 10_000:  # noqa: PLR2004 - S3's bounds
        raise S3Error("InvalidArgument", "max-buckets must be an integer between 1 and 10000")
    found = [
        bucket
        for bucket in call.store.buckets.list()
        if bucket.name.startswith(prefix) and bucket.name > token and region in ("", bucket.region)
    ]
    page = found[: int(limit)]
    listed: list[Node] = [
        (
            "Bucket",
            [("Name", bucket.name), ("CreationDate", iso_date(bucket.created_at)), ("BucketRegion", bucket.region)],
        )
        for bucket in page
    ]
    nodes: list[Node] = [("Owner", [("ID", owner_id(call.context.account_id))]), ("Buckets", listed)]
    if len(found) > len(page):
        nodes.append(("ContinuationToken", page[-1].name))
    if prefix:
        nodes.append(("Prefix", prefix))
    return xml_response("ListAllMyBucketsResult", nodes)


def create_bucket(call: Call) -> S3Response:
    """Make a bucket in the region of its LocationConstraint.

    The endpoint stands for every region, so the region that the request is signed for plays the endpoint's part.
    """
    request = call.request
    check_write_headers(request)
    if request.headers.get("x-amz-bucket-object-lock-enabled", "").lower() == "true":
        raise not_implemented("x-amz-bucket-object-lock-enabled")
    here = request.region or call.context.region
    region = _location(call, here)
    try:
        call.store.buckets.create(request.bucket, region)
    except BucketExistsError:
        if here != _CLASSIC or call.store.buckets.get(request.bucket).region != _CLASSIC:
            raise
    return S3Response(200, {"location": f"/{request.bucket}"})


def head_bucket(call: Call) -> S3Response:
    """Whether the bucket exists, and where."""
    bucket = call.store.buckets.get(call.request.bucket)
    headers = {
        "x-amz-bucket-region": bucket.region,
        "x-amz-access-point-alias": "false",
        "content-type": "application/xml",
    }
    return S3Response(200, headers)


def delete_bucket(call: Call) -> S3Response:
    """Delete an empty bucket."""
    call.store.buckets.delete(call.request.bucket)
    return S3Response(204)


def get_location(call: Call) -> S3Response:
    """The bucket's region; empty for us-east-1."""
    region = call.store.buckets.get(call.request.bucket).region
    return xml_response("LocationConstraint", "" if region == _CLASSIC else region)


def get_versioning(call: Call) -> S3Response:
    """The versioning state; empty where it was never set."""
    state = call.store.buckets.get(call.request.bucket).versioning
    return xml_response("VersioningConfiguration", [("Status", state)] if state else [])


def put_versioning(call: Call) -> S3Response:
    """Enable or suspend versioning."""
    document = read_document(call, "VersioningConfiguration")
    if document.get("MfaDelete", "Disabled") != "Disabled":
        raise not_implemented("MfaDelete")
    state = document.get("Status")
    if state not in _STATES:
        raise S3Error("IllegalVersioningConfigurationException")
    call.store.buckets.set_versioning(call.request.bucket, state)
    return S3Response(200)


def _location(call: Call, here: str) -> str:
    asked = ""
    if call.document.strip():
        document = read_document(call, "CreateBucketConfiguration")
        asked = document.get("LocationConstraint")
        if document.find("Bucket") is not None or document.find("Location") is not None:
            raise not_implemented("directory buckets")
    if here == _CLASSIC:
        if asked == _CLASSIC:
            raise S3Error("InvalidLocationConstraint", fields={"LocationConstraint": asked})
        return asked or _CLASSIC
    if asked != here:
        message = (
            f"The {asked or 'unspecified'} location constraint is incompatible for the region specific endpoint "
            "this request was sent to."
        )
        raise S3Error("IllegalLocationConstraintException", message)
    return asked
