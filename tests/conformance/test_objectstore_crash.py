"""What a crash at any point leaves, and what the next start makes of it."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from mlparity.errors import NoSuchBucketError, StorageError
from mlparity.ids import SystemIds
from mlparity.state import Database
from mlparity.state.schema.storage import doomed_blobs
from mlparity.storage.bucketstore import Condition, Properties
from mlparity.storage.filestore import FileObjectStore
from mlparity.testing import TestClock


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "state.db")
    yield opened
    opened.close()


def reopen(database: Database, root: Path) -> FileObjectStore:
    """The store as the next process finds it."""
    return FileObjectStore(database, root, TestClock(), SystemIds(), "us-east-1")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def store(database: Database, root: Path) -> FileObjectStore:
    made = reopen(database, root)
    made.create_bucket("data")
    return made


def files(root: Path) -> list[bytes]:
    return sorted(path.read_bytes() for path in root.rglob("*") if path.is_file())


def test_bytes_that_no_row_names_are_collected(store: FileObjectStore, database: Database, root: Path) -> None:
    store.put_bytes("data", "kept", b"kept")
    half = store.stage()
    half.write(b"half")
    whole = store.stage()
    whole.write(b"whole")
    whole.finish()
    assert files(root) == [b"half", b"kept", b"whole"]
    assert reopen(database, root).recover() == 2
    assert files(root) == [b"kept"]
    half.discard()


def test_a_crash_between_commit_and_rename_loses_nothing(
    store: FileObjectStore, database: Database, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(store._files, "publish", lambda blobs: None)
        store.put_bytes("data", "k", b"committed")
        begun = store.uploads.create("data", "parts", Properties(), {})
        writer = store.stage()
        writer.write(b"part")
        etag = store.uploads.put_part(begun, 1, writer.finish(), {}).etag
    assert store.get_bytes("data", "k") == b"committed"  # readable even before it is in its place
    again = reopen(database, root)
    assert again.recover() == 0
    assert again.get_bytes("data", "k") == b"committed"
    again.uploads.complete(begun, [(1, etag)], {}, Condition())
    assert again.get_bytes("data", "parts") == b"part"
    assert list((root / "incoming").iterdir()) == []


def test_a_crash_between_commit_and_unlink_leaves_no_garbage(
    store: FileObjectStore, database: Database, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put_bytes("data", "k", b"old")
    with monkeypatch.context() as patch:
        patch.setattr(store._files, "remove", lambda blobs: [])
        store.put_bytes("data", "k", b"new")
    assert files(root) == [b"new", b"old"]
    again = reopen(database, root)
    assert again.recover() == 1
    assert files(root) == [b"new"]
    with database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(doomed_blobs)) == 0


WRITER = """
import sys
from pathlib import Path
from mlparity.clock import SystemClock
from mlparity.ids import SystemIds
from mlparity.state import Database
from mlparity.storage.filestore import FileObjectStore

folder = Path(sys.argv[1])
store = FileObjectStore(Database.open(folder / "state.db"), folder / "objects", SystemClock(), SystemIds(), "us-east-1")
store.ensure_bucket("data")
number = 0
while True:
    store.put_bytes("data", f"key-{number % 7}", f"{number}:".encode() * 20_000)
    print(number, flush=True)
    number += 1
"""


def test_kill_9_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    acknowledged = -1
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            acknowledged = int(line)
            if acknowledged == 60:
                writer.kill()
    assert writer.returncode == -signal.SIGKILL
    database = Database.open(tmp_path / "state.db")
    try:
        store = reopen(database, tmp_path / "objects")
        store.recover()
        newest = {}
        for info in store.iterate("data"):
            data = store.get_bytes("data", info.key)
            number = int(data.partition(b":")[0])
            assert data == f"{number}:".encode() * 20_000
            assert hashlib.md5(data).hexdigest() == info.etag
            newest[info.key] = number
        assert len(files(tmp_path / "objects")) == 7
        for number in range(acknowledged - 6, acknowledged + 1):
            assert newest[f"key-{number % 7}"] >= number
    finally:
        database.close()


def test_a_failed_transaction_leaves_nothing(
    store: FileObjectStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put_bytes("data", "k", b"old")
    with monkeypatch.context() as patch:

        def fail(*arguments: object) -> None:
            raise RuntimeError("between the file and the commit")

        patch.setattr("mlparity.storage.versions._insert", fail)
        with pytest.raises(RuntimeError):
            store.put_bytes("data", "k", b"new")
    with pytest.raises(NoSuchBucketError):
        store.put_bytes("nowhere", "k", b"new")
    assert store.get_bytes("data", "k") == b"old"
    assert files(root) == [b"old"]


def test_a_source_that_fails_half_way_leaves_nothing(store: FileObjectStore, root: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise OSError("the source is gone")

    with pytest.raises(OSError, match="gone"):
        store._put("data", "k", chunks(), "")
    assert files(root) == []


def test_the_ledger_of_removed_blobs_stays_short(store: FileObjectStore, database: Database, root: Path) -> None:
    for number in range(20):
        store.put_bytes("data", "k", str(number).encode())
    with database.read() as connection:
        assert (connection.scalar(select(func.count()).select_from(doomed_blobs)) or 0) <= 1
    assert files(root) == [b"19"]


def test_a_blob_in_use_goes_with_its_last_reader(store: FileObjectStore, root: Path) -> None:
    store.put_bytes("data", "k", b"old")
    first, second = store.open("data", "k"), store.open("data", "k")
    store.delete("data", "k")
    first.close()
    assert files(root) == [b"old"]
    assert second.read() == b"old"
    second.close()
    assert files(root) == []


def test_a_file_removed_behind_the_stores_back_is_told(store: FileObjectStore, root: Path) -> None:
    store.put_bytes("data", "k", b"v")
    for path in (root / "blobs").rglob("*"):
        if path.is_file():
            path.unlink()
    with pytest.raises(StorageError, match="missing"):
        store.get_bytes("data", "k")


def test_keys_never_become_paths(store: FileObjectStore, tmp_path: Path, root: Path) -> None:
    before = {path for path in tmp_path.rglob("*") if root not in path.parents and path != root}
    for key in ("../outside", "/etc/passwd", "a/../../b", "..", "x\0y"):
        store.put_bytes("data", key, b"v")
        assert store.get_bytes("data", key) == b"v"
    after = {path for path in tmp_path.rglob("*") if root not in path.parents and path != root}
    assert {path.name for path in after - before} <= {"state.db-wal", "state.db-shm"}
    assert all(path.name.isalnum() for path in root.rglob("*"))
