"""Errors of Google's APIs: google.rpc.Status, over REST and gRPC.

https://cloud.google.com/apis/design/errors: codes, HTTP statuses and details.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from mlparity.wire.google.descriptors import ApiVersion, Message

_TYPES = "type.googleapis.com/"


class Code(Enum):
    """google.rpc.Code with the HTTP status that stands for it."""

    CANCELLED = (1, 499)
    UNKNOWN = (2, 500)
    INVALID_ARGUMENT = (3, 400)
    DEADLINE_EXCEEDED = (4, 504)
    NOT_FOUND = (5, 404)
    ALREADY_EXISTS = (6, 409)
    PERMISSION_DENIED = (7, 403)
    RESOURCE_EXHAUSTED = (8, 429)
    FAILED_PRECONDITION = (9, 400)
    ABORTED = (10, 409)
    OUT_OF_RANGE = (11, 400)
    UNIMPLEMENTED = (12, 501)
    INTERNAL = (13, 500)
    UNAVAILABLE = (14, 503)
    DATA_LOSS = (15, 500)
    UNAUTHENTICATED = (16, 401)

    @property
    def number(self) -> int:
        """As gRPC sends it."""
        return self.value[0]

    @property
    def http(self) -> int:
        """As REST sends it."""
        return self.value[1]


@dataclass(frozen=True)
class Violation:
    """One thing wrong with one field: ``field`` is its path in the request ("" where there is none)."""

    field: str
    description: str


class GoogleError(Exception):
    """What a method answers instead of its response. ``details`` are google.rpc messages in JSON form with "@type"."""

    def __init__(self, code: Code, message: str, details: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = tuple(details)

    def as_json(self) -> dict[str, Any]:
        """The body of a REST answer."""
        error: dict[str, Any] = {"code": self.code.http, "message": self.message, "status": self.code.name}
        if self.details:
            error["details"] = [dict(detail) for detail in self.details]
        return {"error": error}

    def status_json(self) -> dict[str, Any]:
        """google.rpc.Status in JSON form, as it is kept in operations."""
        found: dict[str, Any] = {"code": self.code.number, "message": self.message}
        return {**found, "details": [dict(detail) for detail in self.details]} if self.details else found

    def as_status(self, api: ApiVersion) -> Message:
        """google.rpc.Status, as gRPC's trailer and operations carry it."""
        from google.protobuf.json_format import ParseDict

        return ParseDict(self.status_json(), api.new("google.rpc.Status"), descriptor_pool=api.pool)


def bad_request(violations: Sequence[Violation]) -> dict[str, Any]:
    """A google.rpc.BadRequest detail."""
    found = [{**({"field": item.field} if item.field else {}), "description": item.description} for item in violations]
    return {"@type": f"{_TYPES}google.rpc.BadRequest", "fieldViolations": found}


def error_info(reason: str, domain: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    """A google.rpc.ErrorInfo detail."""
    return {"@type": f"{_TYPES}google.rpc.ErrorInfo", "reason": reason, "domain": domain, "metadata": dict(metadata)}


def resource_info(kind: str, name: str) -> dict[str, Any]:
    """A google.rpc.ResourceInfo detail; ``kind`` is "service/Type"."""
    return {"@type": f"{_TYPES}google.rpc.ResourceInfo", "resourceType": kind, "resourceName": name}


def unreadable(violations: Sequence[Violation]) -> GoogleError:
    """The answer to a request that is no message of the method's."""
    text = "\n".join(item.description for item in violations)
    return GoogleError(Code.INVALID_ARGUMENT, text, [bad_request(violations)])
