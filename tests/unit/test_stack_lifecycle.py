from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from mlparity.errors import DataFolderError, PortInUseError, StackError, StackNotRunningError
from mlparity.stack.config import ControlPlaneConfig
from mlparity.stack.folder import DataFolder
from mlparity.stack.health import answers, get, part_statuses, running_jobs
from mlparity.stack.listen import free_port, listen
from mlparity.stack.record import read_record
from mlparity.stack.running import lock_is_held, require_running, running_stack_record
from mlparity.stack.spec import StackSpec
from mlparity.stack.start import Started, start
from mlparity.stack.stop import end_leftovers, stop
from mlparity.testing.stack import running_stack

FAKE = Path(__file__).with_name("stack_fake_plane.py")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="process supervision is tested on Linux")


def until(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Wait for ``condition``, asking often; fail after ``seconds``."""
    event, deadline = threading.Event(), time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        event.wait(0.02)


def spec(data_dir: Path, factory: str = "build", port: int = 0) -> StackSpec:
    config = ControlPlaneConfig(data_dir, aws_port=port or free_port(), mlflow_port=0)
    return StackSpec(config, f"{FAKE}:{factory}")


def descendants(data_dir: Path) -> list[psutil.Process]:
    """Every process that was started for the data folder."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(str(data_dir) in word for word in process.info["cmdline"] or [])
    ]


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "data"
    yield path
    stop(DataFolder(path))
    assert descendants(path) == []


def ended(started: Started) -> None:
    """Reap the supervisor, which is this process's child."""
    if started.process is not None:
        started.process.wait(20)


def test_up_status_and_down(data_dir: Path) -> None:
    folder = DataFolder(data_dir)
    with running_stack(data_dir, mlflow=False, control_plane=f"{FAKE}:build") as stack:
        record = stack.record()
        assert answers(f"{stack.aws_url}/_mlparity/health")
        supervisor, plane = part_statuses(record)
        assert supervisor.healthy
        assert (plane.name, plane.state, plane.healthy, plane.restarts) == ("control-plane", "ready", True, 0)
        assert plane.memory_bytes > 0
        assert running_jobs(record) == 3
        assert lock_is_held(folder)
        assert "mlparity-local-only" not in folder.record_path.read_text()
    assert (data_dir / "state" / "closed").exists()  # it was told to end, not killed
    assert not lock_is_held(folder)
    with pytest.raises(StackNotRunningError, match="not up"):
        require_running(folder)
    assert stop(folder).parts == ()


def test_a_second_up_finds_the_first(data_dir: Path) -> None:
    wanted = spec(data_dir)
    first = start(wanted)
    second = start(wanted)
    assert (first.by_this_call, second.by_this_call) == (True, False)
    assert second.record.pid == first.record.pid
    stop(DataFolder(data_dir))
    ended(first)


def test_a_second_up_with_other_settings_is_told(data_dir: Path) -> None:
    first = start(spec(data_dir))
    with pytest.raises(StackError, match="with other settings") as caught:
        start(spec(data_dir))
    assert "aws_port" in caught.value.why
    assert running_stack_record(DataFolder(data_dir)) is not None
    stop(DataFolder(data_dir))
    ended(first)


def test_two_shells_at_the_same_moment_get_one_stack(data_dir: Path) -> None:
    wanted = spec(data_dir)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: start(wanted), range(2)))
    assert {started.record.pid for started in both} == {both[0].record.pid}
    assert sum(started.by_this_call for started in both) == 1
    assert len((data_dir / "state" / "starts").read_text().split()) == 1
    stop(DataFolder(data_dir))
    for started in both:
        ended(started)


