"""Messages over a stream socket: four bytes of length, then the payload; descriptors travel with the first byte."""

from __future__ import annotations

import array
import json
import socket
from collections.abc import Sequence
from typing import Any

_MAX_DESCRIPTORS = 253  # SCM_MAX_FD


def send(sock: socket.socket, payload: bytes, descriptors: Sequence[int] = ()) -> None:
    """Send one message whole. Raises ``OSError`` when the other side is gone."""
    data = len(payload).to_bytes(4, "big") + payload
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    sent = sock.sendmsg([data], ancillary)
    if sent < len(data):
        sock.sendall(data[sent:])


def receive(sock: socket.socket) -> tuple[bytes, list[int]] | None:
    """The next message and its descriptors; None at the end of the stream."""
    space = socket.CMSG_SPACE(_MAX_DESCRIPTORS * 4)
    header, ancillary, _, _ = sock.recvmsg(4, space, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    if not header:
        return None
    header += _exactly(sock, 4 - len(header))
    return _exactly(sock, int.from_bytes(header, "big")), list(descriptors)


def _exactly(sock: socket.socket, count: int) -> bytes:
    chunks = []
    while count:
        chunk = sock.recv(min(count, 1 << 20))
        if not chunk:
            raise EOFError("the stream ended inside a message")
        chunks.append(chunk)
        count -= len(chunk)
    return b"".join(chunks)


def send_json(sock: socket.socket, message: object, descriptors: Sequence[int] = ()) -> None:
    """Send ``message`` as JSON. Undecodable bytes of paths and environments survive as surrogates."""
    send(sock, json.dumps(message).encode("ascii"), descriptors)


def receive_json(sock: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next JSON message and its descriptors; None at the end of the stream."""
    received = receive(sock)
    if received is None:
        return None
    message: dict[str, Any] = json.loads(received[0])
    return message, received[1]
