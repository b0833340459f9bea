"""Descriptors and the three standard streams of a forked interpreter."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Mapping
from typing import Any

_ABOVE = 512  # moved here first, so that no target number is still in use


def move_descriptors(wanted: Mapping[int, int]) -> None:
    """Leave exactly ``wanted`` (number -> descriptor now held) open, and nothing else."""
    import fcntl

    above = max(_ABOVE, *(number + 1 for number in wanted))
    parked = {number: fcntl.fcntl(held, fcntl.F_DUPFD_CLOEXEC, above) for number, held in wanted.items()}
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208
    os.closerange(0, above)
    for number, held in parked.items():
        os.dup2(held, number, inheritable=True)
    os.closerange(above, highest + 1)


def rebuild(environment: Mapping[str, str], *, unbuffered: bool) -> None:
    """Make ``sys.stdin``, ``stdout`` and ``stderr`` as an interpreter does at its start."""
    setting = environment.get("PYTHONIOENCODING", "")
    encoding, _, errors = setting.partition(":")
    locale = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG") or "C"
    default_errors = "surrogateescape" if locale in {"C", "POSIX", "C.UTF-8", "C.utf8"} else "strict"
    encoding, errors = codecs.lookup(encoding or "utf-8").name, errors or default_errors
    made = {
        "stdin": _open(0, "<stdin>", encoding, errors, unbuffered=False),
        "stdout": _open(1, "<stdout>", encoding, errors, unbuffered=unbuffered),
        "stderr": _open(2, "<stderr>", encoding, "backslashreplace", unbuffered=unbuffered),
    }
    for name, stream in made.items():
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _open(number: int, name: str, encoding: str, errors: str, *, unbuffered: bool) -> Any:
    try:
        os.fstat(number)
    except OSError:
        return None  # closed by the caller: the stream is None, as in a cold interpreter
    mode = "r" if number == 0 else "w"
    raw = io.FileIO(number, mode, closefd=False)
    buffer: Any = raw
    if not (unbuffered and mode == "w"):
        buffer = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
    raw.name = name
    stream = io.TextIOWrapper(
        buffer,
        encoding=encoding,
        errors=errors,
        newline="\n" if mode == "w" else None,
        line_buffering=not unbuffered and (number == 2 or raw.isatty()),  # noqa: PLR2004 - stderr
        write_through=unbuffered and mode == "w",
    )
    stream.mode = mode  # type: ignore[misc]
    return stream
