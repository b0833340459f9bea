"""The router's life: its listeners, its channel to the control plane, and an orderly end."""

from __future__ import annotations

import asyncio
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

_GRACE_SECONDS = 5.0  # for requests in flight when told to end


@dataclass(frozen=True)
class Parts:
    """What a front makes of the loop and the channel."""

    dispatcher: Dispatcher
    spool: CaptureSpool
    handle: Handler


async def route(control: socket.socket, listener: socket.socket, make: Callable[[Channel], Parts]) -> None:
    """Serve connections of ``listener`` until the channel ends or says so, or SIGTERM comes."""
    loop = asyncio.get_running_loop()
    end = asyncio.Event()
    channel = Channel(end.set)
    parts = make(channel)
    channel.serve(parts.dispatcher, parts.spool)
    connections = Connections()
    loop.add_signal_handler(signal.SIGTERM, end.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # the control plane decides
    await loop.create_unix_connection(lambda: channel, sock=control)
    parts.spool.recover()
    server = await loop.create_unix_server(lambda: ServerConnection(parts.handle, connections), sock=listener)
    reports = loop.create_task(_report(channel, parts.dispatcher))
    channel.send({"ready": True})
    await end.wait()
    reports.cancel()
    server.close()
    await connections.shut_down(_GRACE_SECONDS)
    parts.dispatcher.close()
    await parts.spool.close()
    channel.report(parts.dispatcher.measurements)
    await channel.close()


async def _report(channel: Channel, dispatcher: Dispatcher) -> None:
    while True:
        await asyncio.sleep(REPORT_SECONDS)
        channel.report(dispatcher.measurements)
