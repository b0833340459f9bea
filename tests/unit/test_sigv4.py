"""Signatures: against botocore's signer, and against each way of being wrong."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from mlparity.testing import TestClock
from mlparity.wire.sigv4 import (
    Reason,
    SignatureError,
    SignedRequest,
    Verified,
    chunk_signature,
    signing_key,
    trailer_signature,
    verify,
)

KEYS = {"AKID/with/slash": "se/cret+"}
CREDENTIALS = Credentials("AKID/with/slash", "se/cret+")


def sign(auth: Any, url: str, *, method: str = "GET", headers: dict[str, str] | None = None, data: bytes = b"") -> Any:
    request = AWSRequest(method=method, url=url, headers={"host": urlsplit(url).netloc, **(headers or {})}, data=data)
    auth.add_auth(request)
    return request


def wire(request: Any) -> SignedRequest:
    parts = urlsplit(request.url)
    headers = [(name.lower(), value) for name, value in request.headers.items()]
    return SignedRequest(request.method, parts.path, parts.query, headers)


def system_clock() -> TestClock:
    return TestClock(datetime.now(UTC))


def refuse(request: SignedRequest, clock: TestClock, keys: dict[str, str] | None = None) -> Reason:
    with pytest.raises(SignatureError) as caught:
        verify(request, keys or KEYS, clock)
    assert "se/cret" not in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize("path", ["/", "/bucket/key", "/b/a%20b/%C3%BC%2B", "/b//double//", "/b/a~b_-.c"])
@pytest.mark.parametrize("query", ["", "?list-type=2&prefix=a%2Fb&delimiter=%2F", "?b=2&a=1&a=0&flag=&uploads"])
def test_s3_headers(path: str, query: str) -> None:
    auth = S3SigV4Auth(CREDENTIALS, "s3", "eu-west-1")
    request = sign(auth, f"http://h:1{path}{query}", headers={"x-amz-meta-a": "  two   words "})
    verified = verify(wire(request), KEYS, system_clock())
    assert (verified.access_key, verified.region, verified.service) == ("AKID/with/slash", "eu-west-1", "s3")
    assert not verified.presigned


@pytest.mark.parametrize("path", ["/", "/a%20b/c"])
def test_other_services(path: str) -> None:
    auth = SigV4Auth(CREDENTIALS, "sagemaker", "us-east-1")
    body = b'{"a":1}'
    request = sign(auth, f"http://h:1{path}", method="POST", headers={"x-amz-target": "SageMaker.X"}, data=body)
    assert verify(wire(request), KEYS, system_clock(), body=body).service == "sagemaker"
    with pytest.raises(SignatureError):
        verify(wire(request), KEYS, system_clock(), body=b"another body")


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1, max_size=30).filter(lambda text: "\0" not in text))
def test_any_key_can_be_signed(key: str) -> None:
    from urllib.parse import quote

    try:
        path = quote("/bucket/" + key, safe="/~")
    except UnicodeEncodeError:
        return
    auth = S3SigV4Auth(CREDENTIALS, "s3", "us-east-1")
    request = AWSRequest(method="GET", url=f"http://h:1{path}", headers={"host": "h:1"})
    auth.add_auth(request)
    headers = [(name.lower(), value) for name, value in request.headers.items()]
    verify(SignedRequest("GET", path, "", headers), KEYS, system_clock())


def test_presigned_until_it_expires() -> None:
    clock = system_clock()
    auth = S3SigV4QueryAuth(CREDENTIALS, "s3", "us-east-1", expires=100)
    request = wire(sign(auth, "http://h:1/b/k?response-content-type=a%2Fb"))
    assert verify(request, KEYS, clock).presigned
    clock.advance(90)
    verify(request, KEYS, clock)
    clock.advance(20)
    assert refuse(request, clock) is Reason.EXPIRED
    tampered = SignedRequest(request.method, "/b/other", request.query, request.headers)
    assert refuse(tampered, system_clock()) is Reason.MISMATCH
    longer = SignedRequest("GET", "/b/k", request.query.replace("Expires=100", "Expires=700000"), request.headers)
    assert refuse(longer, system_clock()) is Reason.MALFORMED_QUERY
    partial = SignedRequest("GET", "/b/k", "X-Amz-Signature=00", request.headers)
    assert refuse(partial, system_clock()) is Reason.MALFORMED_QUERY


def test_each_way_of_being_wrong() -> None:
    clock = system_clock()
    good = wire(sign(S3SigV4Auth(CREDENTIALS, "s3", "us-east-1"), "http://h:1/b/k", headers={"x-amz-meta-a": "1"}))

    def changed(**headers: str | None) -> SignedRequest:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        kept = [(name, names.get(name, value)) for name, value in good.headers]
        kept += [(name, value) for name, value in names.items() if name not in dict(good.headers)]
        return SignedRequest("GET", "/b/k", "", [(name, value) for name, value in kept if value is not None])

    authorization = good.header("authorization") or ""
    assert verify(good, KEYS, clock).access_key == "AKID/with/slash"
    assert refuse(changed(authorization=None), clock) is Reason.MISSING
    assert refuse(changed(authorization="Basic abc"), clock) is Reason.MALFORMED
    assert refuse(changed(authorization=authorization.replace("/aws4_request", "")), clock) is Reason.MALFORMED
    assert refuse(changed(x_amz_date="yesterday"), clock) is Reason.MALFORMED
    assert refuse(changed(x_amz_meta_a="2"), clock) is Reason.MISMATCH
    assert refuse(changed(x_amz_meta_b="2"), clock) is Reason.UNSIGNED_HEADERS
    assert refuse(changed(x_amz_content_sha256="0" * 64), clock) is Reason.MISMATCH
    assert refuse(good, clock, {"other": "x"}) is Reason.UNKNOWN_KEY
    assert refuse(good, clock, {"AKID/with/slash": "wrong"}) is Reason.MISMATCH
    clock.advance(14 * 60)
    verify(good, KEYS, clock)
    clock.advance(2 * 60)
    assert refuse(good, clock) is Reason.SKEWED


def test_chunk_signatures_of_the_vendors_example() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html, "Example: PUT object"."""
    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    verified = Verified(
        "AKIAIOSFODNN7EXAMPLE",
        "20130524T000000Z",
        "us-east-1",
        "s3",
        seed,
        signing_key(secret, "20130524", "us-east-1", "s3"),
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        presigned=False,
    )
    expected = (
        (b"a" * 65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
        (b"a" * 1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
        (b"", "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
    )
    previous = seed
    for chunk, signature in expected:
        previous = chunk_signature(verified, previous, hashlib.sha256(chunk).hexdigest())
        assert previous == signature


def test_trailer_signature_of_the_vendors_example() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html."""
    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    verified = Verified(
        "AKIAIOSFODNN7EXAMPLE",
        "20130524T000000Z",
        "us-east-1",
        "s3",
        "",
        signing_key(secret, "20130524", "us-east-1", "s3"),
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        presigned=False,
    )
    last = "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"
    digest = hashlib.sha256(b"x-amz-checksum-crc32c:sOO8/Q==\n").hexdigest()
    expected = "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
    assert trailer_signature(verified, last, digest) == expected
