"""S3 by boto3: put and get of small, middling and large objects, and a page of keys; one client, and eight at a time.

moto_server keeps objects in memory; s3rver on disk, without waiting for the disk; mlparity on disk, durably.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from bench_clients import ACTIONS, BUCKET, LISTED, MANY, Server, clients, fill
from bench_measure import OURS, Budget, Options, Result, in_turns, timed
from bench_peers import moto_server
from bench_s3rver import KEY, s3rver
from bench_s3rver import NAME as S3RVER

from mlparity.testing.stack import running_stack

_ROUNDS = 4
_MOTO = "moto_server"
_LEAST = 0.5  # of a peer's rate: a disk that is waited for costs something, not everything
_SIZES = {"1 KiB": (2**10, 60, 20), "1 MiB": (2**20, 15, 4), "64 MiB": (2**26, 2, 1)}  # bytes, calls of one, of each
_LISTS = (5, 2)  # calls of one, of each
_LARGE = 2**20
_Action = Callable[[], list[float]]


def run(options: Options) -> list[Result]:
    """Operations a second, and megabytes a second where the bytes are what costs."""
    results = []
    with ExitStack() as opened:
        stack = opened.enter_context(running_stack(options.folder / "stack", mlflow=False))
        servers = {OURS: Server(stack.aws_url)}
        servers[_MOTO] = Server(opened.enter_context(moto_server(options.folder)).url)
        if (found := opened.enter_context(s3rver(options))) is not None:
            servers[S3RVER] = Server(found.url, KEY)
        together = opened.enter_context(clients())
        for server in servers.values():
            server.client().create_bucket(Bucket=BUCKET)
            fill(server.client())
        for name, (size, calls, of_each) in _SIZES.items():
            options.say(f"  {name}")
            body = os.urandom(size)
            amount, unit = (size / 1e6, "MB/s") if size >= _LARGE else (1.0, "op/s")
            for verb in ("put", "get"):
                alone = {who: _alone(server, verb, body, calls, amount) for who, server in servers.items()}
                results.append(_result(options, f"S3 {verb}, {name}", unit, alone))
            for verb in ("put", "get"):
                many = {who: _many(together, server, verb, body, of_each, amount) for who, server in servers.items()}
                results.append(_result(options, f"S3 {verb}, {name}, {MANY} clients", unit, many))
        options.say("  a page of keys")
        alone = {who: _alone(server, "list", b"", _LISTS[0], 1) for who, server in servers.items()}
        results.append(_result(options, f"S3 list, {LISTED} keys", "op/s", alone))
        many = {who: _many(together, server, "list", b"", _LISTS[1], 1) for who, server in servers.items()}
        results.append(_result(options, f"S3 list, {LISTED} keys, {MANY} clients", "op/s", many))
    return results


def _alone(server: Server, verb: str, body: bytes, calls: int, amount: float) -> _Action:
    """A rate for every call."""
    s3, action = server.client(), ACTIONS[verb]
    return lambda: [amount / timed(partial(action, s3, body, f"0-{number}")) for number in range(calls)]


def _many(
    together: Callable[[Server, str, bytes, int], float],
    server: Server,
    verb: str,
    body: bytes,
    calls: int,
    amount: float,
) -> _Action:
    """The rate of all clients together."""
    return lambda: [MANY * calls * amount / together(server, verb, body, calls)]


def _result(options: Options, what: str, unit: str, actions: dict[str, _Action]) -> Result:
    in_turns(1, actions)  # unmeasured
    rates = in_turns(options.rounds_or(_ROUNDS), actions)
    ours = rates.pop(OURS)
    budgets = [Budget(_LEAST, who) for who in rates]
    return Result("objects", what, unit, ours, rates, budgets, more_is_better=True)
