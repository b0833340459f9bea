"""Uploads in several requests: a session has an address, and what has come is never lost.

https://cloud.google.com/storage/docs/performing-resumable-uploads
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from mlparity.storage.bucketstore import Condition, Staged
from mlparity.storage.gcs.buckets_json import default_class
from mlparity.storage.gcs.conditions import check_now, condition_of
from mlparity.storage.gcs.errors import GcsError, invalid
from mlparity.storage.gcs.message import Call, GcsResponse, Received, check_object_name
from mlparity.storage.gcs.objects import answer
from mlparity.storage.gcs.objects_json import check_absent, new_properties
from mlparity.storage.gcs.receive import PieceReceiver, check_hashes, read_piece
from mlparity.storage.gcs.uploads import conditions_as_json, merged_resource
from mlparity.storage.gcs.xml_answers import object_headers
from mlparity.storage.sessions import Last, Session

_CLIENT_CLOSED = 499  # what GCS answers to a cancellation


def start(call: Call) -> GcsResponse:
    """Begin a session; its address is the answer's Location."""
    check_absent(call)
    request = call.request
    resource = merged_resource(call, call.resource(), request.headers.get("x-upload-content-type", ""))
    name = check_object_name(str(resource.get("name") or ""))
    condition = condition_of(call)
    bucket = call.store.buckets.get(request.bucket)
    new_properties(resource, default_class(bucket), Staged((), 0, ""))  # refuses now what the end would refuse
    check_now(call, name, condition)
    session = begin(call, name, resource, condition, xml=False)
    path = f"/upload/storage/v1/b/{quote(request.bucket)}/o"
    address = f"{request.base}{path}?uploadType=resumable&upload_id={session.session_id}"
    return GcsResponse(200, {"location": address, "x-guploader-uploadid": session.session_id})


def begin(call: Call, name: str, resource: Mapping[str, Any], condition: Condition, *, xml: bool) -> Session:
    """Make a session for an object."""
    length = call.request.headers.get("x-upload-content-length", "")
    kept = {
        "resource": dict(resource),
        "condition": conditions_as_json(condition),
        "total": int(length) if length.isdecimal() else None,
        "xml": xml,
    }
    return call.store.sessions.create(call.request.bucket, name, kept)


def receiver(call: Call) -> PieceReceiver | None:
    """Takes the next bytes; None where there are none to take: a question, or an upload that has ended."""
    session = _session(call)
    piece = read_piece(call.request)
    if piece.asks or session.generation is not None:
        return None
    declared = session.request.get("total")
    if declared is not None and piece.total not in (None, declared):
        raise invalid(f"The upload was declared to have {declared} bytes, not {piece.total}.")
    return PieceReceiver(call.context, session, piece)


def continue_upload(call: Call) -> GcsResponse:
    """Keep the bytes that have come; make the object where they are the last. Or tell how far the upload is."""
    if call.body is None:
        return _tell(call)
    received, session = call.received, call.received.session
    if session is None:
        raise GcsError(500, "backendError", "The request has no session.")
    if received.is_last:
        return _complete(call, session, received)
    moved = call.store.sessions.append(session, received.staged, received.crc32c)
    if received.running is not None:
        call.store.sessions.hashes.keep(session.session_id, moved.size, received.running)
    return _progress(moved)


def cancel(call: Call) -> GcsResponse:
    """End a session; what has come is dropped."""
    call.store.sessions.cancel(_session(call))
    return GcsResponse(_CLIENT_CLOSED)


def _tell(call: Call) -> GcsResponse:
    session = _session(call)
    if session.generation is not None:
        return _answer(call, session, session.generation)
    total = read_piece(call.request).total
    if total is not None and total < session.size:
        raise invalid(f"The upload has {session.size} bytes already, more than {total}.")
    if total != session.size:
        return _progress(session)
    writer = call.store.stage()  # the last bytes came before it was known that they are
    running = call.store.sessions.hashes.at(session.session_id, session.size)
    md5 = "" if running is None else running.hexdigest()
    received = Received(writer.finish(), md5=md5, crc32c=session.crc32c, session=session, is_last=True)
    return _complete(call, session, received)


def _complete(call: Call, session: Session, received: Received) -> GcsResponse:
    sessions, resource = call.store.sessions, session.request["resource"]
    try:
        md5 = received.md5 or sessions.md5(session, received.staged)
        check_hashes(call.request, resource, received, md5)
        total = session.size + received.staged.size
        if session.request.get("total") not in (None, total):
            raise invalid(f"The upload was declared to have {session.request['total']} bytes, not {total}.")
        bucket = call.store.buckets.get(session.bucket)
        whole = Staged((), total, md5, received.crc32c)
        properties = new_properties(resource, default_class(bucket), whole)
    except GcsError:
        call.store.unstage(received.staged)
        raise
    last = Last(received.staged, md5, received.crc32c)
    info = sessions.complete(session, last, properties, Condition(**session.request["condition"]))
    return _answer(call, session, info.sequence)


def _answer(call: Call, session: Session, generation: int) -> GcsResponse:
    info = call.store.generations.get(session.bucket, session.key, generation)
    if session.request.get("xml"):
        return GcsResponse(200, object_headers(info), b"")
    return answer(call, info)


def _progress(session: Session) -> GcsResponse:
    headers = {"x-guploader-uploadid": session.session_id}
    if session.size:
        headers["range"] = f"bytes=0-{session.size - 1}"
    return GcsResponse(308, headers)


def _session(call: Call) -> Session:
    session = call.store.sessions.get(call.request.query.get("upload_id", ""))
    if call.request.bucket not in ("", session.bucket):
        raise GcsError(404, "notFound", "The requested upload was not found.", code="NoSuchUpload")
    return session
