"""Listening sockets, and who holds a port."""

from __future__ import annotations

import socket
from contextlib import closing

from mlparity.errors import PortInUseError
from mlparity.stack.config import LOOPBACK

_BACKLOG = 2048


def listen(port: int, part: str, ways: str) -> socket.socket:
    """A listening socket on the loopback address, inheritable.

    Raises ``PortInUseError`` naming the holder; ``ways`` is how to choose another port.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((LOOPBACK, port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise PortInUseError(
            f"port {port}, for {part}, is in use",
            _holder(port) or error.strerror or str(error),
            f"stop that program, or choose another port: {ways}",
        ) from error
    sock.set_inheritable(True)
    return sock


def check_free(port: int, part: str, ways: str) -> None:
    """Raise ``PortInUseError`` unless the port can be listened on."""
    listen(port, part, ways).close()


def free_port() -> int:
    """A port that nothing listens on at this moment."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as sock:
        sock.bind((LOOPBACK, 0))
        return int(sock.getsockname()[1])


def _holder(port: int) -> str:
    """Which program listens on ``port``; "" where the system does not tell."""
    import psutil

    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
                if connection.pid is None:
                    return "a program of another user listens on it"
                process = psutil.Process(connection.pid)
                command = " ".join(process.cmdline()[:4]) or process.name()
                return f"process {connection.pid} ({command[:120]}) listens on it"
    except (psutil.Error, OSError):
        return ""
    return ""
