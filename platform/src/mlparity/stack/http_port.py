"""One more port of the control plane's process: another ASGI app in the same event loop."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uvicorn import Config
    from uvicorn.server import ServerState

    from mlparity.stack.hand_over import HandOver

_KEEP_ALIVE_SECONDS = 75


class HttpPort:
    """Serves ``app`` on a listening socket beside the port that uvicorn's server has.

    ``hand_over`` gives connections that begin with an invocation to the router.
    """

    def __init__(self, app: Any, sock: socket.socket, hand_over: HandOver | None = None) -> None:
        self._app = app
        self._sock = sock
        self._hand_over = hand_over

    async def open(self, state: ServerState) -> asyncio.Server:
        """Take connections; they count as the server's own in ``state``, and end with it."""
        config = self._config()
        loop = asyncio.get_running_loop()
        hand_over = self._hand_over
        if hand_over is not None:
            return await loop.create_server(lambda: hand_over.protocol(config, state, {}), sock=self._sock)

        def protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = config.http_protocol_class(  # type: ignore[call-arg] # as uvicorn's server does
                config=config, server_state=state, app_state={}, _loop=loop
            )
            return made

        return await loop.create_server(protocol, sock=self._sock)

    async def open_for_router(self, state: ServerState) -> asyncio.Server:
        """Listen for what the router passes on; only where there is a ``hand_over``."""
        assert self._hand_over is not None  # noqa: S101 - the caller's part
        return await self._hand_over.open(self._config(), state)

    def _config(self) -> Config:
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
        return config
