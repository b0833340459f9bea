"""The router's life: its listeners, its channel to the control plane, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlparity.serving.routing.control import REPORT_SECONDS, Channel
from mlparity.serving.routing.incoming import Connections, Handler, ServerConnection

if TYPE_CHECKING:
    from mlparity.serving.routing.capture import CaptureSpool
    from mlparity.serving.routing.dispatching import Dispatcher

_FIRST_BYTES = 256 * 1024
_GRACE_SECONDS = 5.0  # for requests in flight when told to end


@dataclass(frozen=True)
class Parts:
    """What a front makes of the loop and the channel."""

    dispatcher: Dispatcher
    spool: CaptureSpool
    handle: Callable[[bytes], Handler]  # by their first bytes: of connections that the control plane handed over
    handle_forwarded: Handler  # of the control plane's own connections: it has decided that they are the router's


@dataclass(frozen=True)
class Sockets:
    """What the control plane passed on at the start."""

    control: socket.socket  # the channel
    listener: socket.socket  # for the control plane's own connections
    handed: socket.socket  # where it hands over connections of clients


async def route(sockets: Sockets, make: Callable[[Channel], Parts]) -> None:
    """Serve connections until the channel ends or says so, or SIGTERM comes."""
    loop = asyncio.get_running_loop()
    end = asyncio.Event()
    channel = Channel(end.set)
    parts = make(channel)
    channel.serve(parts.dispatcher, parts.spool)
    connections = Connections()
    loop.add_signal_handler(signal.SIGTERM, end.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # the control plane decides
    await loop.create_unix_connection(lambda: channel, sock=sockets.control)
    parts.spool.recover()
    server = await loop.create_unix_server(
        lambda: ServerConnection(parts.handle_forwarded, connections), sock=sockets.listener
    )
    handed = Handed(sockets.handed, parts.handle, connections)
    reports = loop.create_task(_report(channel, parts.dispatcher))
    channel.send({"ready": True})
    await end.wait()
    reports.cancel()
    server.close()
    handed.close()
    await connections.shut_down(_GRACE_SECONDS)
    parts.dispatcher.close()
    await parts.spool.close()
    channel.report(parts.dispatcher.measurements)
    await channel.close()


class Handed:
    """Takes the connections that the control plane hands over."""

    def __init__(self, sock: socket.socket, handle: Callable[[bytes], Handler], connections: Connections) -> None:
        self._sock = sock
        self._handle = handle
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        sock.setblocking(False)
        self._loop.add_reader(sock, self._take)

    def close(self) -> None:
        """Take no more: those that come now wait for the next router."""
        self._loop.remove_reader(self._sock)

    def _take(self) -> None:
        try:
            first, descriptors, _, _ = socket.recv_fds(self._sock, _FIRST_BYTES, 1)
        except BlockingIOError:
            return
        if not descriptors:  # the control plane is gone
            self.close()
            return
        task = self._loop.create_task(self._serve(socket.socket(fileno=descriptors[0]), first))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: socket.socket, first: bytes) -> None:
        client.setblocking(False)
        with contextlib.suppress(OSError):  # it is gone already
            await self._loop.connect_accepted_socket(
                lambda: ServerConnection(self._handle(first), self._connections, first), client
            )


async def _report(channel: Channel, dispatcher: Dispatcher) -> None:
    while True:
        await asyncio.sleep(REPORT_SECONDS)
        channel.report(dispatcher.measurements)
