"""The S3 endpoint: one ASGI application in front of a ``BucketStore``.

The event loop only moves bytes. Hashing, files and the database are worked in threads: a small request is
one hop to a thread, a large body one hop a megabyte.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import replace
from typing import Any

from anyio import to_thread

from mlparity.clock import Clock
from mlparity.errors import MlparityError
from mlparity.ids import IdSource
from mlparity.storage.bucketstore import BucketStore
from mlparity.storage.s3.documents import MAX_DOCUMENT, check_document
from mlparity.storage.s3.errors import S3Error, from_signature, from_store
from mlparity.storage.s3.message import Call, Context, S3Request, S3Response, parse_request
from mlparity.storage.s3.operations import Operation, resolve
from mlparity.storage.s3.properties import check_headers
from mlparity.storage.s3.receive import ObjectReceiver, declared_size
from mlparity.wire.answers import lifespan, send_answer
from mlparity.wire.bodies import BodyTooLongError, ClientGoneError, RequestBody, read_all, stream_into
from mlparity.wire.sigv4 import SignatureError, Verified, verify
from mlparity.wire.xml_write import Node, render

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SMALL = 64 * 1024  # bytes; a body up to this is handled in one hop
_REQUEST_ID_LENGTH = 16
_HOST_ID_LENGTH = 56
_log = logging.getLogger(__name__)


class S3App:
    """S3 over HTTP, path-style and (for amazonaws.com hosts) virtual-host style.

    Every request must be signed with one of ``credentials`` (access key -> secret).
    """

    def __init__(
        self,
        store: BucketStore,
        credentials: Mapping[str, str],
        clock: Clock,
        ids: IdSource,
        region: str,
        account_id: str,
    ) -> None:
        self._context = Context(store, clock, ids, region, account_id)
        self._credentials = credentials
        self._host_id = ids.token(_HOST_ID_LENGTH)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        request_id = self._context.ids.token(_REQUEST_ID_LENGTH).upper()
        body = RequestBody(scope["headers"], receive)
        try:
            try:
                response = await self._answer(scope, body)
            except S3Error as error:
                response = self._error(error, scope, request_id)
            reusable = await body.drain()
        except ClientGoneError:
            return
        headers = {
            "x-amz-request-id": request_id,
            "x-amz-id-2": self._host_id,
            **response.headers,
            **({} if reusable else {"connection": "close"}),
        }
        await send_answer(replace(response, headers=headers), scope["method"] == "HEAD", receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> S3Response:
        request = parse_request(scope)
        try:
            verified = verify(request.signed, self._credentials, self._context.clock)
        except SignatureError as error:
            raise from_signature(error) from error
        request = replace(request, region=verified.region)
        check_headers(self._context, request)
        operation = resolve(request)
        try:
            if operation.takes_object:
                return await self._take_object(operation, request, verified, receive)
            document = await _document(request, receive)
            call = Call(self._context, request, document)
            return await to_thread.run_sync(_run_document, operation, call, verified)
        except S3Error:
            raise
        except MlparityError as error:
            raise from_store(error) from error
        except OSError as error:
            _log.exception("%s failed", operation.name)
            raise S3Error("InternalError", f"The data folder cannot be used: {error.strerror}") from error
        except ClientGoneError:
            raise
        except Exception as error:
            _log.exception("%s failed", operation.name)
            raise S3Error("InternalError") from error

    async def _take_object(
        self, operation: Operation, request: S3Request, verified: Verified, receive: Receive
    ) -> S3Response:
        call = Call(self._context, request)
        declared_size(request)  # refuses bodies without a length, and those that are too long
        raw = request.headers.get("content-length", "")
        if raw.isdecimal() and int(raw) <= SMALL:
            body = await read_all(receive, SMALL)
            return await to_thread.run_sync(_run_small_object, operation, call, verified, body)
        receiver = await to_thread.run_sync(_begin_object, operation, call, verified)
        received = await stream_into(receiver, receive)
        return await to_thread.run_sync(operation.handler, replace(call, body=received))

    def _error(self, error: S3Error, scope: Scope, request_id: str) -> S3Response:
        nodes: list[Node] = [
            ("Code", error.code),
            ("Message", error.message),
            *error.fields.items(),
            ("Resource", scope["path"]),
            ("RequestId", request_id),
            ("HostId", self._host_id),
        ]
        headers = {"content-type": "application/xml", **error.headers}
        return S3Response(error.status, headers, render("Error", nodes))


def _run_document(operation: Operation, call: Call, verified: Verified) -> S3Response:
    check_document(call.request, verified, call.document)
    return operation.handler(call)


def _begin_object(operation: Operation, call: Call, verified: Verified) -> ObjectReceiver:
    if operation.prepare is not None:
        return ObjectReceiver(call.context, call.request, verified, operation.prepare(call))
    call.store.buckets.get(call.request.bucket)  # rather now than after gigabytes
    return ObjectReceiver(call.context, call.request, verified)


def _run_small_object(operation: Operation, call: Call, verified: Verified, body: bytes) -> S3Response:
    upload = operation.prepare(call) if operation.prepare is not None else None
    receiver = ObjectReceiver(call.context, call.request, verified, upload)
    try:
        receiver.feed(body)
        received = receiver.finish()
    except BaseException:
        receiver.discard()
        raise
    return operation.handler(replace(call, body=received))


async def _document(request: S3Request, receive: Receive) -> bytes:
    if request.method in ("GET", "HEAD", "DELETE"):
        return b""
    try:
        return await read_all(receive, MAX_DOCUMENT)
    except BodyTooLongError:
        raise S3Error("MaxMessageLengthExceeded", fields={"MaxMessageLengthBytes": str(MAX_DOCUMENT)}) from None
