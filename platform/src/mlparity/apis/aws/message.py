"""One AWS request and its answer as values, and errors in the shape that the request's protocol wants."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from mlparity.errors import MlparityError
from mlparity.wire import aws_query
from mlparity.wire.aws_service import credential_scope

_SERVER_FAULT = 500
_MOST_BYTES = 64 * 1024 * 1024
_NOBODY, _SOME_DAY = "AKIAEXAMPLE", "20260101"
_XML_SERVICES = {"cloudfront", "route53", "s3control"}


class AwsError(MlparityError):
    """An error answer: AWS's code, message and HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(frozen=True)
class AwsRequest:
    """A request as it came, whole. ``headers`` has lower-case names; ``service`` is the signing name."""

    service: str
    method: str
    path: str  # as sent, still percent-encoded
    query: str
    headers: Mapping[str, str]
    body: bytes
    default_region: str = "us-east-1"

    @property
    def region(self) -> str:
        """The region that the client signed for."""
        scope = credential_scope(self.headers, self.query)
        return scope.region if scope else self.default_region

    @property
    def access_key(self) -> str | None:
        """Who signed; None for an unsigned request."""
        scope = credential_scope(self.headers, self.query)
        return scope.access_key if scope else None

    def scope(self) -> str:
        """The credential scope: who, day, region and service. A day is made up where nobody signed."""
        found = credential_scope(self.headers, self.query)
        key, day = (found.access_key, found.day) if found else (_NOBODY, _SOME_DAY)
        return f"{key}/{day}/{self.region}/{self.service}/aws4_request"

    @property
    def is_json(self) -> bool:
        """Whether this is the JSON protocol: an ``X-Amz-Target`` header names the operation."""
        return "x-amz-target" in self.headers

    def decompressed(self) -> AwsRequest:
        """The request with a plain body: SDKs compress large ones (PutMetricData). Raises ``AwsError``."""
        if self.headers.get("content-encoding") != "gzip":
            return self
        inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            body = inflate.decompress(self.body, _MOST_BYTES)
        except zlib.error as error:
            raise AwsError("SerializationException", f"The request body is not valid gzip: {error}") from error
        if inflate.unconsumed_tail:
            raise AwsError("RequestEntityTooLargeException", "The request body is too large", 413)
        headers = {name: value for name, value in self.headers.items() if name != "content-encoding"}
        return replace(self, headers=headers, body=body)

    def form(self) -> dict[str, str]:
        """Query string and form body together (the query protocol)."""
        pairs = parse_qsl(self.query, keep_blank_values=True)
        if self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            pairs += parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)
        return dict(pairs)

    def rpc_operation(self) -> str | None:
        """The operation of a JSON or query request; None for the REST protocols, whose path says it."""
        if self.is_json:
            return self.headers["x-amz-target"].rpartition(".")[2]
        return self.form().get("Action")

    def json_body(self) -> dict[str, Any]:
        """The body as a JSON object. Raises ``AwsError``."""
        try:
            document = json.loads(self.body or b"{}")
        except ValueError:
            raise AwsError("SerializationException", "The request body is not valid JSON") from None
        if not isinstance(document, dict):
            raise AwsError("SerializationException", "The request body must be a JSON object")
        return document


@dataclass(frozen=True)
class AwsResponse:
    """An answer. Header names are lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the call succeeded."""
        return self.status < 400  # noqa: PLR2004 - HTTP


def json_response(
    request: AwsRequest, document: Mapping[str, Any], request_id: str, content_type: str = ""
) -> AwsResponse:
    """A success in the JSON protocol, in the version that the client spoke, or of the type given."""
    headers = {"content-type": content_type or _json_type(request), "x-amzn-requestid": request_id}
    return AwsResponse(200, json.dumps(document).encode(), headers)


def error_response(request: AwsRequest, fault: AwsError, request_id: str) -> AwsResponse:
    """``fault`` as the request's protocol renders errors: JSON, query XML, EC2's XML, REST JSON or REST XML."""
    headers = {"x-amzn-requestid": request_id}
    party = "Receiver" if fault.status >= _SERVER_FAULT else "Sender"
    if request.is_json:
        headers["content-type"] = _json_type(request)
        if request.service in {"sqs", "monitoring"}:
            headers["x-amzn-query-error"] = f"{fault.code};{party}"
        return AwsResponse(fault.status, json.dumps({"__type": fault.code, "message": fault.what}).encode(), headers)
    if request.rpc_operation() is None and request.service not in _XML_SERVICES:
        headers |= {"content-type": "application/json", "x-amzn-errortype": fault.code}
        return AwsResponse(fault.status, json.dumps({"message": fault.what}).encode(), headers)
    headers["content-type"] = "text/xml"
    if request.service == "ec2":
        body = (
            f"<Response><Errors><Error><Code>{escape(fault.code)}</Code><Message>{escape(fault.what)}</Message>"
            f"</Error></Errors><RequestID>{request_id}</RequestID></Response>"
        ).encode()
    else:
        namespace = f"https://{request.service}.amazonaws.com/doc/"
        body = aws_query.render_error(namespace, fault.code, fault.what, request_id, fault=party)
    return AwsResponse(fault.status, body, headers)


def unsigned(scope: str) -> str:
    """An ``Authorization`` header for ``scope`` with nothing in it that is worth stealing."""
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"


def unknown_operation(request: AwsRequest, operation: str | None, why: str) -> AwsError:
    """The protocol's own error for an operation that is not there, naming it."""
    name = operation or f"{request.method} {request.path}"
    if request.is_json or request.rpc_operation() is None:
        return AwsError("UnknownOperationException", f"{request.service}:{name} {why}", 400 if request.is_json else 404)
    return AwsError("InvalidAction", f"{request.service}:{name} {why}")


def _json_type(request: AwsRequest) -> str:
    sent = request.headers.get("content-type", "")
    return sent if sent.startswith("application/x-amz-json") else "application/x-amz-json-1.1"
