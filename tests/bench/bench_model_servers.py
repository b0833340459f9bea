"""Servers of one scikit-learn model: kserve and mlserver in own environments, MLflow's, and a bare ASGI app."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bench_environments import environment
from bench_load import Target
from bench_measure import Options
from bench_peers import HOST, answering, command, process

from mlparity.stack.listen import free_port

_WITH = (f"scikit-learn=={version('scikit-learn')}", "setuptools")
LIMIT = "bare ASGI, the limit"
_START_SECONDS = 120
# Its own server listens on every address, and only that can be changed from outside.
_KSERVE = """
import sys

import joblib
import kserve
import numpy
import uvloop
from kserve.model_repository import ModelRepository
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from kserve.protocol.rest.server import RESTServer


class Model(kserve.Model):
    def __init__(self, path):
        super().__init__("m")
        self.model, self.ready = joblib.load(path), True

    def predict(self, payload, headers=None):
        return {"predictions": self.model.predict(numpy.asarray(payload["instances"])).tolist()}


models = ModelRepository()
models.update(Model(sys.argv[1]))
server = RESTServer("kserve.model_server:app", DataPlane(models), ModelRepositoryExtension(models), int(sys.argv[2]))
server.config.host = "127.0.0.1"
uvloop.run(server.start())
"""
_BARE = """
import sys

import joblib
import numpy
import orjson
import uvicorn

model = joblib.load(sys.argv[1])
HEADERS = [(b"content-type", b"application/json")]


async def app(scope, receive, send):
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    answer = orjson.dumps(model.predict(numpy.asarray(orjson.loads(body))).tolist()) if body else b"ready"
    length = [(b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS + length})
    await send({"type": "http.response.body", "body": answer})


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), lifespan="off", access_log=False, log_level="warning")
"""


@dataclass(frozen=True)
class Served:
    """The model as files, and one row for it."""

    joblib: Path
    mlflow: Path  # a folder
    row: Sequence[float]


def request(path: str, port: int, document: object) -> bytes:
    """A POST of JSON."""
    body = json.dumps(document).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@contextmanager
def peers(options: Options, served: Served) -> Iterator[dict[str, Target]]:
    """All that can be had, running."""
    with ExitStack() as stack:
        found: dict[str, Target] = {}
        for name, start in _PEERS.items():
            try:
                target = stack.enter_context(start(options, served))
            except (RuntimeError, TimeoutError) as error:
                options.say(f"  without {name}: {str(error)[:200]}")
                continue
            if target is not None:
                found[name] = target
        yield found


@contextmanager
def _kserve(options: Options, served: Served) -> Iterator[Target | None]:
    python = environment(options, "kserve==0.21.0", *_WITH)
    if python is None:
        yield None
        return
    script, port = options.folder / "kserve_model.py", free_port()
    script.write_text(_KSERVE)
    with process([str(python), str(script), str(served.joblib), str(port)], options.folder / "kserve.log") as it:
        answering(it, port, "/v1/models/m", _START_SECONDS)
        yield Target(port, request("/v1/models/m:predict", port, {"instances": [served.row]}))


@contextmanager
def _mlserver(options: Options, served: Served) -> Iterator[Target | None]:
    python = environment(options, "mlserver==1.7.1", "mlserver-sklearn==1.7.1", *_WITH)
    if python is None:
        yield None
        return
    folder, port = options.folder / "m", free_port()
    folder.mkdir()
    ports = {"http_port": port, "grpc_port": free_port(), "metrics_port": free_port()}
    (folder / "settings.json").write_text(json.dumps({"host": HOST, "parallel_workers": 0, **ports}))
    model = {"name": "m", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": str(served.joblib)}}
    (folder / "model-settings.json").write_text(json.dumps(model))
    with process(
        [str(python.with_name("mlserver")), "start", str(folder)], options.folder / "mlserver.log", cwd=folder
    ) as it:
        answering(it, port, "/v2/models/m/ready", _START_SECONDS)
        tensor = {"name": "x", "shape": [1, len(served.row)], "datatype": "FP64", "data": list(served.row)}
        yield Target(port, request("/v2/models/m/infer", port, {"inputs": [tensor]}))


@contextmanager
def _mlflow(options: Options, served: Served) -> Iterator[Target | None]:
    port = free_port()
    words = [command("mlflow"), "models", "serve", "-m", str(served.mlflow), "--env-manager", "local"]
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"  # it looks for uvicorn there
    with process(
        [*words, "-h", HOST, "-p", str(port), "-w", "1"],
        options.folder / "mlflow.log",
        env={**os.environ, "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"},
    ) as it:
        answering(it, port, "/ping", _START_SECONDS)
        yield Target(port, request("/invocations", port, {"inputs": [served.row]}))


@contextmanager
def _bare(options: Options, served: Served) -> Iterator[Target | None]:
    script, port = options.folder / "bare.py", free_port()
    script.write_text(_BARE)
    with process([sys.executable, str(script), str(served.joblib), str(port)], options.folder / "bare.log") as it:
        answering(it, port, "/", _START_SECONDS)
        yield Target(port, request("/", port, [served.row]))


_PEERS: dict[str, Callable[[Options, Served], AbstractContextManager[Target | None]]] = {
    "kserve": _kserve,
    "mlserver": _mlserver,
    "mlflow": _mlflow,
    LIMIT: _bare,
}
