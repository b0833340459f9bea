"""Vertex AI's containers as real workers: prebuilt images over folders of objects, and programs of their owners."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from mlparity.clock import SystemClock
from mlparity.engine.sandbox import SandboxExecutor, probe
from mlparity.ids import SeededIds
from mlparity.serving.endpoints.plans import ModelContainer, VariantPlan
from mlparity.serving.fleet.deployment import Deployment, DeploymentPhase, DeploymentSpec
from mlparity.serving.upstream import Streamed, Upstream
from tests.conformance.fleet_fixture import IMAGE, Yard, ask, send

ROWS = np.arange(6.0).reshape(3, 2)
PROGRAM = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import threading
go_on = threading.Event()
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def stream(self):
        self.send_response(200); self.send_header("transfer-encoding", "chunked"); self.end_headers()
        self.wfile.write(b"5\\r\\nfirst\\r\\n"); self.wfile.flush()
        go_on.wait(30)
        self.wfile.write(b"6\\r\\nsecond\\r\\n0\\r\\n\\r\\n")
    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status); self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def do_GET(self):
        self.answer(200 if self.path == "/alive" else 404, {})
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path != "/score":
            return self.answer(404, {})
        if body == b"stream":
            return self.stream()
        if body == b"go on":
            go_on.set()
        if self.headers["content-type"] != "application/json":
            return self.answer(200, {"raw": body.decode()})
        told = {name: os.environ.get(name, "") for name in ("AIP_STORAGE_URI", "AIP_DEPLOYED_MODEL_ID")}
        self.answer(200, {"predictions": [sum(row) for row in json.loads(body)["instances"]], "metadata": told})
    def log_message(self, *_): pass
ThreadingHTTPServer(("127.0.0.1", int(os.environ["AIP_HTTP_PORT"])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    found = probe()
    if found.mode is None:
        pytest.skip(f"{found.why}. {found.hint}")
    executor = SandboxExecutor(tmp_path_factory.mktemp("scratch"), SystemClock(), SeededIds(), report=found)
    made = Yard(tmp_path_factory.mktemp("yard"), executor)
    stream = io.BytesIO()
    joblib.dump(LinearRegression().fit(ROWS, ROWS.sum(axis=1)), stream)
    made.put("sklearn/model.joblib", stream.getvalue())
    made.put("sklearn-2/model.joblib", b"another folder, whose name begins alike")
    yield made
    made.close()
    executor.close()
    assert not list(made.folder.glob("fleet/workers/*"))


def deploy(yard: Yard, name: str, **container: Any) -> Deployment:
    routes = {"health_route": "/alive", "predict_route": "/score"}
    made = ModelContainer(IMAGE, packed=False, contract="vertex", **routes, **container)
    variant = VariantPlan("7", (made,), 1, 100.0, startup_seconds=20)
    yard.fleet.start(DeploymentSpec(name, "vertex/us-central1/e", variant, "/vertex/endpoints/us-central1/e"))
    return yard.until(name, lambda now: now.phase is not DeploymentPhase.STARTING)


def test_a_folder_of_objects_is_a_prebuilt_images_model(yard: Yard) -> None:
    environment = {"AIP_FRAMEWORK": "SCIKIT_LEARN", "AIP_PREDICT_ROUTE": "/score", "AIP_HEALTH_ROUTE": "/alive"}
    ready = deploy(yard, "d-1", model_uri="gs://models/sklearn/", environment=environment)
    assert ready.phase is DeploymentPhase.READY, ready.reason
    assert np.allclose(ask(ready.sockets[0], {"instances": ROWS.tolist()})["predictions"], ROWS.sum(axis=1))
    refused = send(ready.sockets[0], b'{"instances": [[1]]}')
    assert (refused.status, json.loads(refused.body)[:17]) == (400, "Prediction failed")


def test_a_program_of_the_models_owner_serves(yard: Yard) -> None:
    environment = {"AIP_STORAGE_URI": "gs://models/sklearn", "AIP_DEPLOYED_MODEL_ID": "7"}
    ready = deploy(yard, "d-2", environment=environment, command=("python3", "-c"), arguments=(PROGRAM,))
    assert ready.phase is DeploymentPhase.READY, ready.reason
    answer = ask(ready.sockets[0], {"instances": [[1, 2], [3, 4]]})
    assert answer == {"predictions": [3, 7], "metadata": environment}
    assert send(ready.sockets[0], b"bytes", "text/x").text == '{"raw": "bytes"}'
    client = Upstream(ready.sockets[0])
    streamed = client.stream("POST", "/invocations", b"stream", {"content-type": "text/x"}, 30)
    assert isinstance(streamed, Streamed)
    assert next(streamed.parts) == b"first"  # before the rest is there
    assert send(ready.sockets[0], b"go on", "text/x").ok
    assert b"".join(streamed.parts) == b"second"
    client.close()


def test_what_does_not_start_is_told_in_vertexs_words(yard: Yard) -> None:
    gone = deploy(yard, "d-3", model_uri="gs://models/none/", environment={"AIP_FRAMEWORK": "SCIKIT_LEARN"})
    assert gone.reason == "Failed to copy the model artifacts: there is nothing at gs://models/none/."
    program = "raise SystemExit('no licence')"
    failed = deploy(yard, "d-4", command=("python3", "-c"), arguments=(program,))
    assert failed.reason.startswith("Model server exited unexpectedly. Model server logs can be found at /vertex/")
    assert "no licence" in failed.reason
    broken = deploy(yard, "d-5", model_uri="gs://models/sklearn-2/", environment={"AIP_FRAMEWORK": "SCIKIT_LEARN"})
    assert "Could not load the model: model.joblib" in broken.reason
