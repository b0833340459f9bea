"""One more port of the control plane's process: another ASGI app in the same event loop."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uvicorn.server import ServerState

_KEEP_ALIVE_SECONDS = 75


class HttpPort:
    """Serves ``app`` on a listening socket beside the port that uvicorn's server has."""

    def __init__(self, app: Any, sock: socket.socket) -> None:
        self._app = app
        self._sock = sock

    async def open(self, state: ServerState) -> asyncio.Server:
        """Take connections; they count as the server's own in ``state``, and end with it."""
        import uvicorn

        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            http="httptools",
            ws="none",
            lifespan="off",
            proxy_headers=False,
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        )
        config.load()
        loop = asyncio.get_running_loop()

        def protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = config.http_protocol_class(  # type: ignore[call-arg] # as uvicorn's server does
                config=config, server_state=state, app_state={}, _loop=loop
            )
            return made

        return await loop.create_server(protocol, sock=self._sock)
