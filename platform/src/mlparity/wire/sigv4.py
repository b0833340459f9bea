"""Checking AWS Signature Version 4, as the services do: header and query signatures, and signed chunks.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html

The caller maps ``SignatureError.reason`` to its service's own error code.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

from mlparity.clock import Clock
from mlparity.errors import MlparityError

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_ALGORITHM = "AWS4-HMAC-SHA256"
_TIME = "%Y%m%dT%H%M%SZ"
_MAX_SKEW = timedelta(minutes=15)
_MAX_EXPIRES = 7 * 24 * 3600  # seconds
_SCOPE_PARTS = 5
_QUERY_NAMES = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders")


class Reason(Enum):
    """Why a signature was refused."""

    MISSING = "missing"  # the request is not signed at all
    MALFORMED = "malformed"  # the Authorization header cannot be read
    MALFORMED_QUERY = "malformed-query"  # the X-Amz-* query parameters cannot be read
    UNKNOWN_KEY = "unknown-key"
    MISMATCH = "mismatch"  # the secret, or something signed, differs
    SKEWED = "skewed"  # signed more than 15 minutes from now
    EXPIRED = "expired"  # a presigned URL past its time
    UNSIGNED_HEADERS = "unsigned-headers"  # host or an x-amz-* header is not covered by the signature


class SignatureError(MlparityError):
    """The signature does not stand. ``reason`` says why; the message never contains a secret."""

    def __init__(self, reason: Reason, what: str, why: str = "", hint: str = "") -> None:
        self.reason = reason
        super().__init__(what, why, hint)


@dataclass(frozen=True)
class SignedRequest:
    """The parts of an HTTP request that are signed, as they came over the wire."""

    method: str
    path: str  # percent-encoded, without the query
    query: str  # percent-encoded, without "?"
    headers: Sequence[tuple[str, str]]  # lower case names
    values: Mapping[str, Sequence[str]] = field(init=False, repr=False, compare=False)  # of each header

    def __post_init__(self) -> None:
        found: dict[str, list[str]] = {}
        for name, value in self.headers:
            if name in found:
                found[name].append(value)
            else:
                found[name] = [value]
        object.__setattr__(self, "values", found)

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        values = self.values.get(name)
        return values[0] if values else None


@dataclass(frozen=True)
class Verified:
    """A request whose signature stands."""

    access_key: str
    signed_at: str  # 20130524T000000Z
    region: str
    service: str
    signature: str  # hex; the seed of chunk signatures
    signing_key: bytes
    payload: str  # x-amz-content-sha256: a hex SHA-256, UNSIGNED-PAYLOAD or STREAMING-...
    presigned: bool

    @property
    def scope(self) -> str:
        """The credential scope: date/region/service/aws4_request."""
        return f"{self.signed_at[:8]}/{self.region}/{self.service}/aws4_request"


@dataclass(frozen=True)
class Claim:
    """What a request says of its own signature."""

    access_key: str
    date: str
    region: str
    service: str
    signed_headers: Sequence[str]
    signature: str
    signed_at: str
    expires: int | None  # seconds; presigned only
    payload: str | None


def verify(
    request: SignedRequest, credentials: Mapping[str, str], clock: Clock, *, body: bytes | None = None
) -> Verified:
    """Check the signature against ``credentials`` (access key -> secret).

    ``body`` is hashed where the request has no x-amz-content-sha256 header (services other than S3). The
    payload hash is part of what is signed; that the body matches it is for the reader of the body to check.
    Raises ``SignatureError``.
    """
    claim = read_claim(request)
    secret = credentials.get(claim.access_key)
    key = None if secret is None else signing_key(secret, claim.date, claim.region, claim.service)
    return verify_claim(request, claim, key, clock, body=body)


def verify_claim(
    request: SignedRequest, claim: Claim, key: bytes | None, clock: Clock, *, body: bytes | None = None
) -> Verified:
    """The same for a caller that has no secrets but the ``signing_key`` of the claim's scope; None: it is unknown."""
    if key is None:
        raise SignatureError(Reason.UNKNOWN_KEY, "The AWS Access Key Id you provided does not exist in our records.")
    signed_at = _parse_time(claim)
    _check_time(claim, signed_at, clock.now())
    payload = claim.payload
    if payload is None:
        payload = hashlib.sha256(body or b"").hexdigest()
    canonical = canonical_request(request, claim.signed_headers, payload, service=claim.service)
    scope = f"{claim.date}/{claim.region}/{claim.service}/aws4_request"
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    expected = _hex_hmac(key, f"{_ALGORITHM}\n{claim.signed_at}\n{scope}\n{digest}")
    if not hmac.compare_digest(expected, claim.signature):
        raise SignatureError(
            Reason.MISMATCH,
            "The request signature we calculated does not match the signature you provided.",
            "Check your key and signing method.",
        )
    return Verified(
        claim.access_key,
        claim.signed_at,
        claim.region,
        claim.service,
        claim.signature,
        key,
        payload,
        claim.expires is not None,
    )


