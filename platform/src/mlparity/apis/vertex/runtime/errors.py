"""Errors of online predictions, as Google's JSON front has them: ``google.rpc.Status`` as ``{"error": …}``.

https://cloud.google.com/apis/design/errors
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlparity.serving.routing.invocation import Failure

_SERVER_ERROR = 500
_STATUSES = {
    400: "FAILED_PRECONDITION",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


@dataclass(frozen=True)
class Refusal:
    """One error answer: the HTTP status, and the canonical code's name."""

    code: int
    status: str
    message: str

    def document(self) -> dict[str, Any]:
        """The JSON body."""
        return {"error": {"code": self.code, "message": self.message, "status": self.status}}


def invalid(message: str) -> Refusal:
    """The request is at fault, whatever the endpoint."""
    return Refusal(400, "INVALID_ARGUMENT", message)


def of_model(status: int, body: str) -> Refusal:
    """The container answered ``status``: its own text is the message."""
    code = status if status in _STATUSES else (500 if status >= _SERVER_ERROR else 400)
    return Refusal(code, _STATUSES[code], body or f"The model server answered with HTTP status {status}.")


def without_predictions(body: str) -> Refusal:
    """The container answered with success and with something else than predictions."""
    return Refusal(
        400,
        "FAILED_PRECONDITION",
        f"Invalid response from prediction server - the response field predictions is missing. Response: {body}",
    )


def of_failure(failure: Failure, endpoint: str) -> Refusal:
    """What the router could not do; ``endpoint`` is the resource name."""
    if failure is Failure.NOT_FOUND:
        return Refusal(404, "NOT_FOUND", f"The Endpoint `{endpoint}` does not exist.")
    if failure in {Failure.NO_WEIGHT, Failure.NO_VARIANT}:
        message = f"The Endpoint `{endpoint}` has no deployed model that takes traffic."
        return Refusal(400, "FAILED_PRECONDITION", message)
    if failure is Failure.OVERLOADED:
        return Refusal(429, "RESOURCE_EXHAUSTED", "Too many requests wait for the endpoint's deployed models.")
    if failure is Failure.TIMED_OUT:
        return Refusal(504, "DEADLINE_EXCEEDED", "The model server did not answer in time.")
    if failure is Failure.BROKEN:
        return Refusal(500, "INTERNAL", "The model server ended while it answered the request.")
    return Refusal(503, "UNAVAILABLE", "The service is currently unavailable.")
