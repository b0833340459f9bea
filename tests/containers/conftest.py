"""A container engine, and images made from this machine's own files: nothing is pulled."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers import stand_in
from tests.containers.engine_images import engine_answers, root_file_system

ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:  # so that `scenarios.<name>` is what `mlparity run` imports
    sys.path.insert(0, ROOT)
IMAGE = "mlparity-test-shell:1"
_NOTES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def engine() -> None:
    """Skips where there is none."""
    if not engine_answers():
        pytest.skip("no container engine answers (`docker info`)")


@pytest.fixture(scope="session")
def image(engine: None) -> Iterator[str]:
    subprocess.run(["docker", "import", "-", IMAGE], input=root_file_system(), capture_output=True, check=True)
    yield IMAGE
    subprocess.run(["docker", "image", "rm", "--force", IMAGE], capture_output=True, check=False)


@pytest.fixture(scope="session")
def python_base(engine: None, pytestconfig: pytest.Config) -> Iterator[str]:
    """`python:X.Y-slim` of this Python: the one that the engine has, or a stand-in, which the closing lines name."""
    if stand_in.official():
        yield stand_in.BASE
        return
    pytestconfig.stash.setdefault(_NOTES, []).append(stand_in.note())
    stand_in.make()
    yield stand_in.BASE
    stand_in.remove()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for note in config.stash.get(_NOTES, []):
        terminalreporter.write_line(f"NOTE {note}")
