"""Jobs as containers, on a real engine."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlparity.engine.container import ContainerExecutor
from mlparity.engine.process import ProcessExit, ProcessSpec, Runtime
from mlparity.errors import RuntimeUnavailableError


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[ContainerExecutor]:
    made = ContainerExecutor(f"test-{tmp_path.name}", tmp_path / "scratch")
    yield made
    made.close()


def spec(image: str, folder: Path, script: str, **changes: Any) -> ProcessSpec:
    root = folder / "ml"
    root.mkdir(exist_ok=True)
    values: dict[str, Any] = {
        "id": f"job-{folder.name.replace('_', '-')}",
        "runtime": Runtime("mine", "container", image=image),
        "command": ["/bin/sh", "-c", script],
        "environment": {"MINE": "a b=c"},
        "mounts": {"/opt/ml": root},
        "working_directory": "/opt/ml",
        "log_path": folder / "log",
    }
    return ProcessSpec(**{**values, **changes})


def test_a_container_has_its_folder_environment_log_and_exit_code(
    executor: ContainerExecutor, image: str, tmp_path: Path
) -> None:
    script = 'echo "$MINE $HOME_OF_NOBODY"; touch made; echo oops >&2; exit 3'
    ended = executor.start(spec(image, tmp_path, script)).wait(60)
    assert ended == ProcessExit(3, None)
    assert sorted((tmp_path / "log").read_text().splitlines()) == ["a b=c ", "oops"]
    assert (tmp_path / "ml" / "made").exists()
    assert not list((tmp_path / "scratch").glob("environment-*"))


def test_instances_know_each_other(executor: ContainerExecutor, image: str, tmp_path: Path) -> None:
    hosts = {"algo-1": "127.0.1.1", "algo-2": "127.0.1.2"}
    executor.start(spec(image, tmp_path, "cat /etc/hosts", hosts=hosts)).wait(60)
    assert "127.0.1.2\talgo-2" in (tmp_path / "log").read_text()


def test_terminate_lets_the_program_end_itself(executor: ContainerExecutor, image: str, tmp_path: Path) -> None:
    script = "trap 'echo saved; exit 0' TERM; echo up; while true; do sleep 0.05; done"
    running = executor.start(spec(image, tmp_path, script))
    poll(lambda: "up" in (tmp_path / "log").read_text())
    running.terminate()
    assert running.wait(30) == ProcessExit(0, None)
    assert "saved" in (tmp_path / "log").read_text()


def test_kill_leaves_nothing(executor: ContainerExecutor, image: str, tmp_path: Path) -> None:
    running = executor.start(spec(image, tmp_path, "trap '' TERM; echo up; while true; do sleep 0.05; done"))
    poll(lambda: "up" in (tmp_path / "log").read_text())
    running.kill()
    ended = running.wait(30)
    assert ended is not None
    assert not ended.ok
    assert containers() == []


def test_what_a_killed_stack_left_is_removed(image: str, tmp_path: Path) -> None:
    first = ContainerExecutor("the-same", tmp_path / "scratch")
    first.start(spec(image, tmp_path, "echo up; while true; do sleep 0.05; done"))
    poll(lambda: "up" in (tmp_path / "log").read_text())
    ContainerExecutor("the-same", tmp_path / "scratch").recover()
    assert containers() == []
    first.close()


def test_an_image_that_is_not_there_is_not_pulled(executor: ContainerExecutor, image: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeUnavailableError) as caught:
        executor.start(spec("example.com/none:1", tmp_path, "true"))
    assert "docker pull example.com/none:1" in caught.value.hint


def containers() -> list[str]:
    command = ["docker", "ps", "--all", "--quiet", "--filter", "label=mlparity.owner"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def poll(condition: Callable[[], bool]) -> None:
    """Wait for what a container does; bounded."""
    waiting = threading.Event()
    for _ in range(600):
        if condition():
            return
        waiting.wait(0.05)
    raise AssertionError("it did not happen within 30 s")
