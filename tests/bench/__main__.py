"""``python tests/bench [NAME ...]``: measure mlparity beside its peers, and print a table. See README.md here."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import FrameType

import platformdirs
from bench_measure import Options, Result
from bench_peers import isolated_environment
from bench_report import document, machine, show

# Name -> what it measures. The module is bench_NAME, with ``run(options) -> list[Result]``.
BENCHES = {
    "help": "wall time of `mlparity --help`",
    "start": "`mlparity up` from a cold stop: all AWS APIs, and MLflow",
    "memory": "memory of the stack, idle and after a hundred steps",
    "describe": "DescribeTrainingJob, p50 and p99",
    "objects": "S3 put and get of 1 KiB, 1 MiB and 64 MiB, and a page of keys; one client and eight",
    "cloud_storage": "the same by Google's client: GCS put, get and a page of names",
    "large_object": "an object of 5 GB: memory of the stack, and speed",
    "listing": "10,000 runs and 10,000 jobs: first and last page, start of the stack",
    "noop_steps": "overhead of a pipeline step that does nothing",
    "fan_out": "a pipeline of a hundred steps, all but two of them side by side",
    "five_steps": "a five-step scikit-learn pipeline",
    "cached": "the same five steps again, from the cache",
    "kfp_runs": "compiled pipelines by kfp.Client: five steps, again from the cache, a loop of 200, no-ops",
    "serving": "requests a second and latencies of an endpoint, with a split and data capture",
}


def main() -> int:
    """Run what is asked for; exit code 1 where a benchmark could not be run."""
    parser = argparse.ArgumentParser(prog="python tests/bench", description="Measure mlparity beside its peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHES)}; all of them by default")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each, instead of its own number")
    parser.add_argument("--limit", type=int, default=900, metavar="SECONDS", help="give one up after that (900)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured there")
    parser.add_argument("--list", action="store_true", help="list the names")
    arguments = parser.parse_args()
    if arguments.list:
        for name, what in BENCHES.items():
            print(f"{name.ljust(12)} {what}")
        return 0
    unknown = [name for name in arguments.names if name not in BENCHES]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(BENCHES)}")
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGALRM, _give_up)
    cache = platformdirs.user_cache_path("mlparity") / "bench"
    made = partial(Options, rounds=arguments.rounds, say=_say, cache=cache, person=dict(os.environ))
    started, before = datetime.now(UTC), machine()
    results: list[Result] = []
    try:
        failed = _measure(arguments.names or list(BENCHES), made, arguments.limit, results)
    finally:  # told to stop half-way: what was measured is worth having
        if results:
            show(results, before)
        if arguments.json:
            text = json.dumps(document(results, started, before), indent=2)
            arguments.json.write_text(text + "\n", encoding="utf-8")
    return 1 if failed else 0


def _measure(names: list[str], made: Callable[[Path], Options], limit: int, results: list[Result]) -> bool:
    """Add to ``results``; whether any benchmark could not be run."""
    failed = False
    for name in names:
        with tempfile.TemporaryDirectory(prefix=f"mlparity-bench-{name}-", ignore_cleanup_errors=True) as folder:
            isolated_environment(Path(folder))
            _say(f"{name}: {BENCHES[name]}")
            begun = time.monotonic()
            signal.alarm(limit)
            try:
                results += importlib.import_module(f"bench_{name}").run(made(Path(folder)))
            except Exception as error:  # noqa: BLE001 - the others are still worth measuring
                failed = True
                _say(f"  could not be measured: {type(error).__name__}: {error}")
            finally:
                signal.alarm(0)
            _say(f"  took {time.monotonic() - begun:.0f} s")
    return failed


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _give_up(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError("it took too long (--limit)")


def _leave(_number: int, _frame: FrameType | None) -> None:
    """Unwind, so that every process is stopped; a second signal (``timeout`` sends two) does not cut that short."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    raise SystemExit(1)


if __name__ == "__main__":
    sys.exit(main())
