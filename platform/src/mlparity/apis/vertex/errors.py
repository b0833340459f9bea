"""Vertex's errors: their codes and wording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlparity.errors import (
    ConflictError,
    EngineError,
    InvalidRequestError,
    MlparityError,
    NoSuchBucketError,
    NoSuchObjectError,
    NotFoundError,
    PreconditionFailedError,
    StackError,
)
from mlparity.wire.google.status import Code, GoogleError, Violation, bad_request, resource_info

_SERVICE = "aiplatform.googleapis.com"
_CODES: Sequence[tuple[type[MlparityError], Code]] = (
    (NotFoundError, Code.NOT_FOUND),
    (NoSuchBucketError, Code.NOT_FOUND),
    (NoSuchObjectError, Code.NOT_FOUND),
    (ConflictError, Code.FAILED_PRECONDITION),
    (PreconditionFailedError, Code.FAILED_PRECONDITION),
    (InvalidRequestError, Code.INVALID_ARGUMENT),
    (EngineError, Code.FAILED_PRECONDITION),
    (StackError, Code.UNAVAILABLE),
)


def invalid(violations: Mapping[str, str] | Sequence[Violation]) -> GoogleError:
    """INVALID_ARGUMENT that names fields: {"endpoint.display_name": "Required field is not set."}."""
    if isinstance(violations, Mapping):
        violations = [Violation(path, text) for path, text in violations.items()]
    listed = "\t".join(f"{n}.Field: {item.field}; Message: {item.description}" for n, item in enumerate(violations, 1))
    return GoogleError(Code.INVALID_ARGUMENT, f"List of found errors:\t{listed}\t", [bad_request(violations)])


def invalid_argument(message: str) -> GoogleError:
    """INVALID_ARGUMENT that is about no single field."""
    return GoogleError(Code.INVALID_ARGUMENT, message)


def not_found(kind: str, name: str) -> GoogleError:
    """NOT_FOUND of a resource; ``kind`` is its message's name. The detail says which, as the service's words do not."""
    return GoogleError(Code.NOT_FOUND, f"The {kind} does not exist.", [resource_info(f"{_SERVICE}/{kind}", name)])


def already_exists(kind: str, name: str) -> GoogleError:
    """ALREADY_EXISTS of a resource."""
    return GoogleError(Code.ALREADY_EXISTS, f"{kind} `{name}` already exists.")


def failed_precondition(message: str) -> GoogleError:
    """FAILED_PRECONDITION: the resource's state forbids the request."""
    return GoogleError(Code.FAILED_PRECONDITION, message)


def unimplemented(message: str) -> GoogleError:
    """UNIMPLEMENTED: a part of a method that is not served here."""
    return GoogleError(Code.UNIMPLEMENTED, message)


def from_mlparity(error: MlparityError) -> GoogleError:
    """The substrate's errors as Vertex would tell them."""
    code = next((code for kind, code in _CODES if isinstance(error, kind)), Code.INTERNAL)
    return GoogleError(code, ". ".join(error.lines()))
