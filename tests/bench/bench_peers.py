"""Peers as processes: started on a free loopback port, waited for, and gone with all their children afterwards."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from mlparity.stack.listen import free_port

HOST = "127.0.0.1"
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Peer:
    """A server that answers."""

    url: str
    pid: int
    start_seconds: float


def command(name: str) -> str:
    """The program ``name`` of the environment that runs the benchmarks."""
    return str(Path(sys.executable).with_name(name))


@contextmanager
def moto_server(folder: Path) -> Iterator[Peer]:
    """``moto_server`` as it comes."""
    port = free_port()
    arguments = [command("moto_server"), "-H", HOST, "-p", str(port)]
    with process(arguments, folder / "moto.log") as started:
        yield answering(started, port, "/moto-api/", 60)


@contextmanager
def mlflow_server(folder: Path) -> Iterator[Peer]:
    """``mlflow server`` as it comes, with its database and its artifacts in ``folder``."""
    port = free_port()
    arguments = [
        command("mlflow"), "server", "--host", HOST, "--port", str(port),
        "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination", str(folder / "artifacts"),
    ]  # fmt: skip
    with process(arguments, folder / "mlflow-server.log", cwd=folder) as started:
        yield answering(started, port, "/health", 180)


@contextmanager
def process(
    arguments: Sequence[str], log: Path, *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A program with its output in ``log``; stopped with everything below it when the block ends."""
    with log.open("ab") as output:
        started = subprocess.Popen(
            list(arguments), stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=cwd,
            env=None if env is None else dict(env), start_new_session=True,
        )  # fmt: skip
    try:
        yield started
    finally:
        stop(started)


def stop(started: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the program, and after a grace SIGKILL to what is left of its tree."""
    tree = family(started.pid)
    if started.poll() is None:
        started.terminate()
        with suppress(subprocess.TimeoutExpired):
            started.wait(_STOP_SECONDS)
    for member in tree:
        with suppress(psutil.Error):
            member.kill()
    psutil.wait_procs(tree, timeout=_STOP_SECONDS)
    started.wait()


def family(pid: int) -> list[psutil.Process]:
    """A process and everything below it; empty where it is gone."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def http_ok(port: int, path: str) -> bool:
    """Whether a GET is answered with 200."""
    return http_status(port, path) == http.client.OK


def http_status(port: int, path: str) -> int | None:
    """What a GET is answered with; None where it is not."""
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll ``condition``. Raises ``TimeoutError`` saying ``what`` did not happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(_POLL_SECONDS)


def isolated_environment(folder: Path) -> None:
    """Keep this process and its children away from the person's settings, credentials, proxies and telemetry."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "MLPARITY_", "MLFLOW_", "SAGEMAKER_", "XDG_")) or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ.update(
        {
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_DATA_HOME": str(folder / "data"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
        }
    )


def answering(
    started: subprocess.Popen[bytes], port: int, path: str, seconds: float, status: int | None = http.client.OK
) -> Peer:
    """Wait for an answer of ``path``, with ``status`` unless that is None. Raises ``TimeoutError``."""
    begun = psutil.Process(started.pid).create_time()

    def ready() -> bool:
        if started.poll() is not None:
            raise RuntimeError(f"{started.args!r} ended with {started.returncode}")
        answer = http_status(port, path)
        return answer is not None and status in {None, answer}

    wait_until(ready, seconds, f"an answer of {path}")
    return Peer(f"http://{HOST}:{port}", started.pid, time.time() - begun)
