"""S3's error responses.

https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

from collections.abc import Mapping

from mlparity.errors import (
    BadDigestError,
    BucketExistsError,
    BucketNotEmptyError,
    InvalidBucketNameError,
    InvalidPartError,
    InvalidPartOrderError,
    InvalidRangeError,
    MlparityError,
    NoSuchBucketError,
    NoSuchObjectError,
    NoSuchUploadError,
    PartTooSmallError,
    PreconditionFailedError,
    StateError,
)
from mlparity.wire.sigv4 import Reason, SignatureError

# code -> (HTTP status, S3's own words)
_CODES: Mapping[str, tuple[int, str]] = {
    "AccessControlListNotSupported": (400, "The bucket does not allow ACLs"),
    "AccessDenied": (403, "Access Denied"),
    "AuthorizationHeaderMalformed": (400, "The authorization header you provided is invalid."),
    "AuthorizationQueryParametersError": (400, "The authorization query parameters that you provided are not valid."),
    "BadDigest": (400, "The Content-MD5 or checksum value that you specified did not match what the server received."),
    "BucketAlreadyOwnedByYou": (
        409,
        "Your previous request to create the named bucket succeeded and you already own it.",
    ),
    "BucketNotEmpty": (409, "The bucket you tried to delete is not empty"),
    "EntityTooLarge": (400, "Your proposed upload exceeds the maximum allowed size"),
    "EntityTooSmall": (400, "Your proposed upload is smaller than the minimum allowed size"),
    "IllegalLocationConstraintException": (
        400,
        "The unspecified location constraint is incompatible for the region specific endpoint it was sent to.",
    ),
    "IllegalVersioningConfigurationException": (
        400,
        "The versioning configuration specified in the request is invalid.",
    ),
    "IncompleteBody": (
        400,
        "You did not provide the number of bytes specified by the Content-Length HTTP header",
    ),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "InvalidAccessKeyId": (403, "The AWS Access Key Id you provided does not exist in our records."),
    "InvalidArgument": (400, "Invalid Argument"),
    "InvalidBucketName": (400, "The specified bucket is not valid."),
    "InvalidDigest": (400, "The Content-MD5 you specified was invalid."),
    "InvalidLocationConstraint": (400, "The specified location-constraint is not valid"),
    "InvalidPart": (
        400,
        (
            "One or more of the specified parts could not be found. The part may not have been uploaded, or the "
            "specified entity tag may not match the part's entity tag."
        ),
    ),
    "InvalidPartNumber": (416, "The requested partnumber is not satisfiable"),
    "InvalidPartOrder": (
        400,
        "The list of parts was not in ascending order. Parts must be ordered by part number.",
    ),
    "InvalidRange": (416, "The requested range is not satisfiable"),
    "InvalidRequest": (400, "Invalid Request"),
    "InvalidStorageClass": (400, "The storage class you specified is not valid"),
    "InvalidTag": (400, "The tag provided was not a valid tag."),
    "InvalidURI": (400, "Couldn't parse the specified URI."),
    "KeyTooLongError": (400, "Your key is too long"),
    "MalformedPolicy": (400, "Policies must be valid JSON and the first byte must be '{'"),
    "MalformedXML": (
        400,
        "The XML you provided was not well-formed or did not validate against our published schema",
    ),
    "MaxMessageLengthExceeded": (400, "Your request was too big."),
    "MetadataTooLarge": (400, "Your metadata headers exceed the maximum allowed metadata size"),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
    "MissingContentLength": (411, "You must provide the Content-Length HTTP header."),
    "MissingSecurityHeader": (400, "Your request was missing a required header."),
    "NoSuchBucket": (404, "The specified bucket does not exist"),
    "NoSuchBucketPolicy": (404, "The bucket policy does not exist"),
    "NoSuchCORSConfiguration": (404, "The CORS configuration does not exist"),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchLifecycleConfiguration": (404, "The lifecycle configuration does not exist"),
    "NoSuchPublicAccessBlockConfiguration": (404, "The public access block configuration was not found"),
    "NoSuchTagSet": (404, "The TagSet does not exist"),
    "NoSuchUpload": (
        404,
        (
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted "
            "or completed."
        ),
    ),
    "NoSuchVersion": (404, "The specified version does not exist."),
    "NoSuchWebsiteConfiguration": (404, "The specified bucket does not have a website configuration"),
    "NotImplemented": (501, "A header you provided implies functionality that is not implemented"),
    "ObjectLockConfigurationNotFoundError": (404, "Object Lock configuration does not exist for this bucket"),
    "OwnershipControlsNotFoundError": (404, "The bucket ownership controls were not found"),
    "PreconditionFailed": (412, "At least one of the pre-conditions you specified did not hold"),
    "ReplicationConfigurationNotFoundError": (404, "The replication configuration was not found"),
    "RequestTimeTooSkewed": (403, "The difference between the request time and the current time is too large."),
    "ServerSideEncryptionConfigurationNotFoundError": (
        404,
        "The server side encryption configuration was not found",
    ),
    "ServiceUnavailable": (503, "Service is unable to handle request."),
    "SignatureDoesNotMatch": (
        403,
        (
            "The request signature we calculated does not match the signature you provided. Check your key and "
            "signing method."
        ),
    ),
    "XAmzContentSHA256Mismatch": (
        400,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    ),
}

_STORE_ERRORS: tuple[tuple[type[MlparityError], str], ...] = (
    (NoSuchBucketError, "NoSuchBucket"),
    (NoSuchObjectError, "NoSuchKey"),
    (NoSuchUploadError, "NoSuchUpload"),
    (BucketExistsError, "BucketAlreadyOwnedByYou"),
    (BucketNotEmptyError, "BucketNotEmpty"),
    (InvalidBucketNameError, "InvalidBucketName"),
    (PreconditionFailedError, "PreconditionFailed"),
    (PartTooSmallError, "EntityTooSmall"),
    (InvalidPartOrderError, "InvalidPartOrder"),
    (InvalidPartError, "InvalidPart"),
    (InvalidRangeError, "InvalidRange"),
    (BadDigestError, "BadDigest"),
    (StateError, "ServiceUnavailable"),
)

_SIGNATURE_ERRORS: Mapping[Reason, str] = {
    Reason.MISSING: "AccessDenied",
    Reason.MALFORMED: "AuthorizationHeaderMalformed",
    Reason.MALFORMED_QUERY: "AuthorizationQueryParametersError",
    Reason.UNKNOWN_KEY: "InvalidAccessKeyId",
    Reason.MISMATCH: "SignatureDoesNotMatch",
    Reason.SKEWED: "RequestTimeTooSkewed",
    Reason.EXPIRED: "AccessDenied",
    Reason.UNSIGNED_HEADERS: "AccessDenied",
}


class S3Error(MlparityError):
    """An error as S3 sends it: ``fields`` are further elements of the document."""

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        fields: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        status, words = _CODES[code]
        self.code = code
        self.status = status
        self.message = message or words
        self.fields = dict(fields or {})
        self.headers = dict(headers or {})
        super().__init__(code, self.message)


def not_implemented(what: str) -> S3Error:
    """What is not there says so, and names itself."""
    return S3Error(
        "NotImplemented", f"A header or query you provided implies functionality that is not implemented: {what}"
    )


def from_store(error: MlparityError) -> S3Error:
    """S3's error for an error of the store; ``InternalError`` where it has none."""
    for kind, code in _STORE_ERRORS:
        if isinstance(error, kind):
            return S3Error(code)
    return S3Error("InternalError", f"{error.what}. {error.why}".strip())


def from_signature(error: SignatureError) -> S3Error:
    """S3's error for a signature that does not stand."""
    message = error.what if not error.why else f"{error.what} ({error.why})"
    return S3Error(_SIGNATURE_ERRORS[error.reason], message)
