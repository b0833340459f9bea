"""Connections that begin with an invocation are handed to the router's process, for good.

The first bytes of a connection tell. The router gets the connection's descriptor and those bytes over a socket pair
(SCM_RIGHTS), and serves it without a hop through this process. Where the router does not take it at once, the
connection stays here, and its requests reach the router through the ASGI app: slower, and with the same answers.
"""

from __future__ import annotations

import asyncio
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from uvicorn import Config
    from uvicorn.server import ServerState

_LINE = 512  # bytes in which an invocation's first line must have told that it is one


@dataclass(frozen=True)
class Invocations:
    """How the requests of one port begin that are the router's."""

    start: bytes
    line: re.Pattern[bytes]

    def may_come(self, first: bytes) -> bool:
        """Whether more bytes are needed to tell."""
        return self.start.startswith(first[: len(self.start)]) and b"\n" not in first and len(first) < _LINE


SAGEMAKER = Invocations(
    b"POST /endpoints/", re.compile(rb"POST /endpoints/[^/ \r\n]*/invocations(-response-stream)?[ ?]")
)
PREDICTIONS = Invocations(
    b"POST /v1",
    re.compile(
        rb"POST /v1(beta1)?/projects/[^/ ?\r\n]+/locations/[^/ ?\r\n]+/endpoints/[^/: ?\r\n]+"
        rb":(predict|rawPredict|streamRawPredict)[ ?]"
    ),
)


class RouterEnds(Protocol):
    """What is needed of the router's process."""

    hand_over: socket.socket  # our end of the pair

    def wake(self) -> None:
        """Have the router started, if it is not needed yet."""
        ...


class HandOver:
    """Makes the protocols of uvicorn's connections. ``path``: where the router passes on what is not its own."""

    def __init__(self, router: RouterEnds, path: str, invocations: Invocations = SAGEMAKER) -> None:
        self.invocations = invocations
        self._router = router
        self._path = path

    def protocol(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> asyncio.Protocol:
        """What uvicorn calls for each connection in place of its own protocol's class."""
        return FirstBytes(self, config, server_state, app_state)

    async def open(self, config: Config, server_state: ServerState) -> asyncio.Server:
        """Listen for what the router passes on, with uvicorn's own protocol."""
        loop = asyncio.get_running_loop()
        return await loop.create_unix_server(lambda: http(config, server_state, {}), self._path)

    def take(self, sock: socket.socket, data: bytes) -> bool:
        """Give a connection away; False: it stays."""
        self._router.wake()
        try:
            socket.send_fds(self._router.hand_over, [data], [sock.fileno()], socket.MSG_DONTWAIT)
        except OSError:
            return False
        return True


class FirstBytes(asyncio.Protocol):
    """A connection until it is known whose it is."""

    def __init__(self, owner: HandOver, config: Config, state: ServerState, app_state: dict[str, Any]) -> None:
        self._owner = owner
        self._config = config
        self._state = state
        self._app_state = app_state
        self._first = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for its first bytes."""
        self._transport = cast("asyncio.Transport", transport)  # by its methods; uvloop's is none by its class
        self._state.connections.add(self)  # type: ignore[arg-type] # uvicorn needs no more than ``shutdown``

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        """It went away, or was given away."""
        self._state.connections.discard(self)

    def shutdown(self) -> None:
        """Close; called when the server ends."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Decide, as soon as the bytes tell."""
        self._first += data
        first, transport = self._first, self._transport
        if transport is None:
            return
        invocations = self._owner.invocations
        found = invocations.line.match(first)
        if found is None and invocations.may_come(first):
            return
        if found is not None and self._owner.take(transport.get_extra_info("socket"), first):
            transport.pause_reading()  # what follows is the router's to read
            transport.abort()  # closes this process's descriptor only
            return
        self._state.connections.discard(self)
        protocol = http(self._config, self._state, self._app_state)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(first)


def http(config: Config, state: ServerState, app_state: dict[str, Any]) -> asyncio.Protocol:
    """The protocol of uvicorn for one connection."""
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    return HttpToolsProtocol(config, state, app_state, asyncio.get_running_loop())
