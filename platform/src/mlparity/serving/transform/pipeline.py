"""The model servers of a transform job, as child processes, and one request through all of them in order."""

from __future__ import annotations

import os
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from mlparity.serving.transform.errors import AlgorithmError, DataError
from mlparity.serving.transform.plan import ContainerPlan, Settings

_READY_SECONDS = 1800.0  # SageMaker gives a container half an hour to answer its first ping
_PING_EVERY = 0.02
_PING_SECONDS = 2.0
_STOP_SECONDS = 5.0


class Pipeline:
    """Servers that have answered ``/ping``. ``invoke`` may be called by many threads; a context manager."""

    def __init__(self, containers: Sequence[ContainerPlan], settings: Settings, environment: Mapping[str, str]) -> None:
        self._containers = containers
        self._settings = settings
        self._environment = environment
        self._servers: list[_Server] = []
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        """Start all and wait until they answer. Raises ``TransformError`` where one cannot."""
        with ExitStack() as started:
            folder = Path(started.enter_context(tempfile.TemporaryDirectory(prefix="serving-")))
            for number, plan in enumerate(self._containers):
                server = _Server(plan, folder / f"{number}.sock", self._environment)
                started.callback(server.stop)
                self._servers.append(server)
            for server in self._servers:
                server.wait_ready(_READY_SECONDS)
            self._cleanup = started.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the servers."""
        self._cleanup.close()

    def execution_parameters(self) -> Mapping[str, Any]:
        """What the first container proposes; empty where it proposes nothing."""
        return self._servers[0].execution_parameters()

    def invoke(self, body: bytes) -> bytes:
        """The last container's answer. Raises ``DataError`` (4xx) or ``AlgorithmError``."""
        content_type = self._settings.content_type
        for number, server in enumerate(self._servers, 1):
            accept = self._settings.accept if number == len(self._servers) else ""
            response = server.invoke(body, content_type, accept, self._settings)
            body, content_type = response.content, response.headers.get("content-type", "")
        return body


class _Server:
    def __init__(self, plan: ContainerPlan, path: Path, environment: Mapping[str, str]) -> None:
        values = {**os.environ, **environment, **plan.environment, "SM_MODEL_DIR": plan.model}
        unpack(plan.archive, plan.model)
        if plan.code:
            folder = f"{plan.code}/unpacked"
            unpack(plan.code, folder)
            values["SAGEMAKER_SUBMIT_DIRECTORY"] = folder
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            ["python3", "-m", "mlparity.serving.server", "--socket", str(path)],  # noqa: S607 - the job's interpreter
            env=values,
        )
        self._path = str(path)
        self._client = httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://model")

    def wait_ready(self, seconds: float) -> None:
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if self._process.poll() is not None:
                raise AlgorithmError(f"the model server ended with exit code {self._process.returncode}")
            if self._answers():
                return
            time.sleep(_PING_EVERY)
        raise AlgorithmError(f"the model server did not answer /ping within {seconds:.0f} s")

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(self._path) != 0:
                return False
        try:
            return self._client.get("/ping", timeout=_PING_SECONDS).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def execution_parameters(self) -> Mapping[str, Any]:
        try:
            response = self._client.get("/execution-parameters", timeout=10)
            return dict(response.json()) if response.status_code == httpx.codes.OK else {}
        except (httpx.TransportError, ValueError):
            return {}

    def invoke(self, body: bytes, content_type: str, accept: str, settings: Settings) -> httpx.Response:
        headers = {"accept": accept or "*/*"}
        if content_type:
            headers["content-type"] = content_type
        failure: AlgorithmError | None = None
        for _ in range(settings.max_retries + 1):
            try:
                response = self._client.post(
                    "/invocations", content=body, headers=headers, timeout=settings.timeout_seconds
                )
            except httpx.TimeoutException:
                failure = AlgorithmError(
                    f"Model server did not respond to /invocations request within {settings.timeout_seconds:g} seconds"
                )
            except httpx.TransportError as error:
                failure = AlgorithmError("Unable to get response from algorithm", str(error))
            else:
                if response.is_success:
                    return response
                failure = _refused(response)
        assert failure is not None  # noqa: S101 - the loop ran
        raise failure

    def stop(self) -> None:
        self._client.close()
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _refused(response: httpx.Response) -> AlgorithmError:
    """Raises ``DataError`` for 4xx, which no retry mends; else the failure."""
    message = ("", "Message:", *response.text.splitlines())
    if response.is_client_error:
        raise DataError(f"ClientError: {response.status_code}", *message)
    return AlgorithmError(f"Bad HTTP status received from algorithm: {response.status_code}", *message)


def unpack(archive: str, folder: str) -> None:
    """Extract the .tar.gz in the folder ``archive`` (none for "") into ``folder``. Raises ``DataError``."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    if not archive:
        return
    for path in sorted(Path(archive).iterdir()):
        if not path.is_file():
            continue
        try:
            with tarfile.open(path, "r:gz") as packed:
                packed.extractall(folder, filter="data")
        except (tarfile.TarError, OSError, EOFError) as error:
            raise DataError(f"Cannot extract {path.name}: {error}") from error
