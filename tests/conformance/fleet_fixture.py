"""A fleet over real processes, with the shortest way to store a model, deploy it and ask it."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlparity.clock import Clock, SystemClock
from mlparity.engine.environments import Environments
from mlparity.engine.logs import JobLogStore
from mlparity.engine.process import ProcessExecutor
from mlparity.engine.runtimes import RuntimeMap
from mlparity.ids import SystemIds
from mlparity.serving.endpoints.plans import ModelContainer, VariantPlan
from mlparity.serving.fleet.deployment import Deployment, DeploymentPhase, DeploymentSpec
from mlparity.serving.fleet.process_fleet import FleetMeans, ProcessFleet
from mlparity.serving.fleet.slot import Timing
from mlparity.serving.upstream import Answer, Upstream
from mlparity.state import Database
from mlparity.storage.filestore import FileObjectStore

PATIENCE = 30.0  # seconds; far more than anything here takes
IMAGE = "example.com/serving:1"
RUNTIMES = """
version: 1
runtimes:
  host: {kind: host, preload: [numpy, joblib]}
images:
  - {image: "example.com/*", runtime: host}
"""
QUICK = Timing(ping_every=0.05, ping_timeout=0.25, hung_after=2, grace=2.0)
SUM = "import json\ndef model_fn(d): return {n}\ndef transform_fn(m, body, kind, accept):\n"
SUM += "    return json.dumps(sum(json.loads(body)) * m), 'application/json'\n"


def archive(**files: str | bytes) -> bytes:
    """A .tar.gz; two underscores in a name are a slash, one is a dot."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            item = tarfile.TarInfo(name.replace("__", "/").replace("_", "."))
            item.size = len(data)
            tar.addfile(item, io.BytesIO(data))
    return packed.getvalue()


class Yard:
    """One fleet in ``folder``."""

    def __init__(
        self, folder: Path, executor: ProcessExecutor, timing: Timing = QUICK, runtimes: str = RUNTIMES
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        clock: Clock = SystemClock()
        self.database = Database.open(folder / "state.db")
        self.store = FileObjectStore(self.database, folder / "blobs", clock, SystemIds(), "us-east-1")
        self.store.ensure_bucket("models")
        (folder / "runtimes.yaml").write_text(runtimes)
        self.drained: list[str] = []
        self.told: list[Deployment] = []
        self.changed = threading.Condition()
        self.fleet = ProcessFleet(
            FleetMeans(
                store=self.store,
                executor=executor,
                runtimes=RuntimeMap.load(folder / "runtimes.yaml"),
                environments=Environments(folder / "environments"),
                logs=JobLogStore(folder / "logs", clock),
                folder=folder / "fleet",
                environment={"AWS_REGION": "us-east-1"},
                clock=clock,
                ids=SystemIds(),
            ),
            self._drain,
            timing,
        )
        self.fleet.recover()
        self.fleet.listen(self._hear)

    def put(self, name: str, data: bytes) -> str:
        self.store.put_bytes("models", name, data)
        return f"s3://models/{name}"

    def deploy(self, name: str, *uris: str, workers: int = 1, **settings: Any) -> Deployment:
        """Start it and wait until it is ready or has failed."""
        self.begin(name, *uris, workers=workers, **settings)
        return self.until(name, lambda now: now.phase is not DeploymentPhase.STARTING)

    def begin(self, name: str, *uris: str, workers: int = 1, **settings: Any) -> None:
        image = settings.pop("image", IMAGE)
        environment: Mapping[str, str] = settings.pop("environment", {})
        containers = tuple(ModelContainer(image, uri, environment=environment) for uri in uris)
        variant = VariantPlan("AllTraffic", containers, workers, 1.0, **settings)
        self.fleet.start(DeploymentSpec(name, "sagemaker/e", variant, "/aws/sagemaker/Endpoints/e"))

    def until(self, name: str, condition: Callable[[Deployment], bool]) -> Deployment:
        """Wait until ``condition`` holds of a deployment."""

        def holds() -> bool:
            found = self.fleet.get(name)
            return found is not None and condition(found)

        with self.changed:
            assert self.changed.wait_for(holds, PATIENCE), self.fleet.get(name)
        found = self.fleet.get(name)
        assert found is not None
        return found

    def logs(self) -> str:
        return "".join(path.read_text() for path in sorted((self.folder / "logs").rglob("*.log")))

    def close(self) -> None:
        self.fleet.close()
        self.database.close()

    def _hear(self, now: Deployment) -> None:
        with self.changed:
            self.told.append(now)
            self.changed.notify_all()

    def _drain(self, sockets: Sequence[str], seconds: float) -> bool:
        """Checks what ``Router.drain`` relies on: the last that was told names none of the sockets."""
        with self.changed:
            for deployment in {each.spec.id: each for each in self.told}.values():
                assert not set(sockets) & set(deployment.sockets)
            self.drained += sockets
        return True


def ask(socket: str, document: Any) -> Any:
    """The model's answer to a JSON document."""
    answer = send(socket, json.dumps(document).encode())
    assert answer.ok, answer.text
    return json.loads(answer.body)


def send(socket: str, body: bytes, content_type: str = "application/json") -> Answer:
    upstream = Upstream(socket)
    try:
        return upstream.request("POST", "/invocations", body, {"content-type": content_type}, PATIENCE)
    finally:
        upstream.close()
