"""Checks the signature of a request as AWS's services do, and says who signed it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from mlparity.apis.aws.credentials import Credentials, KeyPair
from mlparity.apis.aws.message import AwsError, AwsRequest
from mlparity.clock import Clock
from mlparity.wire.sigv4 import Reason, SignatureError, SignedRequest, verify

_FORBIDDEN = 403
_SHA256_HEX = 64
# reason -> (code of the JSON protocols, code of the query protocol)
_CODES = {
    Reason.MISSING: ("MissingAuthenticationTokenException", "MissingAuthenticationToken"),
    Reason.MALFORMED: ("IncompleteSignatureException", "IncompleteSignature"),
    Reason.MALFORMED_QUERY: ("IncompleteSignatureException", "IncompleteSignature"),
    Reason.UNKNOWN_KEY: ("UnrecognizedClientException", "InvalidClientTokenId"),
}
_MISMATCH = ("InvalidSignatureException", "SignatureDoesNotMatch")
_EXPIRED = ("ExpiredTokenException", "ExpiredToken")
_INVALID_TOKEN = "The security token included in the request is invalid."  # noqa: S105 - a message


def authenticate(
    request: AwsRequest, headers: Sequence[tuple[str, str]], credentials: Credentials, clock: Clock
) -> KeyPair:
    """The key pair that signed ``request``; ``headers`` are all of them as sent, lower case. Raises ``AwsError``."""
    if request.access_key and credentials.is_expired(request.access_key):
        raise _fault(request, _EXPIRED, "The security token included in the request is expired")
    signed = SignedRequest(request.method, request.path, request.query, headers)
    try:
        verified = verify(signed, credentials, clock, body=request.body)
    except SignatureError as error:
        if error.reason is Reason.UNKNOWN_KEY:
            raise _fault(request, _CODES[error.reason], _INVALID_TOKEN) from error
        raise _fault(request, _CODES.get(error.reason, _MISMATCH), f"{error.what} {error.why}".strip()) from error
    digest = verified.payload
    if len(digest) == _SHA256_HEX and digest != hashlib.sha256(request.body).hexdigest():
        raise _fault(request, _MISMATCH, "The body of the request does not match the hash that was signed.")
    pair = credentials.pair(verified.access_key)
    token = request.headers.get("x-amz-security-token", "")
    if pair is None or (pair.session_token and not hmac.compare_digest(pair.session_token, token)):
        raise _fault(request, _CODES[Reason.UNKNOWN_KEY], _INVALID_TOKEN)
    return pair


def _fault(request: AwsRequest, codes: tuple[str, str], message: str) -> AwsError:
    return AwsError(codes[0] if request.is_json else codes[1], message, _FORBIDDEN)
