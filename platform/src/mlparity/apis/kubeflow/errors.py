"""Errors as KFP's API server answers them: a gRPC status, told over JSON by its gateway.

``message`` is the chain of what failed, outermost first, ending in the kind and the cause; ``details`` carry the
cause alone (``error_message``) for people. ``error`` repeats the message, as older gateways did.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from mlparity.errors import (
    ConflictError,
    InvalidRequestError,
    MlparityError,
    NotFoundError,
    RuntimeUnavailableError,
    StateError,
)

_DETAIL = "type.googleapis.com/api.Error"


class Code(IntEnum):
    """The gRPC codes that the server answers."""

    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    FAILED_PRECONDITION = 9
    ABORTED = 10
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14

    @property
    def status(self) -> int:
        """The HTTP status that the gateway maps it to."""
        return _STATUS[self]


_STATUS = {
    Code.INVALID_ARGUMENT: 400,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
}
_KINDS = {
    Code.INVALID_ARGUMENT: "Invalid input error: ",
    Code.NOT_FOUND: "ResourceNotFoundError: ",
    Code.ALREADY_EXISTS: "Already exist error: ",
    Code.FAILED_PRECONDITION: "FailedPreconditionError: ",
    Code.ABORTED: "BadRequestError: ",
    Code.INTERNAL: "InternalServerError: ",
}


class KubeflowError(Exception):
    """An answer with an error: its code and what a person is told."""

    def __init__(self, code: Code, message: str, context: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.context = context

    def within(self, context: str) -> KubeflowError:
        """The same error, told as part of what the caller asked for."""
        joined = f"{context}: {self.context}" if self.context else context
        return KubeflowError(self.code, self.message, joined)

    def document(self) -> dict[str, Any]:
        """The JSON answer."""
        inner = f"{_KINDS.get(self.code, '')}{self.message}"
        told = f"{self.context}: {inner}" if self.context else inner
        detail = {"@type": _DETAIL, "error_message": self.message, "error_details": told}
        return {"error": told, "code": int(self.code), "message": told, "details": [detail]}


def invalid(message: str) -> KubeflowError:
    """The request cannot be right."""
    return KubeflowError(Code.INVALID_ARGUMENT, message)


def not_found(kind: str, name: str) -> KubeflowError:
    """A resource that is not there: "Run 123 not found."."""
    return KubeflowError(Code.NOT_FOUND, f"{kind} {name} not found.")


def exists(message: str) -> KubeflowError:
    """The name is taken."""
    return KubeflowError(Code.ALREADY_EXISTS, message)


def precondition(message: str) -> KubeflowError:
    """The state of a resource forbids the request."""
    return KubeflowError(Code.FAILED_PRECONDITION, message)


def not_served(feature: str) -> KubeflowError:
    """What KFP does and mlparity does not: refused by name."""
    return KubeflowError(Code.UNIMPLEMENTED, f"{feature} is not served by mlparity. See `mlparity parity kubeflow`.")


def from_mlparity(error: MlparityError) -> KubeflowError:
    """The vendor's error for one of ours that no operation translated."""
    text = ". ".join(error.lines())
    if isinstance(error, NotFoundError):
        return KubeflowError(Code.NOT_FOUND, text)
    if isinstance(error, ConflictError):
        return exists(text)
    if isinstance(error, InvalidRequestError | RuntimeUnavailableError):
        return invalid(text)
    if isinstance(error, StateError):
        return KubeflowError(Code.UNAVAILABLE, text)
    return KubeflowError(Code.INTERNAL, text)
