"""The small XML documents that requests carry."""

from __future__ import annotations

import base64
import hashlib
import hmac

from mlparity.storage.s3 import checksums
from mlparity.storage.s3.errors import S3Error
from mlparity.storage.s3.message import Call, S3Request
from mlparity.wire.sigv4 import Verified
from mlparity.wire.xml_read import Element, XmlError, parse

MAX_DOCUMENT = 8 * 1024 * 1024  # bytes; a completion with 10000 parts and checksums has 2 MB


def read_document(call: Call, root: str) -> Element:
    """The request's document. Raises ``MalformedXML`` unless it is well formed and named ``root``."""
    try:
        element = parse(call.document)
    except XmlError as error:
        raise S3Error("MalformedXML") from error
    if element.name != root:
        raise S3Error("MalformedXML")
    return element


def check_document(request: S3Request, verified: Verified, document: bytes) -> None:
    """Raise unless the body is what its hash, MD5 and checksum headers say."""
    digest = hashlib.sha256(document).hexdigest()
    if len(verified.payload) == len(digest) and not hmac.compare_digest(digest, verified.payload):
        raise S3Error("XAmzContentSHA256Mismatch")
    md5 = request.headers.get("content-md5")
    if md5 is not None and md5 != base64.b64encode(hashlib.md5(document, usedforsecurity=False).digest()).decode():
        raise S3Error("BadDigest", "The Content-MD5 you specified did not match what we received.")
    if "uploadId" in request.query:
        return  # there the header is about the whole object
    for algorithm in checksums.ALGORITHMS:
        given = request.headers.get(checksums.header_name(algorithm))
        if given is None:
            continue
        checksum = checksums.new(algorithm)
        checksum.update(document)
        if checksums.encode(checksum.digest()) != given:
            raise S3Error("BadDigest", f"The {algorithm} you specified did not match the calculated checksum.")
