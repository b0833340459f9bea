"""An object is never in the endpoint's memory as a whole, whichever way it comes and goes: measured at its peak."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests  # type: ignore[import-untyped]

from mlparity.testing.peak import forget_peak, peak

SIZE = 120 * 10**6
BOUND = 24 * 10**6
CHUNK = 1 << 20

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a process's peak is read from /proc")

SERVER = """
import asyncio, sys
from pathlib import Path
import uvicorn
from mlparity.clock import SystemClock
from mlparity.ids import SystemIds
from mlparity.state import Database
from mlparity.storage.filestore import FileObjectStore
from mlparity.storage.gcs import GcsApp

folder = Path(sys.argv[1])
store = FileObjectStore(Database.open(folder / "state.db"), folder / "objects", SystemClock(), SystemIds(), "local")
store.create_bucket("data")
app = GcsApp(store, SystemClock(), SystemIds(), "project", "1", "US")

class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets=sockets)
        print(self.servers[0].sockets[0].getsockname()[1], flush=True)

asyncio.run(Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning")).serve())
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, str]]:
    with subprocess.Popen([sys.executable, "-c", SERVER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.pid, f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


def pieces() -> Iterator[bytes]:
    """Every chunk begins with its number, so that none can stand for another."""
    for start in range(0, SIZE, CHUNK):
        piece = bytearray(min(CHUNK, SIZE - start))
        piece[:8] = start.to_bytes(8, "big")
        yield bytes(piece)


def related() -> Iterator[bytes]:
    yield b'--b\r\nContent-Type: application/json\r\n\r\n{"name": "whole"}\r\n--b\r\n\r\n'
    yield from pieces()
    yield b"\r\n--b--"


def test_a_large_object_comes_and_goes_in_constant_memory(server: tuple[int, str]) -> None:
    process, url = server
    upload = f"{url}/upload/storage/v1/b/data/o?uploadType="
    with requests.Session() as session:
        for name in ("warm", "warmer"):
            session.post(f"{upload}media&name={name}", b"x" * 100_000, timeout=30).raise_for_status()
        before = forget_peak(process)
        kind = {"content-type": "multipart/related; boundary=b"}
        made = session.post(f"{upload}multipart", related(), headers=kind, timeout=60).json()
        assert made["size"] == str(SIZE)
        address = session.post(f"{upload}resumable&name=again", timeout=30).headers["location"]
        again = session.put(
            address, pieces(), headers={"content-range": f"bytes 0-{SIZE - 1}/{SIZE}"}, timeout=60
        ).json()
        assert (again["md5Hash"], again["crc32c"]) == (made["md5Hash"], made["crc32c"])
        with session.get(f"{url}/data/again", stream=True, timeout=60) as answer:
            assert all(got == sent for got, sent in zip(answer.iter_content(CHUNK), pieces(), strict=True))
        assert peak(process) - before < BOUND
