"""Errors as Google Cloud Storage words them, and what the store's own errors become.

https://cloud.google.com/storage/docs/json_api/v1/status-codes
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from mlparity.errors import (
    BadDigestError,
    BucketExistsError,
    BucketNotEmptyError,
    ConflictError,
    InvalidBucketNameError,
    InvalidPartError,
    InvalidRangeError,
    MlparityError,
    NoSuchBucketError,
    NoSuchObjectError,
    NoSuchUploadError,
    PreconditionFailedError,
    StateError,
)
from mlparity.wire.xml_write import render

_PRECONDITION = "At least one of the pre-conditions you specified did not hold."
_NO_BUCKET = "The specified bucket does not exist."
_BY_REASON = {
    "notFound": "NoSuchKey",
    "conflict": "BucketNotEmpty",
    "conditionNotMet": "PreconditionFailed",
    "invalid": "InvalidArgument",
    "parseError": "MalformedXML",
    "required": "InvalidArgument",
    "requestedRangeNotSatisfiable": "InvalidRange",
    "notImplemented": "NotImplemented",
    "backendError": "InternalError",
    "forbidden": "AccessDenied",
    "methodNotAllowed": "MethodNotAllowed",
}


class GcsError(MlparityError):
    """An error as the JSON API sends it; the XML API sends ``code`` instead of ``reason``."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        location: tuple[str, str] | None = None,
        code: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.reason = reason
        self.message = message
        self.location = location  # (kind, name): ("parameter", "maxResults") or ("header", "If-Match")
        self.code = code or _BY_REASON.get(reason, "InvalidArgument")
        self.headers = dict(headers or {})
        super().__init__(reason, message)

    def json(self) -> bytes:
        """The JSON API's document."""
        item = {"message": self.message, "domain": "global", "reason": self.reason}
        if self.location is not None:
            item |= {"locationType": self.location[0], "location": self.location[1]}
        error = {"code": self.status, "message": self.message, "errors": [item]}
        return json.dumps({"error": error}, indent=2).encode()

    def xml(self) -> bytes:
        """The XML API's document."""
        return render("Error", [("Code", self.code), ("Message", self.message), ("Details", self.message)])


def invalid(message: str, kind: str = "", name: str = "") -> GcsError:
    """400: the request cannot be right."""
    return GcsError(400, "invalid", message, location=(kind, name) if kind else None)


def not_implemented(what: str) -> GcsError:
    """What is not there says so, and names itself. Not with a 5xx: clients would try again for half a minute."""
    return GcsError(400, "notImplemented", f"Not Implemented: {what} is not there in the local Cloud Storage.")


def no_such_object(bucket: str, name: str) -> GcsError:
    """404 for an object."""
    return GcsError(404, "notFound", f"No such object: {bucket}/{name}")


def condition_not_met() -> GcsError:
    """412."""
    return GcsError(412, "conditionNotMet", _PRECONDITION, location=("header", "If-Match"))


def from_store(error: MlparityError, bucket: str = "", name: str = "") -> GcsError:
    """GCS's error for an error of the store; 500 where it has none."""
    if isinstance(error, NoSuchObjectError):
        return no_such_object(bucket, name) if name else GcsError(404, "notFound", f"No such object: {error.what}")
    if isinstance(error, PreconditionFailedError):
        return condition_not_met()
    simple = next((made for kind, made in _SIMPLE if isinstance(error, kind)), None)
    if simple is not None:
        return GcsError(*simple[:3], code=simple[3])
    words = f"{error.what}. {error.why or error.hint}".strip()
    for kinds, code in _INVALID:
        if isinstance(error, kinds):
            return GcsError(400, "invalid", words, code=code)
    return GcsError(500, "backendError", words)


_INVALID: tuple[tuple[type[MlparityError], str], ...] = (
    (InvalidBucketNameError, "InvalidBucketName"),
    (InvalidPartError, "InvalidPart"),
    (BadDigestError, "BadDigest"),
)
_SIMPLE: tuple[tuple[type[MlparityError], tuple[int, str, str, str]], ...] = (
    (NoSuchBucketError, (404, "notFound", _NO_BUCKET, "NoSuchBucket")),
    (
        BucketExistsError,
        (
            409,
            "conflict",
            "Your previous request to create the named bucket succeeded and you already own it.",
            "BucketAlreadyOwnedByYou",
        ),
    ),
    (BucketNotEmptyError, (409, "conflict", "The bucket you tried to delete is not empty.", "BucketNotEmpty")),
    (NoSuchUploadError, (404, "notFound", "The requested upload was not found.", "NoSuchUpload")),
    (InvalidRangeError, (416, "requestedRangeNotSatisfiable", "Request range not satisfiable", "InvalidRange")),
    # Two requests brought bytes of one upload: this one may ask how far it is, and go on there.
    (ConflictError, (503, "backendError", "Another request of the same upload was faster.", "ServiceUnavailable")),
    (StateError, (503, "backendError", "Backend Error", "ServiceUnavailable")),
)
