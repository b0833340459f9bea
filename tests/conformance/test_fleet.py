"""Deployments over real processes: they answer as the model does, outlive their workers' deaths, and leave nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from mlparity.clock import SystemClock
from mlparity.engine.sandbox import SandboxExecutor, probe
from mlparity.ids import SeededIds
from mlparity.serving.fleet.deployment import DeploymentPhase
from mlparity.serving.probe import answers_ping, listener_pid
from tests.conformance.fleet_fixture import IMAGE, PATIENCE, SUM, Yard, archive, ask, send


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"never came: {what}")
        time.sleep(0.01)


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxExecutor]:
    found = probe()
    if found.mode is None:
        pytest.skip(f"{found.why}. {found.hint}")
    made = SandboxExecutor(tmp_path_factory.mktemp("scratch"), SystemClock(), SeededIds(), report=found)
    yield made
    made.close()


@pytest.fixture
def yard(executor: SandboxExecutor, tmp_path: Path) -> Iterator[Yard]:
    made = Yard(tmp_path, executor)
    yield made
    made.close()
    assert not list(tmp_path.glob("fleet/workers/*"))
    assert not (tmp_path / "fleet" / "s").exists()


def pid_at(socket: str) -> int:
    pid = listener_pid(Path(socket))
    assert pid is not None
    return pid


def test_a_model_answers_as_it_does_itself(yard: Yard, tmp_path: Path) -> None:
    import joblib
    from sklearn.linear_model import LinearRegression

    rows = np.random.default_rng(0).normal(size=(50, 3))
    model = LinearRegression().fit(rows, rows.sum(axis=1))
    joblib.dump(model, tmp_path / "model.joblib")
    uri = yard.put("m.tar.gz", archive(model_joblib=(tmp_path / "model.joblib").read_bytes()))
    ready = yard.deploy("d-1", uri)
    assert (ready.phase, ready.wanted, len(ready.sockets)) == (DeploymentPhase.READY, 1, 1)
    assert ask(ready.sockets[0], rows.tolist()) == model.predict(rows).tolist()
    (used,) = yard.fleet.usage("d-1")
    assert used.cpu_seconds > 0
    assert 10e6 < used.memory_bytes < used.machine_bytes
    (log,) = (tmp_path / "logs").rglob("*.log")
    assert log.relative_to(tmp_path / "logs").parts[1:] == ("AllTraffic", f"{used.instance}.log")
    yard.fleet.start(ready.spec)  # again: nothing happens
    assert yard.deploy("d-2", uri).sockets != ready.sockets
    assert len(list((tmp_path / "fleet" / "models").iterdir())) == 1


def test_a_worker_that_dies_is_replaced_while_another_serves(yard: Yard) -> None:
    before = yard.deploy("d-1", yard.put("m", archive(code__inference_py=SUM.format(n=2))), workers=2)
    dying, other = before.sockets
    os.kill(pid_at(dying), signal.SIGKILL)
    yard.until("d-1", lambda now: dying not in now.sockets)
    assert ask(other, [1, 2]) == 6
    after = yard.until("d-1", lambda now: len(now.sockets) == 2)
    assert after.phase is DeploymentPhase.READY
    assert [ask(socket, [5]) for socket in after.sockets] == [10, 10]
    assert "mlparity: the model server ended by signal 9" in yard.logs()


def test_a_worker_that_hangs_is_replaced(yard: Yard) -> None:
    before = yard.deploy("d-1", yard.put("m", archive(code__inference_py=SUM.format(n=1))))
    pid = pid_at(before.sockets[0])
    os.kill(pid, signal.SIGSTOP)
    after = yard.until("d-1", lambda now: len(now.sockets) == 1 and now.sockets != before.sockets)
    assert ask(after.sockets[0], [4]) == 4
    assert not psutil.pid_exists(pid)
    assert "2 pings in a row without a healthy answer" in yard.logs()


def test_the_death_of_what_workers_are_forked_from_is_survived(yard: Yard) -> None:
    submit = {"SAGEMAKER_PROGRAM": "mine.py", "SAGEMAKER_SUBMIT_DIRECTORY": yard.put("c", archive(mine_py=OWN))}
    model = yard.put("m", archive(weights="7"))
    before = yard.deploy("d-1", model, workers=2, environment=submit)
    assert ask(before.sockets[0], [1]) == 7
    parent = psutil.Process(pid_at(before.sockets[0])).parent()
    assert parent is not None
    parent.kill()
    after = yard.until("d-1", lambda now: len(now.sockets) == 2 and not set(now.sockets) & set(before.sockets))
    assert [ask(socket, [2]) for socket in after.sockets] == [14, 14]


OWN = """
import json
from pathlib import Path
def model_fn(folder): return int(Path(folder, "weights").read_text())
def predict_fn(data, model): return (data * model).sum()
"""
BROKEN = "def model_fn(d): raise ValueError('these are no weights')\n"
SILENT = "import threading\ndef model_fn(d): threading.Event().wait()\n"
DOWNLOAD = 'Failed to download model data for container "container_1" from URL: "s3://models/none"'
PING = (
    "The primary container for production variant AllTraffic did not pass the ping health check. "
    "Please check CloudWatch logs for this endpoint."
)


@pytest.mark.parametrize(
    ("data", "image", "reasons"),
    [
        (None, IMAGE, [DOWNLOAD]),
        (b"no archive", IMAGE, ["Failed to extract model data archive", "is a valid tar.gz archive"]),
        (archive(readme="x"), IMAGE, [PING, "the archive holds readme"]),
        (archive(code__inference_py=BROKEN), IMAGE, [PING, "these are no weights"]),
        (archive(code__inference_py=SILENT), IMAGE, [PING, "no healthy answer to /ping within 1 s"]),
        (archive(readme="x"), "unknown/image:1", ["no local runtime stands for the image unknown/image:1"]),
    ],
    ids=["missing", "no archive", "no model", "broken", "silent", "no runtime"],
)
def test_what_cannot_start_says_why(yard: Yard, data: bytes | None, image: str, reasons: list[str]) -> None:
    uri = yard.put("bad", data) if data is not None else "s3://models/none"
    failed = yard.deploy("d-1", uri, image=image, startup_seconds=1, workers=2)
    assert (failed.phase, failed.sockets) == (DeploymentPhase.FAILED, ())
    for reason in reasons:
        assert reason in failed.reason
    assert not list((yard.folder / "fleet" / "workers").glob("*"))


def test_workers_come_and_go_and_nothing_stays(yard: Yard) -> None:
    first = yard.deploy("d-1", yard.put("m", archive(code__inference_py=SUM.format(n=1))))
    yard.fleet.scale("d-1", 3)
    three = yard.until("d-1", lambda now: len(now.sockets) == 3)
    pids = {socket: pid_at(socket) for socket in three.sockets}
    yard.fleet.scale("d-1", 1)
    one = yard.until("d-1", lambda now: len(now.sockets) == 1)
    gone = set(three.sockets) - set(one.sockets)
    eventually(lambda: not any(psutil.pid_exists(pids[socket]) for socket in gone), "the ends of two workers")
    assert gone == set(yard.drained)
    assert ask(one.sockets[0], [7]) == 7
    mine = threading.current_thread()
    told_by: list[threading.Thread] = []
    yard.fleet.listen(lambda _deployment: told_by.append(threading.current_thread()))
    yard.fleet.scale("d-1", 0)
    yard.until("d-1", lambda now: not now.sockets)
    eventually(lambda: any(each.wanted == 0 for each in yard.told), "word of the wish")
    assert mine not in told_by  # who wishes may hold what a listener waits for
    yard.fleet.scale("d-1", 1)
    again = yard.until("d-1", lambda now: len(now.sockets) == 1)
    assert again.phase is DeploymentPhase.READY
    assert again.sockets != first.sockets
    last = pid_at(again.sockets[0])
    yard.fleet.stop("d-1")
    yard.fleet.stop("d-1")
    yard.fleet.stop("unknown")
    stopped = yard.until("d-1", lambda now: now.phase is DeploymentPhase.STOPPED)
    assert stopped.sockets == ()
    assert not psutil.pid_exists(last)
    assert not list((yard.folder / "fleet" / "workers").glob("*"))


def test_containers_in_a_row_are_one_worker(executor: SandboxExecutor, tmp_path: Path) -> None:
    yard = Yard(tmp_path / ("long" * 30), executor)  # its sockets' paths would be too long for the kernel
    try:
        first = "def model_fn(d): return 0\ndef transform_fn(m, body, kind, accept): return body + '1', 'text/csv'\n"
        second = "def model_fn(d): return 0\ndef transform_fn(m, body, kind, accept): return body + kind, 'a/b'\n"
        uris = [yard.put(f"m{n}", archive(code__inference_py=text)) for n, text in enumerate((first, second))]
        ready = yard.deploy("d-1", *uris)
        assert ready.phase is DeploymentPhase.READY, ready.reason
        answer = send(ready.sockets[0], b"0", "application/json")
        assert (answer.text, answer.content_type) == ("01text/csv", "a/b")
        temporary = Path(ready.sockets[0]).parents[1]
        assert send(ready.sockets[0], b"\xff", "text/csv").status == 400  # the first container's answer
        one = Path(ready.sockets[0]).parent / "2"
        os.kill(listener_pid(one) or 0, signal.SIGKILL)
        again = yard.until("d-1", lambda now: len(now.sockets) == 1 and now.sockets != ready.sockets)
        assert send(again.sockets[0], b"0", "text/csv").text == "01text/csv"
    finally:
        yard.close()
    assert not temporary.exists()


CHILD = """
    import sys
    from pathlib import Path
    from fleet_fixture import SUM, Yard, archive
    from mlparity.clock import SystemClock
    from mlparity.engine.sandbox import SandboxExecutor
    from mlparity.ids import SystemIds
    folder = Path(sys.argv[1])
    yard = Yard(folder, SandboxExecutor(folder / "scratch", SystemClock(), SystemIds()))
    ready = yard.deploy("d-1", yard.put("m", archive(code__inference_py=SUM.format(n=1))), workers=2)
    print(*ready.sockets, flush=True)
    sys.stdin.read()
"""


def test_a_killed_control_plane_leaves_no_worker(executor: SandboxExecutor, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )
    with child:
        assert child.stdout is not None
        sockets = child.stdout.readline().decode().split()
        assert len(sockets) == 2
        pids = [pid_at(socket) for socket in sockets]
        child.kill()
    eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids), "the end of the workers")
    assert not any(answers_ping(Path(socket), 1.0) for socket in sockets)
    assert list((folder / "fleet" / "workers").iterdir())
    Yard(folder, executor).close()
    assert not list((folder / "fleet").glob("workers/*"))
    assert not (folder / "fleet" / "s").exists()
    assert list((folder / "fleet" / "models").iterdir())  # what was fetched stays
