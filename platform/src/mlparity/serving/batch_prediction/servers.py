"""The model servers of a batch prediction job, as child processes."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

from mlparity.serving.batch_prediction.plan import ServerPlan
from mlparity.serving.json_codec import dumps, loads
from mlparity.serving.upstream import Answer, NoAnswerError, Upstream
from mlparity.serving.vertex import HTTP_PORT

_POLL_SECONDS = 0.02
_PING_SECONDS = 2.0
_STOP_SECONDS = 5.0
_REQUEST_SECONDS = 600.0
_TRIES = 3
_CLIENT_ERRORS = range(400, 500)
_JSON: Mapping[str, str] = {"content-type": "application/json", "accept": "application/json"}


class ServerError(Exception):
    """A server that does not start: the job fails."""


class PredictionError(Exception):
    """A request that was not answered with predictions: its instances are errors."""


class Servers:
    """Servers that answer; each takes one request at a time. A context manager."""

    def __init__(self, plan: ServerPlan, count: int) -> None:
        self._plan = plan
        self._count = count
        self._free: SimpleQueue[_Server] = SimpleQueue()
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        """Start all and wait until they answer. Raises ``ServerError``."""
        with ExitStack() as started:
            folder = Path(started.enter_context(tempfile.TemporaryDirectory(prefix="serving-")))
            servers = []
            for number in range(self._count):
                servers.append(_Server(self._plan, folder / f"{number}.sock"))
                started.callback(servers[-1].stop)
            for server in servers:
                server.wait_ready()
                self._free.put(server)
            self._cleanup = started.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the servers."""
        self._cleanup.close()

    def predict(self, instances: Sequence[Any], parameters: Any) -> list[Any]:
        """One prediction an instance. Any thread. Raises ``PredictionError``."""
        document: dict[str, Any] = {"instances": instances}
        if parameters is not None:
            document["parameters"] = parameters
        server = self._free.get()
        try:
            answer = server.ask(dumps(document))
        finally:
            self._free.put(server)
        return _predictions(answer, len(instances))


def _predictions(answer: Answer, count: int) -> list[Any]:
    if not answer.ok:
        raise PredictionError(f"Non-OK result {answer.status} ({answer.text.strip()}) from server.")
    try:
        found = loads(answer.body)["predictions"]
    except (ValueError, KeyError, TypeError) as error:
        raise PredictionError(f"The response field predictions is missing: {answer.text.strip()}") from error
    if not isinstance(found, list) or len(found) != count:
        told = len(found) if isinstance(found, list) else type(found).__name__
        raise PredictionError(f"The number of predictions ({told}) is not that of the instances ({count}).")
    return found


class _Server:
    def __init__(self, plan: ServerPlan, path: Path) -> None:
        self._plan = plan
        environment = {**os.environ, **plan.environment}
        if plan.command:
            port = _free_port()
            self._upstream = Upstream(f"127.0.0.1:{port}")
            environment[HTTP_PORT] = str(port)
            command: Sequence[str] = plan.command
        else:
            self._upstream = Upstream(str(path))
            command = ("python3", "-m", "mlparity.serving.server", "--contract", "vertex", "--socket", str(path))
        try:
            self._process = subprocess.Popen(command, env=environment)  # noqa: S603 - the model's own program, or ours
        except OSError as error:
            raise ServerError(f"Model server could not be started: {error}") from error

    def wait_ready(self) -> None:
        limit = time.monotonic() + self._plan.startup_seconds
        while time.monotonic() < limit:
            if self._process.poll() is not None:
                raise ServerError(f"Model server terminated: exit code {self._process.returncode}. See the job's log.")
            try:
                if self._upstream.request("GET", self._plan.health_route, b"", {}, _PING_SECONDS).ok:
                    return
            except NoAnswerError:
                pass
            time.sleep(_POLL_SECONDS)
        raise ServerError("Model server never became ready. See the job's log.")

    def ask(self, body: bytes) -> Answer:
        said = ""
        for _ in range(_TRIES):
            try:
                answer = self._upstream.request("POST", self._plan.predict_route, body, _JSON, _REQUEST_SECONDS)
            except NoAnswerError as error:
                said = str(error)
                continue
            if answer.ok or answer.status in _CLIENT_ERRORS:
                return answer
            said = f"Non-OK result {answer.status} ({answer.text.strip()}) from server"
        raise PredictionError(f"Exceeded retries: {said}, retry={_TRIES}.")

    def stop(self) -> None:
        self._upstream.close()
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
