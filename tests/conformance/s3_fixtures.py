"""A real S3 endpoint on loopback for tests: uvicorn in a thread, on a port that the system picks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from mlparity.clock import Clock, SystemClock
from mlparity.ids import SystemIds
from mlparity.state import Database
from mlparity.storage.filestore import FileObjectStore
from mlparity.storage.s3 import S3App

ACCESS_KEY = "AKIALOCAL"
SECRET_KEY = "local/secret+key"
ACCOUNT = "123456789012"
REGION = "us-east-1"


@dataclass(frozen=True)
class Endpoint:
    """A running endpoint and the store behind it."""

    url: str
    store: FileObjectStore
    app: Any
    root: Path


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets=sockets)
        self.up.set()


@contextmanager
def serve(app: Any) -> Iterator[str]:
    """Serve an ASGI application; yields its URL."""
    server = _Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), name="s3-endpoint")
    thread.start()
    try:
        assert server.up.wait(20), "the endpoint did not come up"
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@contextmanager
def s3_endpoint(root: Path, clock: Clock | None = None) -> Iterator[Endpoint]:
    """An empty store with the S3 protocol in front of it."""
    database = Database.open(root / "state.db")
    try:
        clock = clock or SystemClock()
        store = FileObjectStore(database, root / "objects", clock, SystemIds(), REGION)
        app = S3App(store, {ACCESS_KEY: SECRET_KEY}, clock, SystemIds(), REGION, ACCOUNT)
        with serve(app) as url:
            yield Endpoint(url, store, app, root)
    finally:
        database.close()


def boto3_client(url: str, **options: Any) -> Any:
    """An unmodified boto3 client of the endpoint."""
    import boto3
    from botocore.config import Config

    settings = {
        "aws_access_key_id": ACCESS_KEY,
        "aws_secret_access_key": SECRET_KEY,
        "region_name": REGION,
        "config": Config(retries={"max_attempts": 1}),
    }
    return boto3.client("s3", endpoint_url=url, **{**settings, **options})
