"""Several requests in one: multipart/mixed of application/http. Uploads and downloads may not be in it.

https://cloud.google.com/storage/docs/batch
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from email.parser import BytesParser
from http.client import responses
from urllib.parse import urlsplit

from mlparity.storage.gcs.errors import GcsError
from mlparity.storage.gcs.message import GcsRequest, GcsResponse, read_query
from mlparity.storage.gcs.related import boundary_of

MAX_CALLS = 1000  # GCS says 100; its own Python client sends up to a thousand
MAX_BATCH = 10 * 1024 * 1024  # bytes

Answer = Callable[[GcsRequest, bytes], GcsResponse]  # never raises, and leaves no stream


def run_batch(request: GcsRequest, document: bytes, boundary: str, answer: Answer) -> GcsResponse:
    """Answer each request of the batch, in order."""
    boundary_of(request.headers.get("content-type", ""))
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode("latin-1", "replace")
    message = BytesParser().parsebytes(head + document)
    parts = [part for part in message.walk() if part is not message]
    if not message.is_multipart() or not parts:
        raise GcsError(400, "badRequest", "Failed to parse batch request, error: 0 items in the batch.")
    if len(parts) > MAX_CALLS:
        raise GcsError(400, "badRequest", f"The batch request could not be processed: more than {MAX_CALLS} calls.")
    body = bytearray()
    for part in parts:
        payload = part.get_payload(decode=True)
        inner, content = _read(request, payload if isinstance(payload, bytes) else b"")
        response = answer(inner, content)
        body += f"--{boundary}\r\nContent-Type: application/http\r\n".encode()
        if part.get("Content-ID"):
            body += f"Content-ID: {_response_id(str(part['Content-ID']))}\r\n".encode()
        body += b"\r\n" + _written(response) + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return GcsResponse(200, {"content-type": f"multipart/mixed; boundary={boundary}"}, bytes(body))


def _read(outer: GcsRequest, payload: bytes) -> tuple[GcsRequest, bytes]:
    head, _, content = payload.replace(b"\r\n", b"\n").lstrip(b"\n").partition(b"\n\n")
    line, *header_lines = head.decode("utf-8", "replace").split("\n")
    pieces = line.split(" ")
    if len(pieces) < 2:  # noqa: PLR2004 - a method and an address
        raise GcsError(400, "badRequest", "Failed to parse batch request, error: Failed to parse http request.")
    address = urlsplit(pieces[1])
    headers = {"host": outer.headers.get("host", "")}
    for header in header_lines:
        name, _, value = header.partition(":")
        headers[name.strip().lower()] = value.strip()
    inner = replace(
        outer,
        method=pieces[0],
        raw_path=address.path,
        raw_query=address.query,
        query=read_query(address.query),
        headers=headers,
    )
    return inner, content


def _written(response: GcsResponse) -> bytes:
    reason = responses.get(response.status, "")
    lines = [f"HTTP/1.1 {response.status} {reason}"]
    lines += [f"{name.title()}: {value}" for name, value in response.headers.items()]
    lines.append(f"Content-Length: {len(response.body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + response.body


def _response_id(given: str) -> str:
    text = given.strip()
    return f"<response-{text[1:]}" if text.startswith("<") else f"response-{text}"
