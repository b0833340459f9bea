"""A gateway in this process: its own event loop in a thread, and a small ASGI app behind it instead of the APIs."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uvicorn.server import ServerState

from mlparity.clock import SystemClock
from mlparity.gateway.authority import AuthorityFiles, Certificates, ensure_authority
from mlparity.gateway.gateway import Gateway
from mlparity.gateway.hosts import CLOUD_DOMAINS, Hosts
from mlparity.gateway.proxied_app import Apps
from mlparity.ids import SystemIds


@dataclass
class EchoApp:
    """Answers with what arrived. ``/held`` takes one piece of its body and waits until ``go`` is set."""

    go: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
            if scope["path"] == "/held":
                await asyncio.to_thread(self.go.wait)
        host = dict(scope["headers"])[b"host"].decode()
        told = {"host": host, "path": scope["path"], "scheme": scope["scheme"], "size": size}
        body = json.dumps(told).encode()
        if scope["path"].startswith("/download/"):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(int(scope["path"].rpartition("/")[2])):
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            return
        headers = [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@dataclass(frozen=True)
class RunningGateway:
    """Where it listens, what its clients must trust, and the app behind it."""

    port: int
    certificate: Path
    app: EchoApp
    gateway: Gateway

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connection(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def ask(self, text: str | bytes) -> str:
        """Send bytes and read until the gateway closes."""
        with self.connection() as sock:
            sock.sendall(text.encode() if isinstance(text, str) else text)
            found = b""
            while piece := sock.recv(65536):
                found += piece
            return found.decode()


@contextmanager
def running_gateway(folder: Path) -> Iterator[RunningGateway]:
    """Start it on a free port; stop it with its loop and thread when the block ends."""
    files = AuthorityFiles(folder)
    ensure_authority(files, CLOUD_DOMAINS, SystemClock())
    app = EchoApp()
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    hosts = Hosts({"s3", "sts", "sagemaker"})
    gateway = Gateway(Apps(app, app), hosts, Certificates(files, SystemClock()), SystemIds(), port)
    loop = asyncio.new_event_loop()
    opened, state = threading.Event(), ServerState()

    async def serve(stop: asyncio.Event) -> None:
        server = await gateway.open(sock, state)
        opened.set()
        await stop.wait()
        server.close()
        for connection in list(state.connections):
            connection.shutdown()
        await asyncio.gather(*state.tasks, return_exceptions=True)
        await loop.shutdown_default_executor()

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve(stop)), daemon=True)
    thread.start()
    assert opened.wait(10)
    try:
        yield RunningGateway(port, files.certificate, app, gateway)
    finally:
        app.go.set()
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        assert not thread.is_alive()
        loop.close()
