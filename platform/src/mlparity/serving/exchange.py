"""One request to a model and its answer, whatever protocol carried them, and what can go wrong in between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

CSV = "text/csv"
JSON = "application/json"
JSON_LINES = "application/jsonlines"
LIBSVM = "text/libsvm"
NPY = "application/x-npy"
ANY = "*/*"
TEXT = "text/plain; charset=utf-8"
# Other names of the same formats.
_ALIASES = {
    "text/x-libsvm": LIBSVM,
    "application/jsonl": JSON_LINES,
    "application/x-ndjson": JSON_LINES,
    "application/x-jsonlines": JSON_LINES,
}


@dataclass(frozen=True)
class Payload:
    """What a client sent: ``content_type`` and ``accept`` are media types without parameters, "" if not given.

    ``headers`` are the request's as they came, their names in lower case.
    """

    body: bytes
    content_type: str = ""
    accept: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """What the client gets. ``parts``: a streamed answer, whose parts come as the model makes them."""

    body: bytes
    content_type: str = JSON
    status: int = 200
    parts: Iterator[bytes] | None = None


class RefusedError(Exception):
    """The model server's answer to a request it cannot serve: an HTTP status and a sentence."""

    def __init__(self, status: int, message: str, content_type: str = TEXT) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.content_type = content_type


def bad_request(message: str) -> RefusedError:
    """400: the payload cannot be read, or the model refuses it."""
    return RefusedError(400, message)


def unsupported_media_type(content_type: str, supported: tuple[str, ...]) -> RefusedError:
    """415: no decoder for the payload's format."""
    return RefusedError(415, f"Content type {content_type} is not supported. Supported: {', '.join(supported)}.")


def not_acceptable(accept: str, supported: tuple[str, ...]) -> RefusedError:
    """406: no encoder for the wanted format."""
    return RefusedError(406, f"Accept type {accept} is not supported. Supported: {', '.join(supported)}.")


def media_type(header: str) -> str:
    """The type of a ``Content-Type`` header in lower case, its aliases resolved, its parameters dropped."""
    plain = header.partition(";")[0].strip().lower()
    return _ALIASES.get(plain, plain)


def accepted(header: str) -> str:
    """The first type of an ``Accept`` header; "" where any will do."""
    first = media_type(header.partition(",")[0])
    return "" if first == ANY else first
