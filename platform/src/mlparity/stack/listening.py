"""uvicorn on a socket that the supervisor bound, telling it when requests are answered."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from mlparity.stack.child import READY_FD

if TYPE_CHECKING:
    from uvicorn.server import ServerState

    from mlparity.stack.hand_over import HandOver

Beside = Callable[["ServerState"], Awaitable[asyncio.Server]]
_GRACE_SECONDS = 5  # for requests in flight when told to stop


def serve(app: Any, fd: int, started: float, beside: Sequence[Beside] = (), hand_over: HandOver | None = None) -> None:
    """Serve ``app`` on the listening socket ``fd`` until SIGTERM; ``started`` is ``time.monotonic()`` at start.

    ``beside`` opens other listeners in the same event loop, whose connections count as uvicorn's own.
    ``hand_over`` gives connections that begin with an invocation to the router.
    """
    import uvicorn

    config = uvicorn.Config(
        app,
        interface="asgi3",
        proxy_headers=False,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        http=hand_over.protocol if hand_over is not None else "httptools",  # type: ignore[arg-type] # makes them
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=True,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_keep_alive=75,
    )
    server = uvicorn.Server(config)
    start_up = server.startup

    async def startup_and_tell(sockets: list[socket.socket] | None = None) -> None:
        await start_up(sockets)
        if server.started:
            for opened in beside:
                server.servers.append(await opened(server.server_state))
            if hand_over is not None:
                server.servers.append(await hand_over.open(config, server.server_state))
            tell_ready(started)

    # ``startup`` is the only place that knows when requests are taken.
    server.startup = startup_and_tell  # type: ignore[method-assign]
    server.run(sockets=[socket.socket(fileno=fd)])


def tell_ready(started: float) -> None:
    """Write the byte that the supervisor waits for."""
    sys.stderr.write(f"ready after {time.monotonic() - started:.2f} s\n")
    fd = os.environ.pop(READY_FD, "")
    if fd:
        os.write(int(fd), b"1")
        os.close(int(fd))
