"""S3 by boto3: put and get of small, middling and large objects. The peer keeps them in memory; mlparity, on disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from bench_measure import OURS, Options, Result, in_turns, timed
from bench_peers import moto_server
from bench_sagemaker import client

from mlparity.testing.stack import running_stack

_ROUNDS = 4
_PEER = "moto_server"
_BUCKET = "bench-objects"
_SIZES = {"1 KiB": (2**10, 60), "1 MiB": (2**20, 15), "64 MiB": (2**26, 2)}  # bytes, calls a round


def run(options: Options) -> list[Result]:
    """Operations a second, and megabytes a second where the bytes are what costs."""
    results = []
    with running_stack(options.folder / "stack", mlflow=False) as stack, moto_server(options.folder) as moto:
        clients = {OURS: client("s3", stack.aws_url), _PEER: client("s3", moto.url)}
        for s3 in clients.values():
            s3.create_bucket(Bucket=_BUCKET)
        for name, (size, calls) in _SIZES.items():
            options.say(f"  {name}")
            body = os.urandom(size)
            for verb, action in (("put", _put), ("get", _get)):
                samples = _sampled(options, clients, action, body, calls)
                results.append(_result(verb, name, size, samples))
    return results


def _sampled(
    options: Options, clients: dict[str, Any], action: Callable[[Any, bytes, int], None], body: bytes, calls: int
) -> dict[str, list[float]]:
    def block(s3: Any) -> Callable[[], list[float]]:
        return lambda: [timed(lambda number=number: action(s3, body, number)) for number in range(calls)]  # type: ignore[misc]

    actions = {name: block(s3) for name, s3 in clients.items()}
    in_turns(1, actions)  # unmeasured
    return in_turns(options.rounds_or(_ROUNDS), actions)


def _put(s3: Any, body: bytes, number: int) -> None:
    s3.put_object(Bucket=_BUCKET, Key=f"{len(body)}/{number}", Body=body)


def _get(s3: Any, body: bytes, number: int) -> None:
    found = s3.get_object(Bucket=_BUCKET, Key=f"{len(body)}/{number}")["Body"].read()
    if found != body:
        raise RuntimeError("an object came back with other bytes")


def _result(verb: str, name: str, size: int, samples: dict[str, list[float]]) -> Result:
    """Seconds a call, turned into a rate."""
    many = size >= 2**20
    unit, amount = ("MB/s", size / 1e6) if many else ("op/s", 1.0)
    rates = {who: [amount / seconds for seconds in values] for who, values in samples.items()}
    what = f"S3 {verb}, {name}"
    return Result("objects", what, unit, rates[OURS], {_PEER: rates[_PEER]}, more_is_better=True)