def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key that is derived for one day, region and service."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def canonical_request(request: SignedRequest, signed_headers: Sequence[str], payload: str, *, service: str) -> str:
    """The text whose hash is signed. S3 encodes the path once; every other service encodes it twice."""
    path = _canonical_path(request.path, once=service == "s3")
    lines = [f"{name}:{_header_value(request, name)}" for name in signed_headers]
    return "\n".join(
        (request.method, path, _canonical_query(request.query), *lines, "", ";".join(signed_headers), payload)
    )


# Paths, credentials and times come again and again; reading them anew takes longer than the rest of the check.
@lru_cache(maxsize=1024)
def _canonical_path(path: str, *, once: bool) -> str:
    if once:
        return quote(unquote_to_bytes(path), safe="/-_.~") or "/"
    # Part by part: an ARN in a path has slashes of its own.
    return quote("/".join(map(_encode, path.split("/"))), safe="/-_.~") or "/"


def chunk_signature(verified: Verified, previous: str, chunk_sha256: str) -> str:
    """The signature of one chunk of ``STREAMING-AWS4-HMAC-SHA256-PAYLOAD``, given the one before it."""
    text = (
        f"AWS4-HMAC-SHA256-PAYLOAD\n{verified.signed_at}\n{verified.scope}\n{previous}\n{EMPTY_SHA256}\n{chunk_sha256}"
    )
    return _hex_hmac(verified.signing_key, text)


def trailer_signature(verified: Verified, previous: str, trailers_sha256: str) -> str:
    """The signature of the trailing headers, given the last chunk's."""
    text = f"AWS4-HMAC-SHA256-TRAILER\n{verified.signed_at}\n{verified.scope}\n{previous}\n{trailers_sha256}"
    return _hex_hmac(verified.signing_key, text)


def _hex_hmac(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), "sha256").hex()


def _header_value(request: SignedRequest, name: str) -> str:
    values = request.values.get(name, ())
    return " ".join(values[0].split()) if len(values) == 1 else ",".join(" ".join(value.split()) for value in values)


def _pairs(query: str) -> list[tuple[str, str]]:
    pairs = []
    for item in query.split("&"):
        if item:
            name, _, value = item.partition("=")
            pairs.append((_encode(name), _encode(value)))
    return pairs


def _encode(text: str) -> str:
    return quote(unquote_to_bytes(text), safe="-_.~")


def _canonical_query(query: str) -> str:
    if not query:
        return ""
    pairs = sorted(pair for pair in _pairs(query) if pair[0] != "X-Amz-Signature")
    return "&".join(f"{name}={value}" for name, value in pairs)


def read_claim(request: SignedRequest) -> Claim:
    """Who says to have signed, when and what. Raises ``SignatureError`` where that cannot be read or is too little."""
    authorization = request.header("authorization")
    if authorization is not None:
        claim = _header_claim(request, authorization)
    elif "X-Amz-Signature=" in request.query:
        claim = _query_claim(request)
    else:
        raise SignatureError(Reason.MISSING, "Access Denied", "The request is not signed with Signature Version 4.")
    _check_signed_headers(request, claim)
    return claim


def _header_claim(request: SignedRequest, authorization: str) -> Claim:
    start, _, signature = authorization.rpartition("Signature=")
    if signature.isalnum():  # it is the last of the fields, as all SDKs write it
        access_key, date, region, service, signed_headers, _ = _authorization(start + "Signature=")
    else:
        access_key, date, region, service, signed_headers, signature = _authorization(authorization)
    return Claim(
        access_key,
        date,
        region,
        service,
        signed_headers,
        signature,
        request.header("x-amz-date") or request.header("date") or "",
        None,
        request.header("x-amz-content-sha256"),
    )


