"""Signed URLs: whoever has one may do what it says until it expires.

https://cloud.google.com/storage/docs/access-control/signing-urls-manually
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote

from mlparity.storage.gcs.errors import GcsError
from mlparity.storage.gcs.message import Context, GcsRequest

_ALGORITHM = "GOOG4-RSA-SHA256"
_LONGEST = 7 * 24 * 3600  # seconds
_SKEW = timedelta(minutes=15)
_SCOPE_PARTS = 5


def check_signature(context: Context, request: GcsRequest) -> None:
    """Raise unless the request is unsigned, or its signature stands."""
    query = {name.lower(): value for name, value in request.query.items()}
    if "x-goog-signature" in query:
        _check_v4(context, request, query)
    elif "googleaccessid" in query and "signature" in query:
        _check_v2(context, request, query)


def _check_v4(context: Context, request: GcsRequest, query: Mapping[str, str]) -> None:
    if query.get("x-goog-algorithm") != _ALGORITHM:
        raise _refused(
            400, f"The algorithm {query.get('x-goog-algorithm')} is not there: only {_ALGORITHM} is", "InvalidArgument"
        )
    account, *scope = query.get("x-goog-credential", "").split("/")
    if len(scope) != _SCOPE_PARTS - 1 or scope[2:] != ["storage", "goog4_request"]:
        raise _refused(400, "The X-Goog-Credential parameter is malformed", "AuthenticationRequired")
    _check_time(context, query)
    names = query.get("x-goog-signedheaders", "").split(";")
    if "host" not in names:
        raise _refused(400, "X-Goog-SignedHeaders must name host", "InvalidArgument")
    missing = [name for name in names if name not in request.headers]
    if missing:
        raise _refused(400, f"The signed header {missing[0]} is not there", "InvalidArgument")
    canonical = _canonical(request, names)
    text = "\n".join(
        (
            _ALGORITHM,
            query.get("x-goog-date", ""),
            "/".join(scope),
            hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest(),
        )
    )
    try:
        signature = binascii.unhexlify(query["x-goog-signature"])
    except (binascii.Error, ValueError):
        raise _mismatch() from None
    _verify(context, account, signature, text)


def _canonical(request: GcsRequest, names: list[str]) -> str:
    items = [item for item in request.raw_query.split("&") if item]
    pairs = [(unquote(item.partition("=")[0]), unquote(item.partition("=")[2])) for item in items]
    encoded = sorted(
        f"{quote(name, safe='~')}={quote(value, safe='~')}"
        for name, value in pairs
        if name.lower() != "x-goog-signature"
    )
    headers = "".join(f"{name}:{' '.join(request.headers[name].split())}\n" for name in names)
    payload = request.headers.get("x-goog-content-sha256", "UNSIGNED-PAYLOAD")
    return "\n".join((request.method, request.raw_path, "&".join(encoded), headers, ";".join(names), payload))


def _check_time(context: Context, query: Mapping[str, str]) -> None:
    try:
        moment = datetime.strptime(query.get("x-goog-date", ""), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        seconds = int(query.get("x-goog-expires", ""))
    except ValueError:
        raise _refused(400, "X-Goog-Date or X-Goog-Expires is malformed", "InvalidArgument") from None
    if not 0 < seconds <= _LONGEST:
        raise _refused(400, f"X-Goog-Expires must be between 1 and {_LONGEST} seconds", "InvalidArgument")
    now = context.clock.now()
    if now > moment + timedelta(seconds=seconds):
        raise _refused(400, "Invalid argument: the signed URL has expired", "ExpiredToken")
    if now < moment - _SKEW:
        raise _refused(403, "The signed URL is not valid yet", "AccessDenied")


def _check_v2(context: Context, request: GcsRequest, query: Mapping[str, str]) -> None:
    expires = query.get("expires", "")
    if not expires.isdecimal():
        raise _refused(400, "The Expires parameter is malformed", "InvalidArgument")
    if context.clock.now().timestamp() > int(expires):
        raise _refused(400, f"Request has expired: {expires}", "ExpiredToken")
    headers = request.headers
    extensions = "".join(
        f"{name}:{' '.join(headers[name].split())}\n" for name in sorted(headers) if name.startswith("x-goog-")
    )
    resource = extensions + request.raw_path
    text = "\n".join(
        (request.method, headers.get("content-md5", ""), headers.get("content-type", ""), expires, resource)
    )
    try:
        signature = base64.b64decode(query["signature"], validate=True)
    except (binascii.Error, ValueError):
        raise _mismatch() from None
    _verify(context, query["googleaccessid"], signature, text)


def _verify(context: Context, account: str, signature: bytes, text: str) -> None:
    pem = context.signers.get(account)
    if pem is None:
        raise _refused(
            403, f"The public key of {account} is not known here, so its signature cannot be checked", "AccessDenied"
        )
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = load_pem_public_key(pem.encode())
    if not isinstance(key, RSAPublicKey):
        raise _refused(403, f"The key of {account} is no RSA key", "AccessDenied")
    try:
        key.verify(signature, text.encode("utf-8", "surrogateescape"), PKCS1v15(), SHA256())
    except InvalidSignature:
        raise _mismatch() from None


def _mismatch() -> GcsError:
    return _refused(
        403,
        "The request signature we calculated does not match the signature you provided. Check your Google secret key "
        "and signing method.",
        "SignatureDoesNotMatch",
    )


def _refused(status: int, message: str, code: str) -> GcsError:
    return GcsError(status, "forbidden", message, code=code)
