"""Exact environments: built once, found again, and run by the sandbox with their own versions."""

from __future__ import annotations

import subprocess
import threading
import zipfile
from pathlib import Path

import pytest

from mlparity.clock import SystemClock
from mlparity.engine.environments import Environments, key
from mlparity.engine.process import ProcessSpec, Runtime
from mlparity.engine.sandbox import SandboxExecutor
from mlparity.errors import RuntimeUnavailableError
from mlparity.ids import SystemIds


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A package that no index has: building needs no network."""
    path = tmp_path / "tiny_thing-1.2.3-py3-none-any.whl"
    info = "tiny_thing-1.2.3.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_thing.py", "VERSION = '1.2.3'\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.2.3\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def runtime(*requirements: str) -> Runtime:
    return Runtime("tiny", "venv", requirements=requirements)


def test_an_environment_is_built_once_and_runs_jobs_with_its_own_packages(tmp_path: Path, wheel: Path) -> None:
    environments = Environments(tmp_path / "environments")
    wanted = runtime(str(wheel))
    found: list[Runtime] = []
    threads = [threading.Thread(target=lambda: found.append(environments.ready(wanted))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each.python for each in found}) == 1
    wheel.unlink()
    again = Environments(tmp_path / "environments").ready(wanted)  # nothing is left to build it from
    assert again == found[0]

    root = tmp_path / "ml"
    root.mkdir()
    executor = SandboxExecutor(tmp_path / "scratch", SystemClock(), SystemIds(), hidden=[tmp_path / "environments"])
    try:
        script = "import tiny_thing, sys; print(tiny_thing.VERSION, 'sqlalchemy' in sys.modules)"
        log = tmp_path / "log"
        command = ["/bin/sh", "-c", f'python3 -c "{script}"; python3 -c "import sqlalchemy" 2>&1 | tail -1']
        spec = ProcessSpec("job", again, command, {}, {"/opt/ml": root}, "/opt/ml", log)
        ended = executor.start(spec).wait(60)
    finally:
        executor.close()
    assert ended is not None
    assert log.read_text() == "1.2.3 False\nModuleNotFoundError: No module named 'sqlalchemy'\n"


def test_what_cannot_be_built_says_why_and_is_tried_again(tmp_path: Path, wheel: Path) -> None:
    environments = Environments(tmp_path / "environments")
    missing = str(tmp_path / "none-1-py3-none-any.whl")
    with pytest.raises(RuntimeUnavailableError) as caught:
        environments.ready(runtime(missing))
    assert "tiny" in caught.value.what
    assert "none-1" in caught.value.why
    wheel.rename(missing.replace("none-1", "tiny_thing-1.2.3"))
    assert environments.ready(runtime(missing.replace("none-1", "tiny_thing-1.2.3"))).python


def test_the_name_is_the_content() -> None:
    assert key(runtime("a==1", "b==2")) == key(runtime("b==2", "a==1"))
    assert key(runtime("a==1")) != key(runtime("a==2"))


def test_other_kinds_are_ready_as_they_are(tmp_path: Path) -> None:
    host = Runtime("host", "host")
    assert Environments(tmp_path).ready(host) is host


def test_packages_that_the_host_lacks_are_laid_over_what_it_has(tmp_path: Path, wheel: Path) -> None:
    environments = Environments(tmp_path / "environments")
    host = Runtime("host", "host")
    assert environments.with_packages(host, ["sqlalchemy>=2", "absent; python_version < '3'"]) == host
    added = environments.with_packages(host, [f"tiny-thing @ {wheel.as_uri()}"])
    command = [added.python, "-c", "import tiny_thing, sqlalchemy; print(tiny_thing.VERSION)"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "1.2.3\n"
    exact = Environments(tmp_path / "environments", exact=True).with_packages(host, [str(wheel)])
    bare = subprocess.run([exact.python, "-c", "import sqlalchemy"], capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError" in bare.stderr
