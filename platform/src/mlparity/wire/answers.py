"""Answering over ASGI: a status, headers, and bytes or a stream of known length. Both bucket protocols do it alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO, Protocol

from anyio import to_thread

from mlparity.wire.bodies import Receive, Send, send_stream

_LENGTHLESS = (204, 304)


class Answer(Protocol):
    """What is sent. ``length`` is that of the stream; None where there is a body instead."""

    @property
    def status(self) -> int: ...  # noqa: D102
    @property
    def headers(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def body(self) -> bytes: ...  # noqa: D102
    @property
    def stream(self) -> BinaryIO | None: ...  # noqa: D102
    @property
    def length(self) -> int | None: ...  # noqa: D102


def encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI has them; metadata of objects may be any text."""
    return [(name.encode("latin-1"), value.encode("utf-8", "surrogateescape")) for name, value in headers.items()]


async def send_answer(answer: Answer, head: bool, receive: Receive, send: Send) -> None:
    """Send an answer whose length is known; to HEAD without its body. Closes its stream."""
    length = answer.length if answer.length is not None else len(answer.body)
    headers = encoded(answer.headers)
    if answer.status not in _LENGTHLESS:
        headers.append((b"content-length", str(length).encode()))
    try:
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if answer.stream is None or head:
            await send({"type": "http.response.body", "body": b"" if head else answer.body})
        else:
            await send_stream(answer.stream, length, receive, send)
    finally:
        if answer.stream is not None:
            await to_thread.run_sync(answer.stream.close)


async def lifespan(receive: Receive, send: Send) -> None:
    """Nothing is to be started or stopped with the server."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