def test_two_shells_look_at_the_ports_one_after_the_other(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking at a port is taking it for a moment: the other shell would see a program that has it."""

    def slow(port: int, part: str, ways: str) -> None:
        with listen(port, part, ways):
            threading.Event().wait(0.3)

    monkeypatch.setattr("mlparity.stack.start.check_free", slow)
    wanted = spec(data_dir)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: start(wanted), range(2)))
    assert sum(started.by_this_call for started in both) == 1
    stop(DataFolder(data_dir))
    for started in both:
        ended(started)


def test_a_shell_sees_the_stack_that_another_has_just_begun(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would take the new processes for what a killed stack has left, and end them."""
    seen = []

    def looked(folder: DataFolder) -> bool:
        seen.append(lock_is_held(folder) or folder.record_path.exists())
        return end_leftovers(folder)

    monkeypatch.setattr("mlparity.stack.start.end_leftovers", looked)
    wanted = spec(data_dir)
    with ThreadPoolExecutor(3) as pool:
        shells = list(pool.map(lambda _: start(wanted), range(3)))
    assert seen == [False]  # one shell alone came to that
    assert {started.record.pid for started in shells} == {shells[0].record.pid}
    stop(DataFolder(data_dir))
    for started in shells:
        ended(started)


def test_a_port_in_use_names_the_holder_and_the_way_out(data_dir: Path) -> None:
    taken = listen(0, "a test", "")
    port = taken.getsockname()[1]
    with taken, pytest.raises(PortInUseError) as caught:
        start(spec(data_dir, port=port))
    assert str(port) in caught.value.what
    assert str(os.getpid()) in caught.value.why
    assert "--aws-port or MLPARITY_AWS_PORT" in caught.value.hint
    assert running_stack_record(DataFolder(data_dir)) is None


def test_a_part_that_cannot_start_says_why(data_dir: Path) -> None:
    with pytest.raises(StackError) as caught:
        start(spec(data_dir, "build_failing"))
    assert caught.value.what == "control-plane ended while it started"
    assert "the fake cannot start\nit was made so\nuse another one" in caught.value.why
    assert str(data_dir / "logs" / "control-plane.log") in caught.value.hint
    assert descendants(data_dir) == []


def test_a_part_that_never_answers_is_stopped_again(data_dir: Path) -> None:
    with pytest.raises(StackError, match="waiting for control-plane"):
        start(spec(data_dir, "build_slow"), timeout=1.5)
    assert descendants(data_dir) == []


def test_a_part_that_dies_is_started_again_on_the_same_port(data_dir: Path) -> None:
    with running_stack(data_dir, mlflow=False, control_plane=f"{FAKE}:build") as stack:
        (before,) = stack.record().children
        os.kill(before.pid, signal.SIGKILL)
        # The supervisor holds the port: this connects at once and is answered by the new process.
        assert get(f"{stack.aws_url}/_mlparity/health", timeout=20).status == 200
        until(lambda: stack.record().ready, "the record says ready")
        (after,) = stack.record().children
        assert after.restarts == 1
        assert after.pid != before.pid


def test_kill_9_of_the_supervisor_leaves_no_process(data_dir: Path) -> None:
    wanted = spec(data_dir)
    first = start(wanted)
    assert len(descendants(data_dir)) == 2
    os.kill(first.record.pid, signal.SIGKILL)
    ended(first)
    until(lambda: descendants(data_dir) == [], "no process is left")
    assert running_stack_record(DataFolder(data_dir)) is None
    again = start(wanted)  # the same port, the same folder
    assert again.by_this_call
    stop(DataFolder(data_dir))
    ended(again)


def test_down_finds_the_stack_though_its_record_is_garbage(data_dir: Path) -> None:
    folder = DataFolder(data_dir)
    first = start(spec(data_dir))
    folder.record_path.write_text("{ not json")
    with pytest.raises(DataFolderError, match=r"stack\.json is damaged"):
        running_stack_record(folder)
    assert stop(folder).parts == ("supervisor",)
    ended(first)
    assert descendants(data_dir) == []


def test_garbage_that_an_earlier_stack_left_is_no_obstacle(data_dir: Path) -> None:
    folder = DataFolder(data_dir)
    folder.prepare()
    folder.record_path.write_text("[]")
    assert running_stack_record(folder) is None
    with running_stack(data_dir, mlflow=False, control_plane=f"{FAKE}:build"):
        assert read_record(folder.record_path) is not None


def test_a_process_id_that_was_given_to_another_program_is_left_alone(data_dir: Path) -> None:
    folder = DataFolder(data_dir)
    with running_stack(data_dir, mlflow=False, control_plane=f"{FAKE}:build") as stack:
        text = folder.record_path.read_text()
        pid, started = stack.record().pid, stack.record().started
    # This very process stands for "another program": same shape of record, its id, a different start time.
    folder.record_path.write_text(text.replace(str(pid), str(os.getpid())).replace(str(started), str(started - 1e6)))
    assert running_stack_record(folder) is None
    assert stop(folder).parts == ()


def test_ctrl_c_during_up_stops_what_it_started(data_dir: Path) -> None:
    wanted = spec(data_dir, "build_slow")
    program = f"""
import signal
import sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` starts its programs with SIGINT ignored
from mlparity.stack.config import ControlPlaneConfig
from mlparity.stack.spec import StackSpec
from mlparity.stack.start import start
try:
    config = ControlPlaneConfig(Path({str(data_dir)!r}), aws_port={wanted.config.aws_port}, mlflow_port=0)
    start(StackSpec(config, {wanted.control_plane!r}))
except KeyboardInterrupt:
    sys.exit(130)
"""
    process = subprocess.Popen([sys.executable, "-c", program])
    until((data_dir / "state" / "starts").exists, "the control plane is starting")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert descendants(data_dir) == []
    assert not lock_is_held(DataFolder(data_dir))


def test_logs_of_earlier_starts_are_kept_aside(data_dir: Path) -> None:
    folder = DataFolder(data_dir)
    for _ in range(2):
        with running_stack(data_dir, mlflow=False, control_plane=f"{FAKE}:build"):
            pass
    assert folder.log_path("control-plane").exists()
    assert folder.log_path("control-plane").with_name("control-plane.log.1").exists()


def test_up_while_the_last_stack_is_stopping_starts_a_new_one(data_dir: Path) -> None:
    wanted = spec(data_dir)
    first = start(wanted)
    os.kill(first.record.pid, signal.SIGTERM)
    until(lambda: (record := running_stack_record(DataFolder(data_dir))) is None or record.stopping, "it is stopping")
    again = start(wanted)
    assert again.by_this_call
    assert again.record.pid != first.record.pid
    ended(first)
    stop(DataFolder(data_dir))
    ended(again)
