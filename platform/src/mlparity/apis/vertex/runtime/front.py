"""Predict, RawPredict and StreamRawPredict over the router: requests in, the model's answer or an error out.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/predict and …/rawPredict
"""

from __future__ import annotations

from email.utils import formatdate

import orjson

from mlparity.apis.vertex.runtime import messages
from mlparity.apis.vertex.runtime.errors import Refusal, invalid, of_failure, of_model
from mlparity.apis.vertex.runtime.messages import MAX_BODY, RefusedError
from mlparity.apis.vertex.runtime.paths import API, PREDICTION, endpoint_name
from mlparity.clock import Clock
from mlparity.serving.routing.dispatching import Dispatcher
from mlparity.serving.routing.incoming import Handler, Request, ServerConnection
from mlparity.serving.routing.invocation import Failure, Headers, Invocation

_OK, _REDIRECT = 200, 300
_JSON = b"application/json"
_REASONS = {200: b"OK", 400: b"Bad Request", 401: b"Unauthorized", 403: b"Forbidden", 404: b"Not Found",
            409: b"Conflict", 429: b"Too Many Requests", 500: b"Internal Server Error", 501: b"Not Implemented",
            503: b"Service Unavailable", 504: b"Gateway Timeout"}  # fmt: skip
_PREDICT_HEAD = b"Content-Type: application/json\r\nAccept: application/json\r\n"
_PASSED = (b"content-type", b"accept")


class PredictionFront:
    """Handles the requests of ``ServerConnection``; what is no prediction goes to ``others``."""

    def __init__(self, dispatcher: Dispatcher, clock: Clock, others: Handler) -> None:
        self._dispatcher = dispatcher
        self._clock = clock
        self._others = others
        self._date_at, self._date = 0, b""

    def __call__(self, request: Request, connection: ServerConnection) -> None:
        """One request."""
        accepted_at = self._dispatcher.monotonic()
        found = PREDICTION.match(request.target.decode("latin-1"))
        if found is None or request.method != "POST":
            self._others(request, connection)
            return
        resource, location, endpoint_id, method = found.groups()
        if request.too_large or len(request.body) > MAX_BODY:
            request.close = request.close or request.too_large
            self.refuse(connection, invalid(f"Request payload size exceeds the limit: {MAX_BODY} bytes."))
            return
        endpoint = f"{API}/{endpoint_name(location, endpoint_id)}"
        if method == "predict":
            self._predict(request, connection, resource, endpoint, accepted_at)
        else:
            self._raw(request, connection, resource, endpoint, accepted_at, stream=method != "rawPredict")

    def _predict(
        self, request: Request, connection: ServerConnection, resource: str, endpoint: str, accepted_at: float
    ) -> None:
        try:
            body = messages.request(request.body)
        except RefusedError as error:
            self.refuse(connection, error.refusal)
            return
        self._dispatcher.invoke(
            Invocation(
                endpoint,
                _PREDICT_HEAD,
                body,
                _Prediction(self, connection, resource),
                content_type=_JSON.decode(),
                accepted_at=accepted_at,
            )
        )

    def _raw(
        self,
        request: Request,
        connection: ServerConnection,
        resource: str,
        endpoint: str,
        accepted_at: float,
        *,
        stream: bool,
    ) -> None:
        lines = [b"%b: %b\r\n" % pair for pair in request.headers if pair[0] in _PASSED]
        self._dispatcher.invoke(
            Invocation(
                endpoint,
                b"".join(lines),
                request.body,
                _Raw(self, connection, resource),
                stream=stream,
                content_type=request.header(b"content-type").decode("latin-1"),
                accepted_at=accepted_at,
            )
        )

    def refuse(self, connection: ServerConnection, refusal: Refusal) -> None:
        """Answer with an error."""
        self.answer(connection, refusal.code, _JSON, orjson.dumps(refusal.document()))

    def answer(
        self, connection: ServerConnection, status: int, content_type: bytes, body: bytes, more: bytes = b""
    ) -> None:
        """Answer whole; ``more`` are further header lines."""
        connection.answer(self.head(connection, status, content_type, more, len(body)), body)

    def head(
        self, connection: ServerConnection, status: int, content_type: bytes, more: bytes, length: int | None
    ) -> bytes:
        """A whole head. ``length`` None: the body is chunked."""
        now = int(self._clock.now().timestamp())
        if now != self._date_at:
            self._date_at, self._date = now, formatdate(now, usegmt=True).encode()
        return b"HTTP/1.1 %d %b\r\n%b%bDate: %b\r\n%b%b\r\n\r\n" % (
            status,
            _REASONS.get(status, b"Unknown"),
            b"Content-Type: %b\r\n" % content_type if content_type else b"",
            more,
            self._date,
            b"Connection: close\r\n" if connection.closing else b"",
            b"Transfer-Encoding: chunked" if length is None else b"Content-Length: %d" % length,
        )


