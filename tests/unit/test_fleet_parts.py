"""Parts of the fleet by themselves: the pauses before replacements, what is fetched, environments of models' own."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlparity.clock import SystemClock
from mlparity.engine.process import Runtime
from mlparity.errors import EngineError, NotFoundError
from mlparity.ids import SeededIds
from mlparity.serving.archive import ArchiveError
from mlparity.serving.endpoints.plans import ModelContainer
from mlparity.serving.fleet.artifacts import Artifacts
from mlparity.serving.fleet.places import SocketPlaces
from mlparity.serving.fleet.preparation import PreparationError, prepare
from mlparity.serving.fleet.slot import Limits, Slot, Timing
from mlparity.state import Database
from mlparity.storage.filestore import FileObjectStore
from mlparity.testing import TestClock

PATIENCE = 20.0


class Starts:
    """Counts the starts of workers, none of which succeeds."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.count = 0
        self.over_called = threading.Event()

    def start(self, _slot: Slot, _wake: threading.Event) -> None:
        with self.changed:
            self.count += 1
            self.changed.notify_all()
        raise EngineError("no worker today")

    def reached(self, count: int) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: self.count >= count, PATIENCE)

    def failed(self, slot: Slot, reason: str, *, started: bool) -> None:
        assert (reason, started) == ("no worker today", False)

    def over(self, slot: Slot) -> None:
        self.over_called.set()


def test_a_worker_that_keeps_dying_is_started_ever_more_seldom() -> None:
    clock, starts = TestClock(), Starts()
    timing = Timing(backoff_first=10, backoff_limit=25)
    slot = Slot("i-1", starts.start, starts, lambda _socket, _seconds: True, Limits(60, 60), timing, clock)  # type: ignore[arg-type]
    slot.start()
    try:
        assert starts.reached(2)  # the first replacement comes at once
        for number, pause in enumerate((10, 20, 25, 25), 3):
            clock.advance(pause - 1)
            assert starts.count == number - 1
            clock.advance(1)
            assert starts.reached(number)
    finally:
        slot.end()
        slot.join()
    assert starts.over_called.is_set()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileObjectStore]:
    database = Database.open(tmp_path / "state.db")
    made = FileObjectStore(database, tmp_path / "blobs", SystemClock(), SeededIds(), "us-east-1")
    made.create_bucket("models")
    yield made
    database.close()


def packed(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        item = tarfile.TarInfo(name)
        item.size = len(content)
        tar.addfile(item, io.BytesIO(content))
    return out.getvalue()


def test_artifacts_are_fetched_once_and_again_when_they_change(store: FileObjectStore, tmp_path: Path) -> None:
    artifacts = Artifacts(store, tmp_path / "cache", SeededIds())
    store.put_bytes("models", "m.tar.gz", packed("a/b", b"1"))
    first = artifacts.folder("s3://models/m.tar.gz", packed=True)
    assert (first / "a" / "b").read_bytes() == b"1"
    assert artifacts.folder("s3://models/m.tar.gz", packed=True) == first
    store.put_bytes("models", "m.tar.gz", packed("a/b", b"2"))
    second = artifacts.folder("s3://models/m.tar.gz", packed=True)
    assert (second / "a" / "b").read_bytes() == b"2"
    for key in ("plain/x", "plain/sub/y", "plain/sub/"):
        store.put_bytes("models", key, key.encode())
    plain = artifacts.folder("s3://models/plain/", packed=False)
    assert sorted(path.relative_to(plain).as_posix() for path in plain.rglob("*")) == ["sub", "sub/y", "x"]
    artifacts.prune([first])
    assert first.is_dir()


def test_nothing_is_placed_outside(store: FileObjectStore, tmp_path: Path) -> None:
    artifacts = Artifacts(store, tmp_path / "cache", SeededIds())
    store.put_bytes("models", "m", packed("../outside", b"1"))
    store.put_bytes("models", "p/../../outside", b"1")
    for uri, is_packed in (("s3://models/m", True), ("s3://models/p", False)):
        with pytest.raises(ArchiveError):
            artifacts.folder(uri, packed=is_packed)
    assert not list(tmp_path.rglob("outside"))
    assert not list((tmp_path / "cache").iterdir())
    with pytest.raises(NotFoundError):
        artifacts.folder("s3://models/none", packed=True)


class Venvs:
    """A runtime of kind venv for every image; notes what is built."""

    def __init__(self) -> None:
        self.built: list[tuple[str, ...]] = []

    def resolve(self, image: str) -> Runtime:
        return Runtime("mine", "venv", preload=("json",), requirements=("numpy==2",))

    def ready(self, runtime: Runtime) -> Runtime:
        self.built.append(tuple(runtime.requirements))
        return runtime


def test_an_environment_of_its_own_has_the_models_requirements(store: FileObjectStore, tmp_path: Path) -> None:
    artifacts, venvs = Artifacts(store, tmp_path / "cache", SeededIds()), Venvs()
    store.put_bytes("models", "mlflow/m/MLmodel", b"flavors: {}")
    store.put_bytes("models", "mlflow/m/requirements.txt", b"mlflow==3.17.2\nscipy\n")
    store.put_bytes("models", "code", packed("requirements.txt", b"-r other.txt"))
    (container,) = prepare([ModelContainer("any", "s3://models/mlflow/", packed=False)], artifacts, venvs, venvs)
    assert venvs.built[-1] == ("numpy==2", "mlflow==3.17.2", "scipy")
    assert container.environment["MLPARITY_REQUIREMENTS_INSTALLED"] == "true"
    assert "mlflow.pyfunc" in container.runtime.preload
    submit = {"SAGEMAKER_SUBMIT_DIRECTORY": "s3://models/code"}
    with pytest.raises(PreparationError, match=r"requirements\.txt cannot be installed"):
        prepare([ModelContainer("any", environment=submit)], artifacts, venvs, venvs)


def test_sockets_lie_where_their_paths_are_short(tmp_path: Path) -> None:
    near = SocketPlaces(tmp_path / "s", SeededIds())
    assert near.make().parent == tmp_path / "s"
    near.close()
    assert not (tmp_path / "s").exists()
    far = SocketPlaces(tmp_path / ("x" * 100) / "s", SeededIds())
    folder = far.make()
    assert len(str(folder / "s")) < 100
    SocketPlaces(tmp_path / ("x" * 100) / "s", SeededIds()).recover()  # of a process that was killed
    assert not folder.parent.exists()
