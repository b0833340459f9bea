"""InvokeEndpoint and InvokeEndpointWithResponseStream over the router: requests in, the model's answer or an error out.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
"""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from random import Random
from urllib.parse import unquote

import orjson

from mlparity.apis.sagemaker.runtime import event_stream
from mlparity.apis.sagemaker.runtime.errors import Errors, Refusal, too_large, validation
from mlparity.apis.sagemaker.runtime.headers import RefusedError, Wanted, read
from mlparity.apis.sagemaker.runtime.operations import BY_PATH, INVOCATION
from mlparity.apis.sagemaker.runtime.signatures import Signatures
from mlparity.clock import Clock
from mlparity.serving.routing.dispatching import Dispatcher
from mlparity.serving.routing.incoming import MAX_BODY, Request, ServerConnection
from mlparity.serving.routing.invocation import Failure, Headers, Invocation
from mlparity.wire.aws_model import AwsModel, message

API = "sagemaker"  # the prefix of this API's endpoints in the substrate
_OK, _REDIRECT = 200, 300
_REASONS = {400: "Bad Request", 403: "Forbidden", 404: "Not Found", 413: "Request Entity Too Large",
            424: "Failed Dependency", 429: "Too Many Requests", 500: "Internal Server Error",
            503: "Service Unavailable"}  # fmt: skip
_SCOPE = b"/sagemaker/aws4_request"  # of a signature's credential
_CUSTOM = b"x-amzn-sagemaker-custom-attributes"
Elsewhere = Callable[[Request, ServerConnection], None]


@lru_cache(maxsize=1)
def runtime_model() -> AwsModel:
    """The service's model; only requests that break a rule need it."""
    return AwsModel.load("sagemaker-runtime")