@lru_cache(maxsize=1024)
def _authorization(text: str) -> tuple[str, str, str, str, Sequence[str], str]:
    """Access key, date, region, service, signed headers and signature of an ``Authorization`` header."""
    algorithm, _, rest = text.partition(" ")
    fields = dict(item.strip().partition("=")[::2] for item in rest.split(","))
    if algorithm != _ALGORITHM or not {"Credential", "SignedHeaders", "Signature"} <= fields.keys():
        raise SignatureError(
            Reason.MALFORMED,
            "The authorization header is malformed",
            "It must read: AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...",
        )
    signed_headers = tuple(fields["SignedHeaders"].split(";"))
    return (*_scope(fields["Credential"], Reason.MALFORMED), signed_headers, fields["Signature"])


def _query_claim(request: SignedRequest) -> Claim:
    pairs = ((item.partition("=")[0], item.partition("=")[2]) for item in request.query.split("&"))
    query = {unquote_to_bytes(name).decode(): unquote_to_bytes(value).decode() for name, value in pairs}
    expires = query.get("X-Amz-Expires", "")
    if any(name not in query for name in _QUERY_NAMES) or query["X-Amz-Algorithm"] != _ALGORITHM:
        raise SignatureError(
            Reason.MALFORMED_QUERY,
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
            "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
        )
    if not expires.isdecimal() or not 0 <= int(expires) <= _MAX_EXPIRES:
        raise SignatureError(
            Reason.MALFORMED_QUERY, "X-Amz-Expires must be a number of seconds from 0 to 604800 (one week)"
        )
    access_key, date, region, service = _scope(query["X-Amz-Credential"], Reason.MALFORMED_QUERY)
    return Claim(
        access_key,
        date,
        region,
        service,
        query["X-Amz-SignedHeaders"].split(";"),
        query["X-Amz-Signature"],
        query["X-Amz-Date"],
        int(expires),
        request.header("x-amz-content-sha256") or query.get("X-Amz-Content-Sha256") or UNSIGNED_PAYLOAD,
    )


def _check_signed_headers(request: SignedRequest, claim: Claim) -> None:
    """What is not signed could be changed on the way, so AWS wants host and all x-amz-* headers signed."""
    signed = claim.signed_headers
    wanted = [name for name in request.values if name.startswith("x-amz-") and name != "x-amz-content-sha256"]
    missing = sorted({name for name in ("host", *wanted) if name not in signed})
    if missing:
        raise SignatureError(
            Reason.UNSIGNED_HEADERS,
            "There were headers present in the request which were not signed",
            ", ".join(missing),
        )


def _scope(credential: str, reason: Reason) -> tuple[str, str, str, str]:
    parts = credential.rsplit("/", _SCOPE_PARTS - 1)  # an access key may contain "/"
    if len(parts) != _SCOPE_PARTS or parts[4] != "aws4_request":
        raise SignatureError(
            reason,
            "The credential is malformed",
            "It must read: <access key>/<yyyymmdd>/<region>/<service>/aws4_request",
        )
    return parts[0], parts[1], parts[2], parts[3]


def _parse_time(claim: Claim) -> datetime:
    signed_at = _time(claim.signed_at)
    if signed_at is None:
        reason = Reason.MALFORMED if claim.expires is None else Reason.MALFORMED_QUERY
        raise SignatureError(
            reason, "AWS authentication requires a valid Date or x-amz-date header", "It must read: yyyymmddThhmmssZ"
        )
    if claim.signed_at[:8] != claim.date:
        raise SignatureError(Reason.MISMATCH, "The credential's date is not the request's date")
    return signed_at


@lru_cache(maxsize=64)
def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def _check_time(claim: Claim, signed_at: datetime, now: datetime) -> None:
    if claim.expires is None:
        if abs(now - signed_at) > _MAX_SKEW:
            raise SignatureError(
                Reason.SKEWED, "The difference between the request time and the current time is too large."
            )
        return
    if now > signed_at + timedelta(seconds=claim.expires):
        raise SignatureError(Reason.EXPIRED, "Request has expired")
    if signed_at - now > _MAX_SKEW:
        raise SignatureError(Reason.EXPIRED, "Request is not valid yet")
