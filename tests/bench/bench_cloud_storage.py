"""Cloud Storage by Google's own Python client: put and get of small, middling and large objects, and a page of names.

gcp-storage-emulator (PyPI) keeps objects as files too. mlparity is its endpoint alone, in a process of its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from bench_environments import environment
from bench_measure import OURS, Budget, Options, Result, in_turns, timed
from bench_peers import HOST, answering, process

from mlparity.stack.listen import free_port

_BUCKET = "bench-objects"
_EMULATOR = "gcp-storage-emulator"
_VERSION = "2026.7.19"
_ROUNDS = 3
_LEAST = 0.5  # of the peer: it tells less of each object, and keeps no generations
_SIZES = {"1 KiB": (2**10, 40), "1 MiB": (2**20, 10), "64 MiB": (2**26, 2)}  # bytes, calls
_LARGE = 2**20
_LISTED = 1000
_PIECE = 8 * 2**20  # bytes of one request of a large upload
_START_SECONDS = 60
_SERVER = """
import sys
from pathlib import Path

import uvicorn

from mlparity.clock import SystemClock
from mlparity.ids import SystemIds
from mlparity.state import Database
from mlparity.storage.filestore import FileObjectStore
from mlparity.storage.gcs import GcsApp

folder, port = Path(sys.argv[1]), int(sys.argv[2])
folder.mkdir()
clock, ids = SystemClock(), SystemIds()
store = FileObjectStore(Database.open(folder / "state.db"), folder / "objects", clock, ids, "local")
app = GcsApp(store, clock, ids, "bench", "1", "US")
uvicorn.run(app, host="127.0.0.1", port=port, lifespan="off", access_log=False, log_level="warning")
"""


def run(options: Options) -> list[Result]:
    """Operations a second, and megabytes a second where the bytes are what costs."""
    results = []
    with ExitStack() as opened:
        buckets = {OURS: _bucket(opened.enter_context(_ours(options)))}
        emulator = opened.enter_context(_emulator(options))
        if emulator is not None:
            buckets[_EMULATOR] = _bucket(emulator)
        for name, (size, calls) in _SIZES.items():
            options.say(f"  {name}")
            body = os.urandom(size)
            amount, unit = (size / 1e6, "MB/s") if size >= _LARGE else (1.0, "op/s")
            for verb, action in (("put", _put), ("get", _get)):
                rates = {who: _rates(partial(action, bucket, body), calls, amount) for who, bucket in buckets.items()}
                results.append(_result(options, f"GCS {verb}, {name}", unit, rates))
        options.say("  a page of names")
        rates = {who: _rates(partial(_list, bucket), 5, 1.0) for who, bucket in buckets.items()}
        results.append(_result(options, f"GCS list, {_LISTED} names", "op/s", rates))
    return results


@contextmanager
def _ours(options: Options) -> Iterator[str]:
    port = free_port()
    arguments = [sys.executable, "-c", _SERVER, str(options.folder / "ours"), str(port)]
    with process(arguments, options.folder / "ours.log") as started:
        yield answering(started, port, "/storage/v1/b?project=p", _START_SECONDS).url


@contextmanager
def _emulator(options: Options) -> Iterator[str | None]:
    """The running emulator; None, with the reason said, where it cannot be had."""
    python = environment(options, f"{_EMULATOR}=={_VERSION}")
    if python is None:
        yield None
        return
    port, folder = free_port(), options.folder / "emulator"
    folder.mkdir()  # it writes where it is started
    arguments = [str(python.with_name(_EMULATOR)), "start", "-q", "-H", HOST, "--port", str(port)]
    with process(arguments, options.folder / "emulator.log", cwd=folder) as started:
        yield answering(started, port, "/storage/v1/b", _START_SECONDS, status=None).url


def _bucket(url: str) -> Any:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    client = storage.Client("bench", AnonymousCredentials(), client_options={"api_endpoint": url})
    bucket = client.create_bucket(_BUCKET)
    for number in range(_LISTED):
        bucket.blob(f"listed/{number:05}").upload_from_string(b"")
    return bucket


def _put(bucket: Any, body: bytes, name: str) -> None:
    blob = bucket.blob(f"{len(body)}/{name}", chunk_size=_PIECE if len(body) > _PIECE else None)
    blob.upload_from_string(body)


def _get(bucket: Any, body: bytes, name: str) -> None:
    if bucket.blob(f"{len(body)}/{name}").download_as_bytes() != body:
        raise RuntimeError("an object came back with other bytes")


def _list(bucket: Any, _name: str) -> None:
    found = sum(1 for _ in bucket.list_blobs(prefix="listed/"))
    if found != _LISTED:
        raise RuntimeError(f"{found} names were listed, not {_LISTED}")


def _rates(action: Callable[[str], None], calls: int, amount: float) -> Callable[[], list[float]]:
    """A rate for every call."""
    return lambda: [amount / timed(partial(action, str(number))) for number in range(calls)]


def _result(options: Options, what: str, unit: str, actions: dict[str, Callable[[], list[float]]]) -> Result:
    in_turns(1, actions)  # unmeasured
    rates = in_turns(options.rounds_or(_ROUNDS), actions)
    ours = rates.pop(OURS)
    return Result("cloud_storage", what, unit, ours, rates, [Budget(_LEAST, who) for who in rates], more_is_better=True)