class RuntimeFront:
    """Handles the requests of ``ServerConnection``.

    What is no invocation goes ``elsewhere``; None: nowhere, for who sent it has found that it is one.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        signatures: Signatures,
        errors: Errors,
        clock: Clock,
        random: Random,
        elsewhere: Elsewhere | None,
    ) -> None:
        self._dispatcher = dispatcher
        self._signatures = signatures
        self._errors = errors
        self._clock = clock
        self._random = random
        self._elsewhere = elsewhere
        self._date_at, self._date = 0, b""

    def __call__(self, request: Request, connection: ServerConnection) -> None:
        """One request."""
        accepted_at = self._dispatcher.monotonic()
        found = INVOCATION.match(request.target.decode("latin-1"))
        if self._elsewhere is not None and (
            found is None or request.method != "POST" or _SCOPE not in request.header(b"authorization")
        ):
            self._elsewhere(request, connection)  # a bucket may be called "endpoints"
            return
        if found is None:
            self.refuse(connection, Refusal(404, "UnknownOperationException", ""))
            return
        name, operation = unquote(found[1]), BY_PATH[found[2]].name
        if request.too_large:
            request.close = True
            self.refuse(connection, too_large(MAX_BODY))
            return

        def go_on(refusal: Refusal | None) -> None:
            if refusal is not None:
                self.refuse(connection, refusal)
            else:
                self._invoke(request, connection, name, operation, accepted_at)

        self._signatures.check(request, go_on)

    def _invoke(
        self, request: Request, connection: ServerConnection, name: str, operation: str, accepted_at: float
    ) -> None:
        try:
            wanted = read(request.headers, operation, runtime_model)
        except RefusedError as error:
            self.refuse(connection, error.refusal)
            return
        stream = operation != "InvokeEndpoint"
        sink = _StreamedReply(self, connection, name) if stream else _Reply(self, connection, name)
        self._dispatcher.invoke(_invocation(name, request.body, wanted, sink, accepted_at, stream=stream))

    def refuse(self, connection: ServerConnection, refusal: Refusal) -> None:
        """Answer with an error."""
        body = orjson.dumps(refusal.document())
        kind = f"x-amzn-ErrorType: {refusal.code}\r\n" if refusal.code else ""
        head = f"HTTP/1.1 {refusal.status} {_REASONS[refusal.status]}\r\n{kind}Content-Type: application/json\r\n"
        connection.answer(self.head(head.encode(), connection, len(body)), body)

    def refuse_failure(self, connection: ServerConnection, name: str, failure: Failure, variant: str) -> None:
        """Answer that the router could not do it."""
        wrong = runtime_model().read_shape("EndpointName", name, "endpointName")[1]
        if failure is Failure.NOT_FOUND and wrong:
            self.refuse(connection, validation(message(wrong)))
        else:
            self.refuse(connection, self._errors.of_failure(failure, name, variant))

    def refuse_model(self, connection: ServerConnection, name: str, status: int, body: bytes) -> None:
        """Answer that the container answered with an error."""
        self.refuse(connection, self._errors.of_model(name, status, body.decode("utf-8", "replace")))

    def head(self, start: bytes, connection: ServerConnection, length: int | None) -> bytes:
        """A whole head: ``start``, then what every answer has. ``length`` None: the body is chunked."""
        now = int(self._clock.now().timestamp())
        if now != self._date_at:
            self._date_at, self._date = now, formatdate(now, usegmt=True).encode()
        size = b"Transfer-Encoding: chunked" if length is None else b"Content-Length: %d" % length
        close = b"Connection: close\r\n" if connection.closing else b""
        digits = b"%032x" % self._random.getrandbits(128)
        return b"%bx-amzn-RequestId: %b-%b-4%b-a%b-%b\r\nDate: %b\r\n%b%b\r\n\r\n" % (
            start, digits[:8], digits[8:12], digits[13:16], digits[17:20], digits[20:], self._date, close, size,
        )  # fmt: skip


def _invocation(
    name: str, body: bytes, wanted: Wanted, sink: _Reply | _StreamedReply, accepted_at: float, *, stream: bool
) -> Invocation:
    return Invocation(
        f"{API}/{name}",
        wanted.head,
        body,
        sink,
        wanted.target_variant,
        stream,
        wanted.content_type,
        wanted.custom_attributes,
        wanted.inference_id,
        accepted_at,
    )


class _Reply:
    """Answers InvokeEndpoint."""

    __slots__ = ("_connection", "_front", "_name")

    def __init__(self, front: RuntimeFront, connection: ServerConnection, name: str) -> None:
        self._front = front
        self._connection = connection
        self._name = name

    def answered(self, invocation: Invocation, status: int, headers: Headers, body: bytes) -> None:
        front, connection = self._front, self._connection
        if not _OK <= status < _REDIRECT:
            front.refuse_model(connection, self._name, status, body)
            return
        connection.answer(front.head(_start(invocation.variant, headers), connection, len(body)), body)

    def failed(self, invocation: Invocation, failure: Failure) -> None:
        self._front.refuse_failure(self._connection, self._name, failure, invocation.target_variant)

    def began(self, invocation: Invocation, status: int, headers: Headers) -> None:
        """Only streams begin."""

    def part(self, invocation: Invocation, data: bytes) -> None:
        """Only streams have parts."""

    def ended(self, invocation: Invocation) -> None:
        """Only streams end."""


class _StreamedReply:
    """Answers InvokeEndpointWithResponseStream: each piece of the container's answer is one event."""

    def __init__(self, front: RuntimeFront, connection: ServerConnection, name: str) -> None:
        self._front = front
        self._connection = connection
        self._name = name
        self._status = 0
        self._error: list[bytes] = []  # the body of the container's error

    def answered(self, invocation: Invocation, status: int, headers: Headers, body: bytes) -> None:
        """Only answers that are not streamed come whole."""

    def began(self, invocation: Invocation, status: int, headers: Headers) -> None:
        self._status = status
        if _OK <= status < _REDIRECT:
            connection = self._connection
            connection.on_pause, connection.on_resume = invocation.suspend, invocation.resume
            connection.write(self._front.head(_stream_start(invocation.variant, headers), connection, None))

    def part(self, invocation: Invocation, data: bytes) -> None:  # noqa: ARG002
        if _OK <= self._status < _REDIRECT:
            self._connection.write(_chunk(event_stream.payload_parts(data)))
        else:
            self._error.append(data)

    def ended(self, invocation: Invocation) -> None:  # noqa: ARG002
        if _OK <= self._status < _REDIRECT:
            self._connection.write(b"0\r\n\r\n")
            self._connection.done()
        else:
            self._front.refuse_model(self._connection, self._name, self._status, b"".join(self._error))

    def failed(self, invocation: Invocation, failure: Failure) -> None:
        if not invocation.began or not _OK <= self._status < _REDIRECT:
            self._front.refuse_failure(self._connection, self._name, failure, invocation.target_variant)
            return
        code = "ModelInvocationTimeExceeded" if failure is Failure.TIMED_OUT else "StreamBroken"
        what = {"Message": "An error occurred while streaming the response body.", "ErrorCode": code}
        self._connection.write(_chunk(event_stream.exception("ModelStreamError", orjson.dumps(what))) + b"0\r\n\r\n")
        self._connection.done()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def _start(variant: str, headers: Headers) -> bytes:
    content_type, custom = _of_answer(headers)
    return _lines(variant, b"Content-Type", content_type, custom)


def _stream_start(variant: str, headers: Headers) -> bytes:
    content_type, custom = _of_answer(headers)
    start = _lines(variant, b"X-Amzn-SageMaker-Content-Type", content_type, custom)
    return start + b"Content-Type: %b\r\n" % event_stream.CONTENT_TYPE.encode()


def _of_answer(headers: Headers) -> tuple[bytes, bytes]:
    content_type = custom = b""
    for name, value in headers:
        if name == b"content-type":
            content_type = value
        elif name == _CUSTOM:
            custom = value
    return content_type, custom


@lru_cache(maxsize=1024)
def _lines(variant: str, type_name: bytes, content_type: bytes, custom: bytes) -> bytes:
    start = b"HTTP/1.1 200 OK\r\nx-Amzn-Invoked-Production-Variant: %b\r\n" % variant.encode()
    if content_type:
        start += b"%b: %b\r\n" % (type_name, content_type)
    return start + b"X-Amzn-SageMaker-Custom-Attributes: %b\r\n" % custom if custom else start
