"""Runs a command of the job, passes signals on, and keeps what it says of its failure."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

# From the first line that names an error on, the standard error is the failure's text.
_ERROR = re.compile(r"^ERROR: |\b\w*(Error|Exception|Interrupt|Exit)\b")  # the first is pip's
_KEPT = 32 * 1024  # characters; a failure reason shows the first 1024
_DRAIN_SECONDS = 5.0  # a child left behind may hold the pipe open


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """The exit code (negative: the signal) and what the standard error said from the first error on.

    Standard output goes where ours does; so does standard error, line by line. Raises ``OSError``.
    """
    process = subprocess.Popen(command, cwd=folder, env=dict(environment), stderr=subprocess.PIPE)  # noqa: S603
    said: list[str] = []
    with _passing_signals_to(process):
        reader = threading.Thread(target=_copy, args=(process.stderr, said), daemon=True)
        reader.start()
        code = process.wait()
        reader.join(_DRAIN_SECONDS)
    return code, "".join(said)[:_KEPT].strip()


def _copy(stream: IO[bytes] | None, said: list[str]) -> None:
    if stream is None:
        return
    kept = 0
    with stream:
        for raw in stream:
            line = raw.decode("utf-8", "replace")
            sys.stderr.write(line)
            sys.stderr.flush()
            if kept < _KEPT and (said or _is_error(line)):
                said.append(line)
                kept += len(line)


def _is_error(line: str) -> bool:
    return not line.startswith((" ", "Traceback")) and _ERROR.search(line) is not None


@contextmanager
def _passing_signals_to(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """SIGTERM (a stop, an interruption) reaches the script, which may save what it has."""
    before = signal.signal(signal.SIGTERM, lambda number, _frame: process.send_signal(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
