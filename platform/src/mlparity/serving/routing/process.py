"""The router as the control plane sees it: a process of its own that is kept alive and always knows the tables."""

from __future__ import annotations

import contextlib
import logging
import queue
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import orjson

from mlparity.errors import EngineError
from mlparity.serving.routing.measuring import VariantMetrics
from mlparity.serving.routing.table import EndpointTable

_LOG = logging.getLogger(__name__)
_BACKOFF = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0)  # seconds before each start in a row that failed
_ACK_SECONDS = 30.0  # for an order to be carried out; a router that died is started again meanwhile
_END_SECONDS = 10.0
_BACKLOG = 1024
_FIRST_BYTES = 256 * 1024  # most that is read of a connection before it is handed over
Report = Callable[[Sequence[VariantMetrics]], None]


@dataclass(frozen=True)
class Launch:
    """How the router is started; its descriptors are appended to ``command``."""

    command: Sequence[str]
    environment: Mapping[str, str]
    log_path: Path


@dataclass
class _Order:
    document: Mapping[str, Any]
    done: threading.Event = field(default_factory=threading.Event)
    ok: bool = False


class RouterProcess:
    """Starts the router, starts it again when it dies, and publishes every table to it anew. Implements ``Router``.

    ``answer`` answers the router's questions (a mapping) with text, or None. It and the listeners are called from
    threads of this object. ``folder`` is empty, for sockets (a short path), and goes with ``close``.
    """

    def __init__(self, launch: Launch, answer: Callable[[Mapping[str, Any]], str | None], folder: Path) -> None:
        self._launch = launch
        self._answer = answer
        self._reports: list[Report] = []
        self._spooled: list[Callable[[Path], None]] = []
        self._tables: dict[str, EndpointTable] = {}
        self._orders: dict[int, _Order] = {}
        self._numbers = 0
        self._lock = threading.RLock()  # of all above, and of writing to the channel
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = threading.Event()
        self._needed = threading.Event()
        self._heard: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._folder = folder
        self.socket_path = str(self._folder / "router.sock")  # HTTP: what the router serves
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.socket_path)
        self._listener.listen(_BACKLOG)
        # HTTP: what is not the router's own, of the connections of the stack's first port and of another one.
        self.control_plane_path = str(folder / "control-plane.sock")
        self.second_port_path = str(folder / "second-port.sock")
        self.hand_over, self._handed = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.hand_over.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _FIRST_BYTES)
        self._keeper = threading.Thread(target=self._keep, name="router", daemon=True)
        self._teller = threading.Thread(target=self._tell, name="router-reports", daemon=True)

    def listen(self, callback: Report) -> None:
        """Call ``callback`` with the metrics of about each second in which there were requests."""
        self._reports.append(callback)

    def on_spooled(self, callback: Callable[[Path], None]) -> None:
        """Call ``callback`` with each spool file of data capture that is closed."""
        self._spooled.append(callback)

    def start(self) -> None:
        """Start the threads. The process starts when it is first needed: most stacks serve no endpoint."""
        self._teller.start()
        self._keeper.start()

    def wake(self) -> None:
        """Start the process, if it is not needed yet; connections to ``socket_path`` wait until it answers."""
        self._needed.set()

    def close(self) -> None:
        """Let the router finish what it has, and end it; the last metrics are told before this returns."""
        self._closing.set()
        self._needed.set()
        with self._lock:
            self._send({"op": "close"})
        if self._keeper.is_alive():
            self._keeper.join(_END_SECONDS)
            if self._keeper.is_alive() and self._process is not None:
                self._process.kill()
                self._keeper.join()
        self._heard.put(None)
        if self._teller.is_alive():
            self._teller.join()
        for sock in (self._listener, self.hand_over, self._handed):
            sock.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The process id; 0 while there is none."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else 0

    def publish(self, table: EndpointTable) -> None:
        """Route the endpoint's requests by ``table`` from now on. Raises ``EngineError`` where the router is gone."""
        with self._lock:
            self._tables[table.endpoint] = table
        self._carry_out({"op": "publish", "table": table.to_json()})

    def remove(self, endpoint: str) -> None:
        """Forget the endpoint; what was captured of it is in closed spool files. Raises ``EngineError``."""
        with self._lock:
            self._tables.pop(endpoint, None)
        self._carry_out({"op": "remove", "endpoint": endpoint})

    def flush_capture(self, endpoint: str = "") -> None:
        """Close the spool files (of one endpoint, or all), so that they are uploaded. Raises ``EngineError``."""
        self._carry_out({"op": "flush", "endpoint": endpoint})

    def drain(self, sockets: Sequence[str], timeout_seconds: float) -> bool:
        """Wait until no request is under way to ``sockets``. False: time is up."""
        order = {"op": "drain", "sockets": list(sockets), "seconds": timeout_seconds}
        try:
            return self._carry_out(order, timeout_seconds + _ACK_SECONDS)
        except EngineError:
            return False

    def _carry_out(self, document: Mapping[str, Any], seconds: float = _ACK_SECONDS) -> bool:
        with self._lock:
            if self._closing.is_set():
                raise EngineError("the router is gone", "the stack is stopping")
            self._numbers += 1
            number = self._numbers
            order = self._orders[number] = _Order({**document, "n": number})
            self._send(order.document)
        self.wake()
        done = order.done.wait(seconds)
        with self._lock:
            self._orders.pop(number, None)
        if not done or self._closing.is_set():
            raise EngineError("the router does not answer", f"see {self._launch.log_path}")
        return order.ok

    def _send(self, document: Mapping[str, Any]) -> None:
        if self._channel is not None:
            with contextlib.suppress(OSError):  # it died: what is not acknowledged is sent to the next one
                self._channel.sendall(orjson.dumps(document) + b"\n")

    def _keep(self) -> None:
        failures = 0
        self._needed.wait()
        while not self._closing.wait(_BACKOFF[min(failures, len(_BACKOFF) - 1)]):
            try:
                ready = self._run()
            except OSError as error:
                _LOG.warning("the router cannot be started: %s", error)
                ready = False
            failures = 1 if ready else failures + 1
            if not self._closing.is_set():
                _LOG.warning("the router ended and is started again; see %s", self._launch.log_path)
        with self._lock:
            for order in self._orders.values():
                order.done.set()

    def _run(self) -> bool:
        """One life of the process; whether it was ever ready."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            process = self._process = self._spawn(theirs)
            theirs.close()
            with self._lock:
                self._channel = ours
                for table in self._tables.values():
                    self._send({"op": "publish", "table": table.to_json(), "n": 0})
                for order in self._orders.values():
                    self._send(order.document)
                if self._closing.is_set():
                    self._send({"op": "close"})
            try:
                return self._hear(ours)
            finally:
                with self._lock:
                    self._channel = None
                ours.close()  # the router ends when the channel does
                try:
                    process.wait(_END_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def _spawn(self, control: socket.socket) -> subprocess.Popen[bytes]:
        fds = (control.fileno(), self._listener.fileno(), self._handed.fileno())
        numbers = zip(("--control", "--listen", "--handed"), map(str, fds), strict=True)
        elsewhere = ("--elsewhere", self.control_plane_path, self.second_port_path)
        command = [*self._launch.command, *chain.from_iterable(numbers), *elsewhere]
        with self._launch.log_path.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - the stack's own module
                command,
                env=dict(self._launch.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=fds,
            )

    def _hear(self, channel: socket.socket) -> bool:
        ready, rest = False, b""
        while True:
            try:
                data = channel.recv(1 << 16)
            except OSError:
                data = b""
            if not data:
                return ready
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                message = orjson.loads(line)
                ready = ready or "ready" in message
                self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        if "ack" in message:
            with self._lock:
                order = self._orders.get(message["ack"])
            if order is not None:
                order.ok = message["ok"]
                order.done.set()
        elif "ask" in message:
            answer = self._answer(message["question"])
            with self._lock:
                self._send({"to": message["ask"], "answer": answer})
        elif "ready" not in message:
            self._heard.put(message)

    def _tell(self) -> None:
        while (message := self._heard.get()) is not None:
            try:
                if "metrics" in message:
                    metrics = [VariantMetrics.from_json(one) for one in message["metrics"]]
                    for report in self._reports:
                        report(metrics)
                elif "spooled" in message:
                    for spooled in self._spooled:
                        spooled(Path(message["spooled"]))
            except Exception:  # noqa: BLE001 - the next report is told all the same
                _LOG.exception("a listener of the router failed")
