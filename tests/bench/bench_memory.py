"""What the idle stack holds in memory, part by part, and what it holds after a pipeline of a hundred steps.

PSS: a page that several processes share counts to each by its share, so the sum is what the machine has less of.
RSS counts it to each of them in full.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psutil
from bench_fan_out import STEPS, fan_out
from bench_measure import Budget, Options, Result
from bench_peers import family, mlflow_server

from mlparity.stack.record import StackRecord
from mlparity.testing.stack import running_stack

_BUDGET_MB = 600
_PEER = "mlflow server"
_IDLE = "itself idle"
_GROWTH = 1.5  # the pools and caches that work fills; what leaks would go beyond
_MB = 1e6
_SETTLE_SECONDS = 30.0
_STEADY_SECONDS = 3.0
_STEADY = 0.01  # of the whole


@dataclass(frozen=True)
class _Held:
    pss: float  # MB
    rss: float  # MB
    processes: int


def run(options: Options) -> list[Result]:
    """The stack with MLflow, and ``mlflow server`` as it comes, both running and asked for nothing."""
    with running_stack(options.folder / "stack") as stack, mlflow_server(options.folder) as peer:
        record = stack.record()
        _settled(lambda: [*family(record.pid), *family(peer.pid)])
        parts = {name: _held(members) for name, members in _parts(record).items()}
        whole, theirs = _held(family(record.pid)), _held(family(peer.pid))
        options.say(f"  {STEPS} steps")
        fan_out(stack.aws_url).run()
        _settled(lambda: family(record.pid))
        after = {name: _held(members) for name, members in _parts(record).items()}
        worked = _held(family(record.pid))
    return [
        Result("memory", "idle stack, PSS", "MB", [whole.pss], {_PEER: [theirs.pss]}, [Budget(_BUDGET_MB)]),
        Result("memory", "idle stack, RSS", "MB", [whole.rss], {_PEER: [theirs.rss]}),
        Result("memory", "processes", "", [whole.processes], {_PEER: [theirs.processes]}),
        *(_part(name, held) for name, held in parts.items()),
        Result(
            "memory", f"after {STEPS} steps, PSS", "MB", [worked.pss], {_IDLE: [whole.pss]}, [Budget(_GROWTH, _IDLE)]
        ),
        Result("memory", f"after {STEPS} steps, RSS", "MB", [worked.rss], {_IDLE: [whole.rss]}),
        *(_part(name, held) for name, held in after.items()),
    ]


def _part(name: str, held: _Held) -> Result:
    note = f"RSS {held.rss:.0f} MB, {held.processes} process{'es' if held.processes > 1 else ''}"
    return Result("memory", f"of it {name}, PSS", "MB", [held.pss], {}, note=note)


def _parts(record: StackRecord) -> Mapping[str, list[psutil.Process]]:
    """Every process of the stack in one part: what the control plane started to run jobs, apart from itself."""
    parts = {"supervisor": family(record.pid)[:1]}
    for child in record.children:
        members = family(child.pid)
        parts[child.name] = members[:1]
        if members[1:]:
            parts[f"{child.name}'s workers"] = members[1:]
    return parts


def _held(processes: list[psutil.Process]) -> _Held:
    pss = rss = 0.0
    for process in processes:
        try:
            full = process.memory_full_info()
        except psutil.Error:
            continue
        pss += getattr(full, "pss", full.rss) / _MB
        rss += full.rss / _MB
    return _Held(pss, rss, len(processes))


def _settled(members: Callable[[], list[psutil.Process]]) -> None:
    """Wait until the sum has not changed for a while; 30 s at most."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    since, last = time.monotonic(), 0.0
    while time.monotonic() < deadline and time.monotonic() - since < _STEADY_SECONDS:
        now = _held(members()).rss
        if abs(now - last) > _STEADY * now:
            since, last = time.monotonic(), now
        time.sleep(0.25)
