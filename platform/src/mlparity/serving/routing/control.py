"""The router's end of its control channel: orders as JSON lines in, acknowledgements, metrics and questions out.

Orders: publish, remove, drain, flush, close; each has a number ``n``, and its acknowledgement is ``{"ack": n}``.
The channel's end means that the control plane is gone, and ends the router.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, cast

import orjson

from mlparity.serving.routing.table import EndpointTable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlparity.serving.routing.dispatching import Dispatcher
    from mlparity.serving.routing.measuring import Measurements

REPORT_SECONDS = 1.0


class Spool(Protocol):
    """What the channel needs of data capture."""

    async def flush(self, endpoint: str = "") -> None:
        """Close the files."""
        ...


class Channel(asyncio.Protocol):
    """One connection for the router's whole life. ``end`` is called when the router is to end."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._end = end
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._asked: dict[int, Callable[[Any], None]] = {}
        self._questions = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._lost = asyncio.Event()
        self._dispatcher: Dispatcher | None = None
        self._spool: Spool | None = None

    def serve(self, dispatcher: Dispatcher, spool: Spool) -> None:
        """Carry out orders on these."""
        self._dispatcher, self._spool = dispatcher, spool

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The control plane is there."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        """The control plane is gone."""
        self._transport = None
        self._lost.set()
        self._end()

    def data_received(self, data: bytes) -> None:
        """Some lines."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._obey(orjson.loads(line))

    def send(self, document: Mapping[str, Any]) -> None:
        """Send one line."""
        if self._transport is not None:
            self._transport.write(orjson.dumps(document) + b"\n")

    async def close(self) -> None:
        """Send what is not sent yet, and end the channel."""
        await asyncio.sleep(0)  # the capture thread's last messages
        if self._transport is not None:
            self._transport.close()
            await self._lost.wait()

    def ask(self, question: Mapping[str, Any], told: Callable[[Any], None]) -> None:
        """Have the control plane answer ``question``."""
        self._questions += 1
        self._asked[self._questions] = told
        self.send({"ask": self._questions, "question": question})

    def report(self, measurements: Measurements) -> None:
        """Send what was counted since the last report, if anything was."""
        found = [one.to_json() for one in measurements.take()]
        if found:
            self.send({"metrics": found})

    def spooled(self, path: Path) -> None:
        """Tell that a spool file is closed."""
        self.send({"spooled": str(path)})

    def _obey(self, order: dict[str, Any]) -> None:
        if "answer" in order:
            self._asked.pop(order["to"])(order["answer"])
            return
        operation, dispatcher, spool = order["op"], self._dispatcher, self._spool
        if dispatcher is None or spool is None:
            return
        if operation == "publish":
            dispatcher.publish(EndpointTable.from_json(order["table"]))
            self._ack(order)
        elif operation == "remove":
            dispatcher.remove(order["endpoint"])
            self._start(self._flush(order, spool))
        elif operation == "flush":
            self._start(self._flush(order, spool))
        elif operation == "drain":
            self._start(self._drain(order, dispatcher))
        elif operation == "close":
            self._end()

    def _ack(self, order: Mapping[str, Any], *, ok: bool = True) -> None:
        self.send({"ack": order["n"], "ok": ok})

    async def _flush(self, order: Mapping[str, Any], spool: Spool) -> None:
        await spool.flush(order["endpoint"])
        if self._dispatcher is not None:
            self.report(self._dispatcher.measurements)
        self._ack(order)

    async def _drain(self, order: Mapping[str, Any], dispatcher: Dispatcher) -> None:
        ok = await dispatcher.drain(order["sockets"], order["seconds"])
        self.report(dispatcher.measurements)
        self._ack(order, ok=ok)

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
