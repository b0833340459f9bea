"""The model servers of a transform job, as child processes, and one request through all of them in order."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mlparity.serving.archive import ArchiveError, extract
from mlparity.serving.json_codec import loads
from mlparity.serving.probe import answers_ping
from mlparity.serving.transform.errors import AlgorithmError, DataError
from mlparity.serving.transform.plan import ContainerPlan, Settings
from mlparity.serving.upstream import Answer, NoAnswerError, Upstream, in_order

_READY_SECONDS = 1800.0  # SageMaker gives a container half an hour to answer its first ping
_PING_EVERY = 0.02
_PING_SECONDS = 2.0
_STOP_SECONDS = 5.0
_CLIENT_ERRORS = range(400, 500)


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
                server = _Server(plan, folder / f"{number}.sock", self._environment, self._settings)
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
        steps = [server.invoke for server in self._servers]
        return in_order(steps, body, self._settings.content_type, self._settings.accept).body


class _Server:
    def __init__(self, plan: ContainerPlan, path: Path, environment: Mapping[str, str], settings: Settings) -> None:
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
        self._path = path
        self._upstream = Upstream(str(path))
        self._settings = settings

    def wait_ready(self, seconds: float) -> None:
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if self._process.poll() is not None:
                raise AlgorithmError(f"the model server ended with exit code {self._process.returncode}")
            if answers_ping(self._path, _PING_SECONDS):
                return
            time.sleep(_PING_EVERY)
        raise AlgorithmError(f"the model server did not answer /ping within {seconds:.0f} s")

    def execution_parameters(self) -> Mapping[str, Any]:
        try:
            answer = self._upstream.request("GET", "/execution-parameters", b"", {}, 10)
            return dict(loads(answer.body)) if answer.ok else {}
        except (NoAnswerError, ValueError):
            return {}

    def invoke(self, body: bytes, content_type: str, accept: str) -> Answer:
        headers = {"accept": accept or "*/*"}
        if content_type:
            headers["content-type"] = content_type
        seconds = self._settings.timeout_seconds
        failure: AlgorithmError | None = None
        for _ in range(self._settings.max_retries + 1):
            try:
                answer = self._upstream.request("POST", "/invocations", body, headers, seconds)
            except NoAnswerError as error:
                if error.timed_out:
                    failure = AlgorithmError(
                        f"Model server did not respond to /invocations request within {seconds:g} seconds"
                    )
                else:
                    failure = AlgorithmError("Unable to get response from algorithm", str(error))
            else:
                if answer.ok:
                    return answer
                failure = _refused(answer)
        assert failure is not None  # noqa: S101 - the loop ran
        raise failure

    def stop(self) -> None:
        self._upstream.close()
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _refused(answer: Answer) -> AlgorithmError:
    """Raises ``DataError`` for 4xx, which no retry mends; else the failure."""
    message = ("", "Message:", *answer.text.splitlines())
    if answer.status in _CLIENT_ERRORS:
        raise DataError(f"ClientError: {answer.status}", *message)
    return AlgorithmError(f"Bad HTTP status received from algorithm: {answer.status}", *message)


def unpack(archive: str, folder: str) -> None:
    """Extract the .tar.gz in the folder ``archive`` (none for "") into ``folder``. Raises ``DataError``."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    if not archive:
        return
    for path in sorted(Path(archive).iterdir()):
        if not path.is_file():
            continue
        try:
            with path.open("rb") as stream:
                extract(stream, Path(folder))
        except (ArchiveError, OSError) as error:
            raise DataError(f"Cannot extract {path.name}: {error}") from error
