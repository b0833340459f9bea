"""A real server for ``AwsServices`` on an ephemeral loopback port, and boto3 clients that know nothing of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import uvicorn
from botocore.config import Config

from mlparity.apis.aws.services import AwsServices
from mlparity.clock import SystemClock
from mlparity.engine.logs import JobLogStore
from mlparity.ids import SystemIds
from mlparity.stack.config import ControlPlaneConfig
from mlparity.state import Database


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve an ASGI application with uvicorn and yield its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    started = threading.Event()
    startup = server.startup

    async def noticed(sockets: list[socket.socket] | None = None) -> None:
        await startup(sockets)
        started.set()

    server.startup = noticed  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        assert started.wait(30), "uvicorn did not start"
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()


@dataclass
class Stack:
    """One running server over a data folder."""

    config: ControlPlaneConfig
    services: AwsServices
    logs: JobLogStore
    url: str
    clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    def client(self, service: str, *, key: str = "", secret: str = "", token: str | None = None) -> Any:
        """An unmodified boto3 client; the stack's own key pair unless another is given."""
        found = self.clients.get((service, key))
        if found is None:
            # The proxy and the CA bundle of the machine are none of the test's business.
            settings = Config(retries={"total_max_attempts": 1}, proxies={}, connect_timeout=5, read_timeout=40)
            found = boto3.Session().client(
                service,
                endpoint_url=self.url,
                region_name=self.config.region,
                aws_access_key_id=key or self.config.access_key_id,
                aws_secret_access_key=secret or self.config.secret_access_key,
                aws_session_token=token,
                config=settings,
                verify=False,
            )
            self.clients[service, key] = found
        return found


@contextmanager
def stack(folder: Path, account_id: str) -> Iterator[Stack]:
    """Start over ``folder``. Accounts keep tests apart: moto's state belongs to the process."""
    config = ControlPlaneConfig(data_dir=folder, account_id=account_id)
    database = Database.open(config.database_path)
    clock = SystemClock()
    logs = JobLogStore(folder / "joblogs", clock)
    services = AwsServices(config, database, clock, SystemIds(), logs)
    services.recover()
    running = Stack(config, services, logs, "")
    try:
        with served(services) as url:
            running.url = url
            yield running
    finally:
        services.close()
        for client in running.clients.values():
            client.close()
        database.close()
