"""The SageMaker SDK 2.x in an environment of its own, and its flows: processes that run at once against one stack."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlparity.engine.environments import Environments, requirement_lines
from mlparity.engine.process import Runtime
from mlparity.errors import RuntimeUnavailableError
from mlparity.profiles.locate import user_runtimes
from mlparity.testing.stack import RunningStack, running_stack

_HERE = Path(__file__).parent
_CACHE = _HERE.parents[1] / "build" / "twin"
_SECONDS = 240.0  # for a flow on a busy machine
# An image that a team has built with the SDK in it: what its functions need to run as jobs.
_IMAGE = "twin/python:2"
# Half of what importing the SDK takes. Not the SDK itself: importing it makes a session, which looks for a region.
_PRELOAD = ["boto3", "pandas", "sagemaker_core.shapes"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These run a vendor's SDK."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.sdk)


@dataclass(frozen=True)
class Flow:
    """A script that runs with the other SDK."""

    process: subprocess.Popen[bytes]
    log: Path
    found: Path

    def result(self) -> dict[str, Any]:
        """What it has found, once it has ended."""
        code = self.process.wait(_SECONDS)
        assert code == 0, f"{self.found.stem} ended with {code}:\n{self.shown()[-6000:]}"
        content: dict[str, Any] = json.loads(self.found.read_text())
        return content

    def shown(self) -> str:
        """What the SDK has shown: the logs of jobs that it waited for, among others."""
        return self.log.read_text(errors="replace")


@pytest.fixture(scope="session")
def twin_python() -> str:
    """The interpreter that has SDK 2.x: built once by uv from requirements.lock, offline after that."""
    pins = requirement_lines((_HERE / "requirements.lock").read_text("utf-8"))
    try:
        return Environments(_CACHE).ready(Runtime("sagemaker-2", "venv", requirements=pins)).python
    except RuntimeUnavailableError as error:
        reason = ". ".join(error.lines())
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def twin_stack(twin_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack whose person has a line for his own image in his own runtime map."""
    mine = user_runtimes()
    mine.parent.mkdir(parents=True, exist_ok=True)
    runtime = {"kind": "host", "python": twin_python, "preload": _PRELOAD}
    mine.write_text(
        json.dumps({"version": 1, "runtimes": {"twin": runtime}, "images": [{"image": _IMAGE, "runtime": "twin"}]})
    )
    try:
        with running_stack(tmp_path_factory.mktemp("twin-stack"), mlflow=False) as running:
            yield running
    finally:
        mine.unlink()


@pytest.fixture(scope="session")
def flows(
    twin_python: str, twin_stack: RunningStack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Flow]]:
    """All flows, started at once as `mlparity exec` would start them: most of their time is the SDK's own waiting."""
    folder = tmp_path_factory.mktemp("flows")
    environment = {**twin_stack.exec_environment(), "SAGEMAKER_SUPPRESS_V2_WARNING": "1", "PYTHONWARNINGS": "ignore"}
    started: dict[str, Flow] = {}
    try:
        for name in ("functions", "jobs", "pipeline"):
            found, log = folder / f"{name}.json", folder / f"{name}.log"
            with log.open("wb") as output:
                process = subprocess.Popen(
                    [twin_python, str(_HERE / "flows" / f"{name}.py"), str(found)],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
            started[name] = Flow(process, log, found)
        yield started
    finally:
        for flow in started.values():
            if flow.process.poll() is None:
                flow.process.kill()
            flow.process.wait()
