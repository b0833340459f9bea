"""Compiled pipelines through the unmodified ``kfp.Client``, and the same files' pipelines in kfp.local.

Five steps with scikit-learn, warm; the same again from the cache; a loop of two hundred; a chain of no-op components.
"""

from __future__ import annotations

import contextlib
import io
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench_kfp import CACHED_PEER, PEER, chain, quietly, ready
from bench_kfp_pipelines import five_steps, loop
from bench_measure import OURS, Budget, Options, Result, in_turns, timed

from mlparity.testing.stack import running_stack

LOOP = 200
_ROUNDS = 3
_CONTAINERS = 4  # of the five steps: the fifth is a condition
_PEER_LOOP = 12  # they take as long as each other: two hundred would be no truer
_LENGTH = 10
_PEER_LENGTH = 3
_CACHED = "five steps, cached"
_POLL_SECONDS = 0.005
_POLL_SHARE = 0.02  # of the time until now: an answer tells all tasks of a loop
_QUIET_SHARE = 0.8
_LIMIT_SECONDS = 300


def run(options: Options) -> list[Result]:
    """Wall time from the call that starts a run to its end as the client sees it."""
    rounds = options.rounds_or(_ROUNDS)
    with running_stack(options.folder / "stack", mlflow=False) as stack, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runs = _Runs(stack.pipelines_url, options.folder)
        return [
            *_five_steps(runs, options.folder, rounds),
            *_loop(runs, rounds),
            *_chain(runs, rounds),
        ]


def _five_steps(runs: _Runs, folder: Path, rounds: int) -> list[Result]:
    peer = _peer(five_steps(cached=False), {})
    ready(folder / "plain")
    ours = runs.of("plain", five_steps(cached=False), {}, tasks=_CONTAINERS)
    for _ in range(3):  # unmeasured: the workers import what they keep warm
        ours()
    peer()
    samples = in_turns(rounds, {OURS: lambda: [ours() for _ in range(2)], PEER: lambda: [timed(peer)]})
    budgets = [Budget(1 / 15, PEER)]
    plain = Result("kfp_runs", "five steps", "s", samples[OURS], {PEER: samples[PEER]}, budgets)
    again = runs.of("cached", five_steps(cached=True), {}, tasks=_CONTAINERS, cached=True)
    runs.once("cached", {})  # fills the cache
    ready(folder / "cached", cached=True)
    peer = _peer(five_steps(cached=True), {})
    peer()
    samples = in_turns(rounds, {OURS: lambda: [again() for _ in range(3)], CACHED_PEER: lambda: [timed(peer)]})
    peers = {CACHED_PEER: samples[CACHED_PEER], PEER: plain.peers[PEER]}
    ready(folder / "plain")
    return [plain, Result("kfp_runs", _CACHED, "s", samples[OURS], peers, [Budget(0.15)])]


def _loop(runs: _Runs, rounds: int) -> list[Result]:
    peer = _peer(loop, {"items": list(range(_PEER_LOOP))})
    ours = runs.of("loop", loop, {"items": list(range(LOOP))}, tasks=LOOP)
    ours()  # unmeasured, and the peer's, too
    peer()
    samples = in_turns(rounds, {OURS: lambda: [ours()], PEER: lambda: [timed(peer)]})
    each = {PEER: [seconds * 1000 / _PEER_LOOP for seconds in samples[PEER]]}
    mine = [seconds * 1000 / LOOP for seconds in samples[OURS]]
    return [
        Result("kfp_runs", f"loop of {LOOP}", "s", samples[OURS], {}),
        Result("kfp_runs", "of it each iteration", "ms", mine, each, [Budget(1, PEER)]),
    ]


def _chain(runs: _Runs, rounds: int) -> list[Result]:
    peer = _peer(chain(_PEER_LENGTH), {})
    ours = runs.of("chain", chain(_LENGTH), {}, tasks=_LENGTH)
    ours()
    samples = in_turns(rounds, {OURS: lambda: [ours() for _ in range(2)], PEER: lambda: [timed(peer)]})
    each = {PEER: [seconds * 1000 / _PEER_LENGTH for seconds in samples[PEER]]}
    mine = [seconds * 1000 / _LENGTH for seconds in samples[OURS]]
    return [Result("kfp_runs", f"no-op component, chain of {_LENGTH}", "ms", mine, each, [Budget(50)])]


def _peer(pipeline: Any, arguments: Mapping[str, Any]) -> Callable[[], None]:
    return lambda: quietly(lambda: pipeline(**arguments))


class _Runs:
    """Runs of compiled pipelines through the client."""

    def __init__(self, url: str, folder: Path) -> None:
        import kfp

        self._client = kfp.Client(host=url)
        self._folder = folder

    def of(
        self, name: str, pipeline: Any, arguments: Mapping[str, Any], *, tasks: int, cached: bool = False
    ) -> Callable[[], float]:
        """Gives the seconds of a run. It raises where not so many container tasks have done their part."""
        from kfp import compiler

        compiler.Compiler().compile(pipeline, str(self._folder / f"{name}.yaml"))
        quickest = [0.0]

        def timed_run() -> float:
            while True:
                run, seconds = self.once(name, arguments, _QUIET_SHARE * quickest[0])
                _check(run, tasks, cached=cached)
                if seconds is not None:
                    quickest[0] = min(seconds, quickest[0] or seconds)
                    return seconds
                quickest[0] /= 2

        return timed_run

    def once(self, name: str, arguments: Mapping[str, Any], quiet: float = 0.0) -> tuple[Any, float | None]:
        """As ``bench_sagemaker.PipelineRunner``: it asks only when the end is near; no time where that came before."""
        begun = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            made = self._client.create_run_from_pipeline_package(str(self._folder / f"{name}.yaml"), dict(arguments))
        slept = quiet - (time.perf_counter() - begun)
        time.sleep(max(0.0, slept))
        asked = 0
        while True:
            run = self._client.get_run(made.run_id)
            seconds = time.perf_counter() - begun
            if run.state == "SUCCEEDED":
                return run, seconds if asked or slept <= 0 else None
            if run.finished_at is not None or seconds > _LIMIT_SECONDS:
                raise RuntimeError(f"the run is {run.state} after {seconds:.1f} s: {run.error}")
            asked += 1
            time.sleep(max(_POLL_SECONDS, _POLL_SHARE * seconds))


def _check(run: Any, tasks: int, *, cached: bool) -> None:
    wanted = ("SKIPPED", False) if cached else ("SUCCEEDED", True)
    done = [(task.state, bool(task.executor_detail)) for task in run.run_details.task_details]
    if done.count(wanted) != tasks:
        raise RuntimeError(f"{done.count(wanted)} of {tasks} tasks ended as {wanted[0]}, {done}")
