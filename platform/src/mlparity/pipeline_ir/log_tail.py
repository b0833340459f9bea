"""The end of a failed program's log, as the reason that people see first."""

from __future__ import annotations

import re
from pathlib import Path

from mlparity.engine.jobs import Job

_BYTES = 8192
_LINES = 15
_FRAME = re.compile(r'  File "([^"]*)", line \d+')
_CALLERS = re.compile(r"^/kfp-task/start/|/kfp/dsl/(executor|executor_main)\.py$")


def failure_text(log: Path, job: Job) -> str:
    """How the program ended, and the last lines that it wrote."""
    ended = f"exit code {job.exit_code}" if job.exit_code is not None else f"signal {job.results.get('signal')}"
    lines = _after_preamble(_last_lines(log))
    starts = [index for index, line in enumerate(lines) if line.startswith("Traceback ")]
    shown = _own_frames(lines[starts[-1] :]) if starts else lines[-_LINES:]
    return "\n".join([f"The program ended with {ended}:", *shown]) if shown else f"The program ended with {ended}"


def _after_preamble(lines: list[str]) -> list[str]:
    """What comes after KFP's executor has printed its input, which is JSON with indented members."""
    end = next((index for index, line in enumerate(lines) if line == "}"), None)
    if end is None or not all(line.startswith((" ", "{", "[KFP Executor ", "mlparity: ")) for line in lines[:end]):
        return lines
    return lines[end + 1 :]


def _own_frames(lines: list[str]) -> list[str]:
    """A traceback without the frames of what called the program's own code."""
    kept: list[str] = []
    foreign = False
    for line in lines:
        frame = _FRAME.match(line)
        if frame:
            foreign = frame.group(1).startswith("<frozen ") or bool(_CALLERS.search(frame.group(1)))
        elif not line.startswith(" "):
            foreign = False
        if not foreign:
            kept.append(line)
    return kept


def _last_lines(log: Path) -> list[str]:
    if not log.is_file():
        return []
    with log.open("rb") as stream:
        stream.seek(0, 2)
        size = stream.tell()
        stream.seek(max(0, size - _BYTES))
        text = stream.read().decode("utf-8", "replace")
    lines = text.splitlines()
    return [line for line in (lines[1:] if size > _BYTES else lines) if line.strip()]
