"""What processes a worker is made of: our server, an image of SageMaker's or Vertex AI's, a program of the owner's."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from mlparity.engine.process import ProcessExit, ProcessSpec, Runtime
from mlparity.ids import SeededIds
from mlparity.serving.endpoints.plans import ModelContainer
from mlparity.serving.fleet.places import SocketPlaces
from mlparity.serving.fleet.preparation import PreparedContainer
from mlparity.serving.fleet.worker import Worker, Workshop

HOST, IMAGE = Runtime("host", "host"), Runtime("own", "container", image="own:1")
VERTEX: dict[str, Any] = {"contract": "vertex", "port": 9000, "health_route": "/h", "predict_route": "/p"}


class Recorded:
    """An executor whose processes run until they are told to end."""

    def __init__(self) -> None:
        self.specs: list[ProcessSpec] = []
        self._ended = threading.Event()

    def start(self, spec: ProcessSpec) -> Recorded:
        self.specs.append(spec)
        return self

    def wait(self, timeout: float | None = None) -> ProcessExit | None:
        return ProcessExit(0, None) if self._ended.wait(timeout) else None

    def terminate(self) -> None:
        self._ended.set()

    kill = close = terminate


def specs_of(folder: Path, runtime: Runtime, plan: ModelContainer) -> list[ProcessSpec]:
    executor = Recorded()
    places = SocketPlaces(folder / "s", SeededIds())
    workshop = Workshop(executor, places, folder / "workers", lambda _role: {"ALL": "1"}, SeededIds())
    container = PreparedContainer(runtime, plan.environment, "", None, None, plan)
    worker = Worker(workshop, "d-1", [container], [folder / "log"], 60.0, threading.Event())
    worker.finish()
    places.close()
    return executor.specs


@pytest.mark.parametrize("contract", ["sagemaker", "vertex"])
def test_our_server_serves_by_its_contract(tmp_path: Path, contract: str) -> None:
    (spec,) = specs_of(tmp_path, HOST, ModelContainer("any", contract=contract))
    assert list(spec.command)[3:5] == ["--contract", contract]


def test_an_image_of_vertex_runs_as_its_model_says(tmp_path: Path) -> None:
    plan = ModelContainer("own:1", environment={"AIP_HTTP_PORT": "9000"}, arguments=("--fast",), **VERTEX)
    image, chain = specs_of(tmp_path, IMAGE, plan)
    assert (image.command, image.arguments, list(image.ports)) == ((), ("--fast",), [9000])
    assert image.environment == {"ALL": "1", "AIP_HTTP_PORT": "9000"}
    (port,) = image.ports.values()
    assert list(chain.command)[-5:] == ["--chain-routes", "/h", "/p", "--chain", f"127.0.0.1:{port}"]
    image, _ = specs_of(tmp_path, IMAGE, ModelContainer("own:1", command=("serve.sh",), arguments=("-v",), **VERTEX))
    assert image.command == ("serve.sh", "-v")


def test_an_image_of_sagemaker_is_told_to_serve(tmp_path: Path) -> None:
    image, chain = specs_of(tmp_path, IMAGE, ModelContainer("own:1"))
    assert (image.command, image.arguments, list(image.ports)) == ((), ("serve",), [8080])
    assert list(chain.command)[-5:-2] == ["--chain-routes", "/ping", "/invocations"]


def test_a_program_listens_where_it_is_told_to(tmp_path: Path) -> None:
    plan = ModelContainer("any", environment={"AIP_HTTP_PORT": "9000"}, command=("serve", "it"), **VERTEX)
    program, chain = specs_of(tmp_path, HOST, plan)
    assert (program.command, dict(program.ports)) == (("serve", "it"), {})
    assert chain.command[-1] == f"127.0.0.1:{program.environment['AIP_HTTP_PORT']}"
    assert program.environment["AIP_HTTP_PORT"] != "9000"
