"""``python tests/run_groups.py GROUP ... [-- PYTEST-ARGUMENT ...]``: the folders of tests, several at a time.

Each group is a pytest process of its own: some hold moto, some the vendor's SDK, and both keep state in their modules.
Most of them wait for processes of theirs, so more run together than there are cores. ``sdk:2`` is a group in two parts,
each with half of its files. Groups start in the order they are named; the longest should be first.

What a group has written is shown whole once it has ended, and the closing lines of all follow at the end, in their
order. A group that is alone keeps the terminal, for ``--pdb`` and the like. The exit code is 0 where all have passed, 1
where any has not, 130 on Ctrl-C (and SIGTERM), which every pytest is told of so that it stops what it started.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_TESTS = Path(__file__).parent
_NOTHING_CHOSEN = 5  # of pytest: no test is left of those asked for
_GRACE_SECONDS = 60.0  # for pytest to stop its stacks once it is told to end
_INTERRUPTED = 130


@dataclass(frozen=True)
class Part:
    """What one pytest process runs: a folder of tests, or some files of it."""

    name: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Ended:
    """How a pytest process ended. ``code`` is negative where a signal ended it."""

    part: Part
    code: int
    seconds: float
    output: Path


def parts_of(group: str, tests: Path = _TESTS) -> list[Part]:
    """``unit`` is one part; ``sdk:2`` is two, with every second file each. Raises ``ValueError``."""
    name, _, count = group.partition(":")
    folder = tests / name
    if not folder.is_dir() or (count and not count.isdecimal()) or count == "0":
        raise ValueError(f"{group!r} is no group of tests; there are {', '.join(sorted(_groups(tests)))}")
    files = sorted(str(path.relative_to(tests.parent)) for path in folder.rglob("test_*.py"))
    many = min(int(count or 1), len(files))
    if many <= 1:
        return [Part(name, (str(folder.relative_to(tests.parent)),))]
    return [Part(f"{name} {number + 1}/{many}", tuple(files[number::many])) for number in range(many)]


def _groups(tests: Path) -> Iterator[str]:
    return (path.parent.name for path in tests.glob("*/test_*.py"))


@dataclass
class Runner:
    """Runs pytest processes, and ends them all when told to."""

    arguments: Sequence[str]
    folder: Path
    _running: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopping: bool = False

    def run(self, part: Part) -> Ended | None:
        """Run it to its end; None where it was not begun because all were told to end."""
        output = self.folder / f"{part.name.replace(' ', '-').replace('/', '-of-')}.log"
        begun = time.monotonic()
        with output.open("wb") as written:
            with self._lock:  # no process begins once the others have been told to end
                if self._stopping:
                    return None
                # A session of its own: Ctrl-C reaches pytest alone, and pytest stops the processes of its tests.
                started = subprocess.Popen(
                    self._command(part),
                    cwd=_TESTS.parent,
                    stdin=subprocess.DEVNULL,
                    stdout=written,
                    stderr=written,
                    start_new_session=True,
                )
                self._running[started.pid] = started
            code = started.wait()
            with self._lock:
                del self._running[started.pid]
        return Ended(part, code, time.monotonic() - begun, output)

    def run_alone(self, part: Part) -> int:
        """Run it in this terminal, whose Ctrl-C it gets by itself."""
        process = subprocess.Popen(self._command(part), cwd=_TESTS.parent)
        signal.signal(signal.SIGINT, lambda _number, _frame: None)
        signal.signal(signal.SIGTERM, lambda _number, _frame: process.send_signal(signal.SIGINT))
        return process.wait()

    def stop(self) -> None:
        """Tell every pytest to end as Ctrl-C would, and kill what has not after a grace."""
        with self._lock:
            self._stopping = True
            running = list(self._running.values())
        for process in running:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + _GRACE_SECONDS
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)

    def _command(self, part: Part) -> list[str]:
        return [sys.executable, "-m", "pytest", *part.paths, *self.arguments]


def main(words: Sequence[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="tests/run_groups.py", description="What follows -- is for pytest.")
    parser.add_argument("groups", nargs="+", metavar="GROUP", help=f"of {', '.join(sorted(set(_groups(_TESTS))))}")
    parser.add_argument("--jobs", type=int, default=3, metavar="N", help="how many run at a time (3)")
    before = words.index("--") if "--" in words else len(words)
    asked, arguments = parser.parse_args(words[:before]), words[before + 1 :]
    try:
        parts = [part for group in asked.groups for part in parts_of(group)]
    except ValueError as error:
        parser.error(str(error))
    with tempfile.TemporaryDirectory(prefix="mlparity-tests-") as folder, _interruptible():
        runner = Runner(arguments, Path(folder))
        chosen = bool(arguments)
        if len(parts) == 1:
            return _exit_code(runner.run_alone(parts[0]), some_were_chosen=chosen)
        try:
            return _report(_run(runner, parts, max(1, asked.jobs)), some_were_chosen=chosen)
        except KeyboardInterrupt:
            _say("told to end")
            return _INTERRUPTED


def _run(runner: Runner, parts: Sequence[Part], jobs: int) -> list[Ended]:
    """Every part's end, in the order of ``parts``; each is shown when it has ended."""
    _say(f"{len(parts)} groups, {jobs} at a time: {', '.join(part.name for part in parts)}")
    pool = ThreadPoolExecutor(jobs)
    futures = [pool.submit(runner.run, part) for part in parts]
    try:
        for future in as_completed(futures):
            if (ended := future.result()) is not None:
                _show(ended)
    except KeyboardInterrupt:
        runner.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return [ended for future in futures if (ended := future.result()) is not None]


def _show(ended: Ended) -> None:
    _say(f"== tests/{ended.part.name} ({ended.seconds:.0f} s)")
    with ended.output.open("rb") as written:
        shutil.copyfileobj(written, sys.stdout.buffer)
    sys.stdout.flush()


def _report(ended: Sequence[Ended], *, some_were_chosen: bool) -> int:
    """The closing lines, and the exit code."""
    _say("== all groups")
    for one in ended:
        _say(f"{one.part.name}: {_closing_line(one)}")
    failed = [one.part.name for one in ended if _exit_code(one.code, some_were_chosen=some_were_chosen)]
    if failed:
        _say(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


def _exit_code(code: int, *, some_were_chosen: bool) -> int:
    """Of pytest's ``code``; that no test ran is well where the arguments chose among them."""
    return 0 if code == 0 or (code == _NOTHING_CHOSEN and some_were_chosen) else 1


def _closing_line(ended: Ended) -> str:
    """The last line of pytest, such as "3 passed in 0.5s"."""
    lines = ended.output.read_text("utf-8", errors="replace").split("\n")
    last = next((line.strip("= ") for line in reversed(lines) if line.strip("= ")), "no output")
    return last if ended.code in {0, 1, _NOTHING_CHOSEN} else f"{last} (exit code {ended.code})"


def _say(text: str) -> None:
    print(text, flush=True)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Have SIGTERM end everything as Ctrl-C does, and both though a shell has started this with SIGINT ignored."""

    def interrupt(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough: the tests' processes are being stopped
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = [(number, signal.signal(number, interrupt)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
