"""A real router process, and little model servers on unix sockets whose behaviour a test decides."""

from __future__ import annotations

import http.client
import socket
import socketserver
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from mlparity.serving.endpoints.plans import CapturePlan
from mlparity.serving.routing.measuring import VariantMetrics
from mlparity.serving.routing.process import RouterProcess
from mlparity.serving.routing.table import EndpointTable, RoutedDeployment
from mlparity.stack.config import ControlPlaneConfig
from mlparity.stack.router import router

SECRETS = {"tester": "a-secret"}
Behaviour = Callable[["LittleWorker", BaseHTTPRequestHandler, bytes], None]


def answer(worker: LittleWorker, handler: BaseHTTPRequestHandler, body: bytes) -> None:
    """The worker's name and the body."""
    reply(handler, 200, f"{worker.name}:".encode() + body)


def reply(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    """One whole answer."""
    handler.send_response(status)
    for name, value in {"Content-Type": "text/csv", "Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    lines = b"".join(handler._headers_buffer)  # type: ignore[attr-defined]
    handler._headers_buffer = []  # type: ignore[attr-defined]
    handler.wfile.write(lines + b"\r\n" + body)


def die(worker: LittleWorker, handler: BaseHTTPRequestHandler, _body: bytes) -> None:
    """End without a byte."""
    worker.stop()


def die_halfway(worker: LittleWorker, handler: BaseHTTPRequestHandler, _body: bytes) -> None:
    """Promise more than is sent."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: 100\r\n\r\nhalf")
    worker.stop()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128
    worker: LittleWorker

    def handle_error(self, request: object, client_address: object) -> None:
        """Connections that end while they are answered are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.worker.connected.add(self.request)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        worker = self.server.worker
        worker.seen.append(body)
        worker.headers.append(dict(self.headers.items()))
        with worker.changed:
            worker.counts[body] += 1
            worker.changed.notify_all()
        worker.behaviour(worker, self, body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@dataclass
class LittleWorker:
    """A model server in threads of the test."""

    path: Path
    name: str
    behaviour: Behaviour = answer
    seen: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    counts: Counter[bytes] = field(default_factory=Counter)
    changed: threading.Condition = field(default_factory=threading.Condition)
    go_on: threading.Event = field(default_factory=threading.Event)
    connected: set[socket.socket] = field(default_factory=set)

    def start(self) -> LittleWorker:
        self.path.unlink(missing_ok=True)
        self._server = _Server(str(self.path), _Handler)
        self._server.worker = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def wait_for(self, count: int, seconds: float = 10) -> None:
        """Until so many requests have come."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.seen) >= count, seconds), f"{len(self.seen)} requests came"

    def stop(self) -> None:
        """As a process that is killed: its socket refuses, its connections end."""
        self._server.socket.close()
        for connection in list(self.connected):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        threading.Thread(target=self._server.shutdown, daemon=True).start()


@dataclass
class Routing:
    """A running router and what a test does with it."""

    process: RouterProcess
    folder: Path
    config: ControlPlaneConfig
    metrics: list[VariantMetrics] = field(default_factory=list)
    workers: list[LittleWorker] = field(default_factory=list)
    _names: int = 0

    def worker(self, behaviour: Behaviour = answer) -> LittleWorker:
        """A new worker that answers."""
        self._names += 1
        made = LittleWorker(self.folder / f"w{self._names}", f"w{self._names}", behaviour).start()
        self.workers.append(made)
        return made

    def publish(self, name: str, *deployments: RoutedDeployment, capture: CapturePlan | None = None) -> None:
        """Route ``name``."""
        self.process.publish(EndpointTable(f"sagemaker/{name}", deployments, capture))

    def metrics_of(self, name: str, variant: str) -> list[VariantMetrics]:
        """What was reported of a variant."""
        return [one for one in self.metrics if (one.endpoint, one.variant) == (f"sagemaker/{name}", variant)]

    def invoke(self, name: str, body: bytes = b"1", **options: object) -> Answer:
        """One signed request on a connection of its own."""
        connection = self.client()
        try:
            return connection.invoke(name, body, **options)  # type: ignore[arg-type]
        finally:
            connection.close()

    def client(self) -> Client:
        """A connection to the router."""
        return Client(self.process.socket_path)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client(http.client.HTTPConnection):
    """HTTP over a unix socket, with signatures."""

    def __init__(self, path: str) -> None:
        super().__init__("127.0.0.1", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self._path)

    def invoke(
        self,
        name: str,
        body: bytes,
        headers: dict[str, str] | None = None,
        operation: str = "invocations",
        credentials: tuple[str, str] = ("tester", "a-secret"),
    ) -> Answer:
        """InvokeEndpoint, or another operation."""
        response = self.begin(name, body, headers, operation, credentials)
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def begin(
        self,
        name: str,
        body: bytes,
        headers: dict[str, str] | None = None,
        operation: str = "invocations",
        credentials: tuple[str, str] = ("tester", "a-secret"),
    ) -> http.client.HTTPResponse:
        """The same, with the body not yet read."""
        url = f"http://127.0.0.1/endpoints/{name}/{operation}"
        request = AWSRequest("POST", url, {"Content-Type": "text/csv", **(headers or {})}, body)
        SigV4Auth(Credentials(*credentials), "sagemaker", "us-east-1").add_auth(request)
        self.request("POST", f"/endpoints/{name}/{operation}", body, dict(request.headers.items()))
        return self.getresponse()


def deployment(
    name: str, workers: Sequence[LittleWorker], *, variant: str = "", weight: float = 1, shadow: bool = False,
    timeout: float = 60,
) -> RoutedDeployment:  # fmt: skip
    """A row of a table."""
    return RoutedDeployment(name, variant or name, weight, [str(one.path) for one in workers], shadow, timeout)


@contextmanager
def running_router(folder: Path) -> Iterator[Routing]:
    """The router of a stack; its workers end with it."""
    config = ControlPlaneConfig(folder / "data")
    process = router(config, SECRETS, capture_seconds=0.3)
    made = Routing(process, folder, config)
    process.listen(made.metrics.extend)
    process.start()
    try:
        yield made
    finally:
        process.close()
        for worker in made.workers:
            worker.go_on.set()
            worker.stop()
