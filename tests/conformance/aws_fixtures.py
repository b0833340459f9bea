"""A real server for ``AwsServices`` on an ephemeral loopback port, and boto3 clients that know nothing of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import uvicorn
from botocore.config import Config

from mlparity.apis.aws.application_autoscaling import Scalable
from mlparity.apis.aws.services import AwsServices
from mlparity.apis.aws.targets import PipelineStarter
from mlparity.clock import Clock, SystemClock
from mlparity.engine.logs import JobLogStore
from mlparity.engine.scheduling import TimerService
from mlparity.errors import ConflictError
from mlparity.ids import SystemIds
from mlparity.stack.config import ControlPlaneConfig
from mlparity.state import Database


@cache
def _session() -> Any:
    """One for all clients: each would read the services' models anew."""
    return boto3.Session()


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
    timers: TimerService
    clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    def client(self, service: str, *, key: str = "", secret: str = "", token: str | None = None) -> Any:
        """An unmodified boto3 client; the stack's own key pair unless another is given."""
        found = self.clients.get((service, key))
        if found is None:
            # The proxy and the CA bundle of the machine are none of the test's business.
            settings = Config(retries={"total_max_attempts": 1}, proxies={}, connect_timeout=5, read_timeout=40)
            found = _session().client(
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


@dataclass
class Variants:
    """Endpoint variants to scale: every one is there, with one instance at first. ``refuses``: none can be changed."""

    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    refuses: bool = False

    def capacity(self, endpoint: str, variant: str) -> int | None:
        return None if endpoint == "absent" else self.counts.get((endpoint, variant), 1)

    def set_capacity(self, endpoint: str, variant: str, instances: int) -> None:
        if self.refuses:
            raise ConflictError("the endpoint is being updated")
        self.counts[endpoint, variant] = instances


@contextmanager
def stack(
    folder: Path,
    account_id: str,
    clock: Clock | None = None,
    start_pipeline: PipelineStarter | None = None,
    scalable: Scalable | None = None,
) -> Iterator[Stack]:
    """Start over ``folder``. Accounts keep tests apart: moto's state belongs to the process.

    With a ``clock`` of the test's own the clients sign by it, too.
    """
    config = ControlPlaneConfig(data_dir=folder, account_id=account_id)
    database = Database.open(config.database_path)
    clock = clock or SystemClock()
    logs = JobLogStore(folder / "joblogs", clock)
    timers = TimerService(clock)
    services = AwsServices(
        config,
        database,
        clock,
        SystemIds(),
        logs,
        timers=timers,
        start_pipeline=start_pipeline,
        scalable=scalable or Variants(),
    )
    services.recover()
    running = Stack(config, services, logs, "", timers)
    try:
        now = _signing_time(clock)
        with (
            served(services) as url,
            mock.patch("botocore.auth.get_current_datetime", now),
            mock.patch("botocore.crt.auth.get_current_datetime", now),
        ):
            running.url = url
            yield running
    finally:
        services.close()
        for client in running.clients.values():
            client.close()
        database.close()


def _signing_time(clock: Clock) -> Callable[..., datetime]:
    def now(remove_tzinfo: bool = True) -> datetime:
        return clock.now().replace(tzinfo=None) if remove_tzinfo else clock.now()

    return now