class _Prediction:
    """Answers Predict."""

    __slots__ = ("_connection", "_front", "_resource")

    def __init__(self, front: PredictionFront, connection: ServerConnection, resource: str) -> None:
        self._front = front
        self._connection = connection
        self._resource = resource

    def answered(self, invocation: Invocation, status: int, headers: Headers, body: bytes) -> None:  # noqa: ARG002
        front, connection = self._front, self._connection
        if not _OK <= status < _REDIRECT:
            front.refuse(connection, of_model(status, body.decode("utf-8", "replace")))
            return
        try:
            answer = messages.response(body, invocation.labels)
        except RefusedError as error:
            front.refuse(connection, error.refusal)
            return
        front.answer(connection, 200, _JSON, answer)

    def failed(self, invocation: Invocation, failure: Failure) -> None:  # noqa: ARG002
        self._front.refuse(self._connection, of_failure(failure, self._resource))

    def began(self, invocation: Invocation, status: int, headers: Headers) -> None:
        """Only streams begin."""

    def part(self, invocation: Invocation, data: bytes) -> None:
        """Only streams have parts."""

    def ended(self, invocation: Invocation) -> None:
        """Only streams end."""


class _Raw:
    """Answers RawPredict and StreamRawPredict: the container's answer as it is, whole or as it comes."""

    __slots__ = ("_connection", "_front", "_resource")

    def __init__(self, front: PredictionFront, connection: ServerConnection, resource: str) -> None:
        self._front = front
        self._connection = connection
        self._resource = resource

    def answered(self, invocation: Invocation, status: int, headers: Headers, body: bytes) -> None:
        more = _served_by(self._resource, invocation)
        self._front.answer(self._connection, status, _type_of(headers), body, more)

    def failed(self, invocation: Invocation, failure: Failure) -> None:
        if invocation.began:  # nothing can be told any more: the client sees that the body is not whole
            self._connection.done(abort=True)
        else:
            self._front.refuse(self._connection, of_failure(failure, self._resource))

    def began(self, invocation: Invocation, status: int, headers: Headers) -> None:
        connection = self._connection
        connection.on_pause, connection.on_resume = invocation.suspend, invocation.resume
        more = _served_by(self._resource, invocation)
        connection.write(self._front.head(connection, status, _type_of(headers), more, None))

    def part(self, invocation: Invocation, data: bytes) -> None:  # noqa: ARG002
        if data:
            self._connection.write(b"%x\r\n%b\r\n" % (len(data), data))

    def ended(self, invocation: Invocation) -> None:  # noqa: ARG002
        self._connection.write(b"0\r\n\r\n")
        self._connection.done()


def _type_of(headers: Headers) -> bytes:
    return next((value for name, value in headers if name == b"content-type"), b"")


def _served_by(resource: str, invocation: Invocation) -> bytes:
    endpoint = resource.rpartition("/")[2].encode()
    return b"X-Vertex-AI-Endpoint-Id: %b\r\nX-Vertex-AI-Deployed-Model-Id: %b\r\n" % (
        endpoint,
        invocation.variant.encode(),
    )
