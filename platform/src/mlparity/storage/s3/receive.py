"""Taking in an object body: decoded, hashed, checked and written to disk as it comes, in constant memory."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from mlparity.storage.bucketstore import Staged, UploadInfo
from mlparity.storage.s3 import checksums
from mlparity.storage.s3.chunked import ChunkedDecoder
from mlparity.storage.s3.errors import S3Error
from mlparity.storage.s3.message import Context, Received, S3Request
from mlparity.wire.sigv4 import UNSIGNED_PAYLOAD, Verified

MAX_OBJECT = 5 * 1024**3  # bytes in one PUT
_MD5_BYTES = 16


class ObjectReceiver:
    """One body on its way into the store. Runs in worker threads, one at a time."""

    def __init__(
        self, context: Context, request: S3Request, verified: Verified, upload: UploadInfo | None = None
    ) -> None:
        self._headers = request.headers
        self._upload = upload
        self._expected_size = declared_size(request)
        self._payload = verified.payload
        self._decoder = ChunkedDecoder(verified) if verified.payload.startswith("STREAMING-") else None
        hashed = self._decoder is None and verified.payload != UNSIGNED_PAYLOAD
        self._sha256 = hashlib.sha256() if hashed else None
        self._algorithm = _algorithm(request.headers, upload)
        self._checksums = {self._algorithm: checksums.new(self._algorithm)}
        if upload is not None and not upload.checksum:  # the whole object will get S3's default
            self._checksums.setdefault(checksums.DEFAULT_ALGORITHM, checksums.new(checksums.DEFAULT_ALGORITHM))
        self._md5 = _given_md5(request.headers)
        self._store = context.store
        self._writer = context.store.stage()

    def feed(self, data: bytes | bytearray) -> None:
        """Take the next bytes off the wire."""
        if self._sha256 is not None:
            self._sha256.update(data)
        if self._decoder is not None:
            data = self._decoder.feed(data)
        for checksum in self._checksums.values():
            checksum.update(data)
        self._writer.write(data)

    def finish(self) -> Received:
        """Check everything that the client said about the body. Raises ``S3Error``."""
        trailers = self._decoder.finish() if self._decoder else {}
        if self._sha256 is not None and not hmac.compare_digest(self._sha256.hexdigest(), self._payload):
            raise S3Error(
                "XAmzContentSHA256Mismatch",
                fields={
                    "ClientComputedContentSHA256": self._payload,
                    "S3ComputedContentSHA256": self._sha256.hexdigest(),
                },
            )
        values = {name: checksums.encode(checksum.digest()) for name, checksum in self._checksums.items()}
        self._check_checksum(values[self._algorithm], trailers)
        staged = self._writer.finish()
        try:
            self._check_staged(staged)
        except S3Error:
            self._store.unstage(staged)
            raise
        return Received(staged, {**values, "type": checksums.FULL_OBJECT}, self._algorithm, self._upload)

    def discard(self) -> None:
        """Drop what came so far."""
        self._writer.discard()

    def _check_checksum(self, value: str, trailers: Mapping[str, str]) -> None:
        name = checksums.header_name(self._algorithm)
        given = trailers.get(name) or self._headers.get(name)
        if given is None and name in self._headers.get("x-amz-trailer", "").lower():
            raise S3Error("MalformedXML", f"The trailing header {name} that x-amz-trailer promises did not come")
        if given is not None and not hmac.compare_digest(given.encode(), value.encode()):
            raise S3Error("BadDigest", f"The {self._algorithm} you specified did not match the calculated checksum.")

    def _check_staged(self, staged: Staged) -> None:
        if staged.size != self._expected_size:
            raise S3Error("IncompleteBody")
        if self._md5 and self._md5 != staged.etag:
            raise S3Error(
                "BadDigest",
                "The Content-MD5 you specified did not match what we received.",
                fields={"ExpectedDigest": self._md5, "CalculatedDigest": staged.etag},
            )


def declared_size(request: S3Request) -> int:
    """The object's bytes as the client declares them. Raises ``S3Error`` where it does not, or declares too many."""
    length = request.headers.get("x-amz-decoded-content-length")
    if length is None and not request.headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
        length = request.headers.get("content-length")
    if length is None:
        raise S3Error("MissingContentLength")
    if not length.isdecimal():
        raise S3Error("InvalidArgument", "The content length is not a number")
    if int(length) > MAX_OBJECT:
        raise S3Error("EntityTooLarge", fields={"ProposedSize": length, "MaxSizeAllowed": str(MAX_OBJECT)})
    return int(length)


def _algorithm(headers: Mapping[str, str], upload: UploadInfo | None) -> str:
    """The checksum to compute: the one that comes with the body, else the upload's, else S3's default."""
    trailer = headers.get("x-amz-trailer", "").lower()
    sent = [name for name in checksums.ALGORITHMS if checksums.header_name(name) in headers or _names(trailer, name)]
    if len(sent) > 1:
        raise S3Error(
            "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    promised = headers.get("x-amz-sdk-checksum-algorithm", "").upper()
    if promised and promised not in checksums.ALGORITHMS:
        raise S3Error("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.")
    if promised and promised not in sent:
        raise S3Error(
            "InvalidRequest",
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer "
            "headers were found.",
        )
    wanted = upload.checksum.get("algorithm", "") if upload is not None else ""
    if sent and wanted and sent[0] != wanted:
        raise S3Error(
            "InvalidRequest",
            f"Checksum Type mismatch occurred, expected checksum Type: {wanted.lower()}, actual checksum Type: "
            f"{sent[0].lower()}",
        )
    return sent[0] if sent else wanted or checksums.DEFAULT_ALGORITHM


def _names(trailer: str, algorithm: str) -> bool:
    return checksums.header_name(algorithm) in (name.strip() for name in trailer.split(","))


def _given_md5(headers: Mapping[str, str]) -> str:
    value = headers.get("content-md5")
    if value is None:
        return ""
    try:
        digest = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != _MD5_BYTES:
        raise S3Error("InvalidDigest")
    return digest.hex()
