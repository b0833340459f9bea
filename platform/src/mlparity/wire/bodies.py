"""Moving bodies between an ASGI server and worker threads, in constant memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, BinaryIO, Protocol, TypeVar

import anyio
from anyio import CancelScope, to_thread

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

Result_co = TypeVar("Result_co", covariant=True)

_BATCH = 1024 * 1024  # bytes handed to a thread at once
_MAX_DRAIN = 64 * 1024 * 1024  # bytes of a refused body that are read and dropped


class ClientGoneError(Exception):
    """The client closed the connection before its request ended: nobody is left to answer."""


class BodyTooLongError(Exception):
    """The body is longer than what it is for allows."""


class Receiver(Protocol[Result_co]):
    """Takes in a body. Its methods run in worker threads, one at a time."""

    def feed(self, data: bytes | bytearray) -> None:
        """Take the next bytes."""
        ...

    def finish(self) -> Result_co:
        """All have come."""
        ...

    def discard(self) -> None:
        """No more will come, and what came is not wanted."""
        ...


class RequestBody:
    """The receiving side of a request; knows whether anything of the body is still to come."""

    def __init__(self, headers: Iterable[tuple[bytes, bytes]], receive: Receive) -> None:
        named = dict(headers)
        self._receive = receive
        self._expects_continue = named.get(b"expect", b"").lower() == b"100-continue"
        self._pending = named.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in named

    async def __call__(self) -> Message:
        """The next message, as ASGI's ``receive``."""
        message = await self._receive()
        self._expects_continue = False  # asking for the body is what sends "100 Continue"
        self._pending = message.get("more_body", False)
        return message

    async def drain(self) -> bool:
        """Whether the connection can go on after an answer that did not wait for the body.

        A client that waits for "100 Continue" will not send the body, so the next request on the connection
        would be taken for it. Any other client sends it and must find somebody who reads.
        """
        drained = 0
        while self._pending and not self._expects_continue and drained < _MAX_DRAIN:
            message = await _next(self)
            drained += len(message.get("body", b""))
        return not self._pending


async def read_all(receive: Receive, limit: int) -> bytes:
    """The whole body. Raises ``BodyTooLongError`` where it is longer than ``limit`` bytes."""
    body = bytearray()
    while True:
        message = await _next(receive)
        body += message.get("body", b"")
        if len(body) > limit:
            raise BodyTooLongError
        if not message.get("more_body", False):
            return bytes(body)


async def stream_into(receiver: Receiver[Result_co], receive: Receive) -> Result_co:
    """Give the body to ``receiver`` batch by batch. On any error it is told to discard what it has."""
    try:
        more = True
        while more:
            batch = bytearray()
            while more and len(batch) < _BATCH:
                message = await _next(receive)
                batch += message.get("body", b"")
                more = message.get("more_body", False)
            await to_thread.run_sync(receiver.feed, batch)
        return await to_thread.run_sync(receiver.finish)
    except BaseException:
        with CancelScope(shield=True):
            await to_thread.run_sync(receiver.discard)
        raise


async def send_stream(stream: BinaryIO, length: int, receive: Receive, send: Send) -> None:
    """Send ``length`` bytes, and stop reading them where the client goes away."""
    async with anyio.create_task_group() as group:
        group.start_soon(_cancel_when_gone, receive, group.cancel_scope)
        left = length
        while left:
            chunk = await to_thread.run_sync(stream.read, min(left, _BATCH))
            if not chunk:
                raise OSError("the object is shorter than its row says")
            left -= len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": left > 0})
        group.cancel_scope.cancel()


async def _cancel_when_gone(receive: Receive, scope: CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _next(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    return message
