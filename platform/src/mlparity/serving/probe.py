"""One ``GET /ping`` over a unix socket, and what the kernel says of the process that listens there."""

from __future__ import annotations

import contextlib
import socket
import struct
from pathlib import Path

_REQUEST = b"GET /ping HTTP/1.1\r\nHost: model\r\nConnection: close\r\n\r\n"
_CREDENTIALS = struct.Struct("=3i")
_OK = b"200"


def answers_ping(path: Path, timeout: float) -> bool:
    """Whether the server at ``path`` answers 200 within ``timeout`` seconds."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(timeout)
        sock.connect(str(path))
        sock.sendall(_REQUEST)
        line = b""
        while b"\n" not in line:
            received = sock.recv(4096)
            if not received:
                return False
            line += received
        return line.split(None, 2)[1:2] == [_OK]
    return False


def listener_pid(path: Path) -> int | None:
    """The process that listens at ``path``, as this process's namespace numbers it; None where nothing does."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(1.0)
        sock.connect(str(path))
        pid, _, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        return int(pid) or None
    return None
