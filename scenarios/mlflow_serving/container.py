"""The built image by itself: run, asked and ended as ECS would by the task definition."""

from __future__ import annotations

import shutil
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mlparity.errors import ScenarioError
from mlparity.scenarios import Platform
from scenarios.mlflow_serving import contract
from scenarios.mlflow_serving.docker import docker, told
from scenarios.mlflow_serving.versions import Version

_OWNER = "mlparity.owner"
_START_SECONDS = 120.0  # ECS gives `startPeriod` and its retries
_STOP_SECONDS = 30  # ECS's and SageMaker's time between SIGTERM and SIGKILL
_ENDED = frozenset({0, 143})  # by itself, on SIGTERM


@dataclass(frozen=True)
class Container:
    """A running one. ``url`` has no slash at its end."""

    id: str
    url: str

    def ping(self) -> bool:
        """Whether GET /ping answers 200 within two seconds, which is what SageMaker waits."""
        try:
            with urllib.request.urlopen(f"{self.url}/ping", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def invoke(self, content_type: str, body: str) -> contract.Predictions:
        """POST /invocations; the predictions."""
        asked = urllib.request.Request(
            f"{self.url}/invocations", data=body.encode(), headers={"Content-Type": content_type}
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return contract.predictions_in(answer.read())

    def stop(self) -> int:
        """SIGTERM, and SIGKILL where that does not help; the exit code."""
        told("stop", "--time", str(_STOP_SECONDS), self.id)
        return int(told("inspect", "--format", "{{.State.ExitCode}}", self.id))


def compare(platform: Platform, definition: Mapping[str, Any], version: Version, flights: pd.DataFrame) -> str:
    """Check what the image answers against the model's own predictions, its health check and its end; in words."""
    health = definition["containerDefinitions"][0]["healthCheck"]["command"]
    began = time.monotonic()
    with running(definition, str(platform.workdir)) as container:
        seconds = time.monotonic() - began
        said = contract.compare(platform, version, flights, container.invoke)
        told("exec", container.id, *health[1:])  # raises where the check fails
        began = time.monotonic()
        code = container.stop()
    platform.check(code in _ENDED, f"the container does not end on SIGTERM: exit code {code}")
    return f"{said}; up after {seconds:.1f} s, healthy, ended {time.monotonic() - began:.1f} s after SIGTERM"


@contextmanager
def running(definition: Mapping[str, Any], owner: str) -> Iterator[Container]:
    """The task definition's container, answering /ping; removed when the block ends. Raises ``ScenarioError``.

    ``owner`` is what ``left`` finds it by where this process is killed.
    """
    task = definition["containerDefinitions"][0]
    (port,) = (mapping["containerPort"] for mapping in task["portMappings"])
    limits = ["--cpus", str(int(definition["cpu"]) / 1024), "--memory", f"{definition['memory']}m"]
    place = ["--publish", f"127.0.0.1::{port}", "--label", f"{_OWNER}={owner}", "--pull", "never"]
    started = told("run", "--detach", *place, *limits, task["image"], *task["command"])
    try:
        address = told("port", started, f"{port}/tcp").splitlines()[0]
        container = Container(started, f"http://{address}")
        _wait(container)
        yield container
    finally:
        remove([started])


def left(owner: str) -> list[str]:
    """The ids of an owner's containers; none where no engine answers."""
    if shutil.which("docker") is None:
        return []
    return docker("ps", "--all", "--quiet", "--filter", f"label={_OWNER}={owner}").stdout.split()


def remove(ids: Iterable[str]) -> None:
    """Kill and remove them."""
    for one in ids:
        told("rm", "--force", "--volumes", one)


def _wait(container: Container) -> None:
    began = time.monotonic()
    while not container.ping():
        alive = told("inspect", "--format", "{{.State.Running}}", container.id) == "true"
        if not alive or time.monotonic() - began > _START_SECONDS:
            log = docker("logs", "--tail", "20", container.id)
            raise ScenarioError("the container does not answer /ping", (log.stdout + log.stderr)[-1000:])
        time.sleep(0.2)
