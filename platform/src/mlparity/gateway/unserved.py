"""The answer for an AWS service that has no local API: the vendor's own error, which names it.

A refused CONNECT would do as well, but the AWS SDKs show neither its reason nor its body, and try it many times.
"""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from mlparity.apis.aws.message import AwsRequest, error_response, unknown_operation
from mlparity.wire.aws_service import credential_scope

_ENOUGH = 64_000  # bytes of a body in which an operation is named


def is_from_an_sdk(scope: Scope) -> bool:
    """Whether the request is signed, as AWS's SDKs do it."""
    return credential_scope(_headers(scope), scope["query_string"].decode("latin-1")) is not None


async def answer_unserved(scope: Scope, receive: Receive, send: Send, why: str, request_id: str) -> None:
    """Answer with UnknownOperationException (InvalidAction in the query protocol), saying ``why``."""
    headers = _headers(scope)
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        if len(body) < _ENOUGH:
            body += message.get("body", b"")
        more = message.get("more_body", False)
    query = scope["query_string"].decode("latin-1")
    signed = credential_scope(headers, query)
    request = AwsRequest(signed.service if signed else "aws", scope["method"], scope["path"], query, headers, body)
    answer = error_response(request, unknown_operation(request, request.rpc_operation(), why), request_id)
    fields = {**answer.headers, "content-length": str(len(answer.body))}
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
