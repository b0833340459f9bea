"""A resumable upload outlives the process: what was acknowledged is there after kill -9, and the upload goes on."""

from __future__ import annotations

import base64
import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import requests  # type: ignore[import-untyped]

from mlparity.clock import SystemClock
from mlparity.ids import SystemIds
from mlparity.state import Database
from mlparity.storage.filestore import FileObjectStore
from mlparity.storage.gcs import GcsApp
from tests.conformance.gcs_fixtures import LOCATION, PROJECT, PROJECT_NUMBER
from tests.conformance.s3_fixtures import REGION, serve

QUARTER = 256 * 1024
CHUNKS = 120

UPLOADER = f"""
import asyncio, sys
from pathlib import Path
import httpx
from mlparity.clock import SystemClock
from mlparity.ids import SystemIds
from mlparity.state import Database
from mlparity.storage.filestore import FileObjectStore
from mlparity.storage.gcs import GcsApp

folder = Path(sys.argv[1])
store = FileObjectStore(Database.open(folder / "state.db"), folder / "objects", SystemClock(), SystemIds(), "{REGION}")
store.ensure_bucket("data")
app = GcsApp(store, SystemClock(), SystemIds(), "{PROJECT}", "{PROJECT_NUMBER}", "{LOCATION}")

async def main():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://local") as client:
        begun = await client.post(
            "/upload/storage/v1/b/data/o?uploadType=resumable&name=large", json={{"metadata": {{"k": "v"}}}}
        )
        print(begun.headers["location"].removeprefix("http://local"), flush=True)
        for number in range({CHUNKS}):
            start = number * {QUARTER}
            span = f"bytes {{start}}-{{start + {QUARTER} - 1}}/*"
            data = bytes([number % 256]) * {QUARTER}
            answer = await client.put(begun.headers["location"], content=data, headers={{"content-range": span}})
            assert answer.status_code == 308, answer.text
            print(answer.headers["range"], flush=True)

asyncio.run(main())
"""


def test_an_upload_goes_on_after_kill_9(tmp_path: Path) -> None:
    acknowledged = 0
    with subprocess.Popen(
        [sys.executable, "-c", UPLOADER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as uploader:
        assert uploader.stdout is not None
        address = uploader.stdout.readline().strip()
        for line in uploader.stdout:
            acknowledged = int(line.rpartition("-")[2]) + 1
            if acknowledged == 20 * QUARTER:
                uploader.kill()
    assert uploader.returncode == -signal.SIGKILL
    database = Database.open(tmp_path / "state.db")
    try:
        store = FileObjectStore(database, tmp_path / "objects", SystemClock(), SystemIds(), REGION)
        store.recover()
        app = GcsApp(store, SystemClock(), SystemIds(), PROJECT, PROJECT_NUMBER, LOCATION)
        data = b"".join(bytes([number % 256]) * QUARTER for number in range(CHUNKS)) + b"end"
        with serve(app) as url:
            told = requests.put(url + address, headers={"content-range": "bytes */*"}, timeout=10)
            at = int(told.headers["range"].rpartition("-")[2]) + 1
            assert (told.status_code, at >= acknowledged, at % QUARTER) == (308, True, 0)
            span = f"bytes {at}-{len(data) - 1}/{len(data)}"
            made = requests.put(url + address, data[at:], headers={"content-range": span}, timeout=30).json()
            assert made["md5Hash"] == base64.b64encode(hashlib.md5(data).digest()).decode()
            assert made["metadata"] == {"k": "v"}
            assert requests.get(f"{url}/data/large", timeout=30).content == data
            assert requests.delete(f"{url}/storage/v1/b/data/o/large", timeout=10).status_code == 204
        assert [path for path in (tmp_path / "objects").rglob("*") if path.is_file()] == []
    finally:
        database.close()


def test_sessions_end_with_their_bucket_and_after_a_week(tmp_path: Path) -> None:
    from mlparity.testing import TestClock

    clock = TestClock()
    database = Database.open(tmp_path / "state.db")
    try:
        store = FileObjectStore(database, tmp_path / "objects", clock, SystemIds(), REGION)

        def begin(bucket: str) -> None:
            store.ensure_bucket(bucket)
            writer = store.stage()
            writer.write(b"x" * 10)
            store.sessions.append(store.sessions.create(bucket, "k", {}), writer.finish(), None)

        def files() -> int:
            return sum(path.is_file() for path in (tmp_path / "objects").rglob("*"))

        begin("one")
        begin("two")
        assert files() == 2
        store.buckets.delete("one")
        assert files() == 1
        clock.advance(8 * 24 * 3600)
        store.sessions.create("two", "k", {})
        assert files() == 0
    finally:
        database.close()
