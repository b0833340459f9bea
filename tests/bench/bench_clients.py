"""Eight S3 clients at a time, each a process of its own: one Python process would be what is measured."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench_sagemaker import client

MANY = 8
BUCKET = "bench-objects"
LISTED = 1000  # keys, a page
_LIMIT_SECONDS = 120
_PREFIX = "listed/"


@dataclass(frozen=True)
class Server:
    """An S3 endpoint and its credentials; (None, None) are the usual ones."""

    url: str
    key: str | None = None

    def client(self) -> Any:
        """A boto3 client."""
        return client("s3", self.url) if self.key is None else client("s3", self.url, self.key, self.key)


def put(s3: Any, body: bytes, name: str) -> None:
    """Store one object."""
    s3.put_object(Bucket=BUCKET, Key=f"{len(body)}/{name}", Body=body)


def get(s3: Any, body: bytes, name: str) -> None:
    """Read it again. Raises ``RuntimeError`` where it is another."""
    if s3.get_object(Bucket=BUCKET, Key=f"{len(body)}/{name}")["Body"].read() != body:
        raise RuntimeError("an object came back with other bytes")


def listed(s3: Any, _body: bytes, _name: str) -> None:
    """Read a full page of keys. Raises ``RuntimeError`` where any is missing."""
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix=_PREFIX, MaxKeys=LISTED)["KeyCount"]
    if found != LISTED:
        raise RuntimeError(f"{found} keys were listed, not {LISTED}")


ACTIONS: dict[str, Callable[[Any, bytes, str], None]] = {"put": put, "get": get, "list": listed}


def fill(s3: Any) -> None:
    """Store what ``listed`` lists."""
    for number in range(LISTED):
        s3.put_object(Bucket=BUCKET, Key=f"{_PREFIX}{number:05}", Body=b"")


@contextmanager
def clients() -> Iterator[Callable[[Server, str, bytes, int], float]]:
    """A function (server, verb, body, calls of each client): the seconds that all of them took together."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(MANY)
    with ProcessPoolExecutor(MANY, mp_context=context, initializer=_ready, initargs=(barrier,)) as pool:

        def run(server: Server, verb: str, body: bytes, calls: int) -> float:
            futures = [pool.submit(_work, server, verb, body, number, calls) for number in range(MANY)]
            spans = [future.result(_LIMIT_SECONDS) for future in futures]
            return max(end for _, end in spans) - min(begin for begin, _ in spans)

        yield run


_held: dict[str, Any] = {}  # of a worker process: the barrier, and a client for every server


def _ready(barrier: Any) -> None:
    _held["barrier"] = barrier


def _work(server: Server, verb: str, body: bytes, number: int, calls: int) -> tuple[float, float]:
    """When it began and ended, on the clock that all processes share; nobody begins before all are there."""
    s3 = _held.get(server.url) or _held.setdefault(server.url, server.client())
    _held["barrier"].wait(_LIMIT_SECONDS)
    begun = time.monotonic()
    for call in range(calls):
        ACTIONS[verb](s3, body, f"{number}-{call}")
    return begun, time.monotonic()
