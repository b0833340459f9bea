"""From a cold stop until everything answers: ``mlparity up`` beside moto_server and ``mlflow server``."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench_aws_probe import Probe
from bench_measure import Budget, Options, Result
from bench_peers import command, http_ok, mlflow_server, moto_server, process, wait_until

from mlparity.stack.listen import free_port

_ROUNDS = 3
_AWS_SECONDS, _MLFLOW_SECONDS = 2, 8
_MOTO, _MLFLOW = "moto_server", "mlflow server"
_LIMIT_SECONDS = 120


@dataclass(frozen=True)
class _Seconds:
    """Samples of one kind of start."""

    aws: list[float] = field(default_factory=list)
    mlflow: list[float] = field(default_factory=list)
    command: list[float] = field(default_factory=list)


def run(options: Options) -> list[Result]:
    """A first start makes the data folder and its databases; a second one finds them."""
    first, second = _Seconds(), _Seconds()
    moto: dict[bool, list[float]] = {False: [], True: []}
    mlflow: dict[bool, list[float]] = {False: [], True: []}
    for number in range(options.rounds_or(_ROUNDS)):
        options.say(f"  round {number + 1}")
        peers, ours = options.folder / f"peers-{number}", options.folder / f"stack-{number}"
        peers.mkdir()
        for again, samples in ((False, first), (True, second)):
            _up(ours, options.folder / "up.log", samples)
            with moto_server(peers) as server:
                moto[again].append(server.start_seconds)
            with mlflow_server(peers) as server:
                mlflow[again].append(server.start_seconds)
    return [
        result
        for what, samples, again in (("first start", first, False), ("second start", second, True))
        for result in _results(what, samples, moto[again], mlflow[again])
    ]


def _results(what: str, ours: _Seconds, moto: list[float], mlflow: list[float]) -> list[Result]:
    return [
        Result("start", f"{what}: all AWS APIs answer", "s", ours.aws, {_MOTO: moto}, [Budget(_AWS_SECONDS)]),
        Result("start", f"{what}: MLflow answers too", "s", ours.mlflow, {_MLFLOW: mlflow}, [Budget(_MLFLOW_SECONDS)]),
        Result(
            "start",
            f"{what}: `mlparity up` returns",
            "s",
            ours.command,
            {f"the slower of {_MOTO} and {_MLFLOW}": [max(pair) for pair in zip(moto, mlflow, strict=True)]},
        ),
    ]


def _up(folder: Path, log: Path, samples: _Seconds) -> None:
    """Start, note when each API first answers, and stop."""
    aws_port, mlflow_port = free_port(), free_port()
    probe = Probe(f"http://127.0.0.1:{aws_port}")
    with _down(folder):
        begun = time.monotonic()
        arguments = [
            command("mlparity"), "up", "--profile", "embedded", "--data-dir", str(folder),
            "--aws-port", str(aws_port), "--mlflow-port", str(mlflow_port),
        ]  # fmt: skip
        with process(arguments, log) as started, _surviving(started):
            wait_until(probe.all_answer, _LIMIT_SECONDS, "an answer of every AWS API")
            samples.aws.append(time.monotonic() - begun)
            wait_until(lambda: http_ok(mlflow_port, "/health"), _LIMIT_SECONDS, "an answer of MLflow")
            samples.mlflow.append(time.monotonic() - begun)
            if started.wait(_LIMIT_SECONDS):
                raise RuntimeError(f"mlparity up ended with {started.returncode}: {log.read_text()[-2000:]}")
            samples.command.append(time.monotonic() - begun)


@contextmanager
def _surviving(started: subprocess.Popen[bytes]) -> Iterator[None]:
    """Where the block raises, end ``mlparity up`` gently: it stops what it began to start."""
    try:
        yield
    except BaseException:
        started.terminate()
        with suppress(subprocess.TimeoutExpired):
            started.wait(30)
        raise


@contextmanager
def _down(folder: Path) -> Iterator[None]:
    try:
        yield
    finally:
        subprocess.run(
            [command("mlparity"), "down", "--data-dir", str(folder)], check=False, timeout=60,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
