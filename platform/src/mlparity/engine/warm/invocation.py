"""Reads a ``python ...`` command line, and tells whether a forked interpreter can honour it exactly."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum


class Mode(Enum):
    """What the interpreter is asked to run."""

    SCRIPT = "script"
    MODULE = "module"
    COMMAND = "command"


@dataclass(frozen=True)
class Invocation:
    """A command line that a forked interpreter can honour."""

    mode: Mode
    target: str  # path, module name or source text
    arguments: Sequence[str]  # what follows it
    unbuffered: bool = False
    no_bytecode: bool = False
    warnings: Sequence[str] = ()


# Read by an interpreter at its start; these can still be honoured after a fork. Every other PYTHON* cannot.
_HONOURED = frozenset(
    {
        "PYTHONBREAKPOINT",
        "PYTHONASYNCIODEBUG",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONFAULTHANDLER",
        "PYTHONIOENCODING",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "PYTHONUNBUFFERED",
        "PYTHONUTF8",
        "PYTHONWARNINGS",
    }
)
# Read by the dynamic loader, the C library or a preloaded library while it is imported.
_TOO_LATE = ("LD_", "GLIBC_", "MALLOC_", "GOMP_", "KMP_", "NPY_", "NUMPY_", "SCIPY_", "SKLEARN_", "PANDAS_", "ARROW_")
_THREAD_LIMITS = frozenset({"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"})
# How OpenMP's threads wait, in workers and in every job. While they spin, a thread that waits for one that has no
# core takes a core from it: on a busy machine gradient boosting is then five to twenty times slower.
WAIT_POLICY = ("OMP_WAIT_POLICY", "PASSIVE")
# Asks for a cold interpreter whatever the rest says.
OPT_OUT = "MLPARITY_COLD_PYTHON"


def parse(argv: Sequence[str]) -> Invocation | None:
    """The invocation that ``argv`` (with argv[0], the interpreter) asks for; None if only a real start can do it."""
    switches: set[str] = set()
    warnings: list[str] = []
    rest = list(argv[1:])
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            return _invocation(Mode.SCRIPT, word, rest, switches, warnings)
        flags, letter, value = _split(word)
        switches |= flags
        if letter == "":
            continue
        if letter not in _WITH_VALUE or not (value or rest):
            return None
        value = value or rest.pop(0)
        if letter != "W":
            return _invocation(_WITH_VALUE[letter], value, rest, switches, warnings)
        warnings.append(value)
    return None


_SWITCHES = frozenset("uBq")
_WITH_VALUE = {"c": Mode.COMMAND, "m": Mode.MODULE, "W": Mode.COMMAND}


def _split(word: str) -> tuple[set[str], str, str]:
    """The leading switches of "-uBc...", the first letter that is none ("" if all are), and what follows it."""
    letters = word[1:]
    count = next((index for index, letter in enumerate(letters) if letter not in _SWITCHES), len(letters))
    if not letters:
        return set(), "-", ""  # "-": the program is on stdin
    return set(letters[:count]), letters[count : count + 1], letters[count + 1 :]


def _invocation(
    mode: Mode, target: str, rest: Sequence[str], switches: set[str], warnings: Sequence[str]
) -> Invocation:
    return Invocation(mode, target, tuple(rest), "u" in switches, "B" in switches, tuple(warnings))


def honours(environment: Mapping[str, str]) -> bool:
    """Whether everything in ``environment`` that matters to an interpreter's start still can be applied."""
    if environment.get(OPT_OUT):
        return False
    for name, value in environment.items():
        if name.startswith("PYTHON") and name not in _HONOURED and not _means_nothing(name, value):
            return False
        if value and name.startswith(_TOO_LATE):
            return False
        if value and name.startswith(("OMP_", "OPENBLAS_", "MKL_")) and not _has_it(name, value):
            return False
    if environment.get("PYTHONUTF8") == "0":
        return False
    return _is_utf8(environment) and _has_codec(environment.get("PYTHONIOENCODING", ""))


def _has_it(name: str, value: str) -> bool:
    """Whether the worker was started with this setting, or can still take it on."""
    return name in _THREAD_LIMITS or (name, value.upper()) == WAIT_POLICY


def _has_codec(setting: str) -> bool:
    encoding = setting.partition(":")[0]
    try:
        codecs.lookup(encoding or "utf-8")
    except LookupError:
        return False
    return True


def _means_nothing(name: str, value: str) -> bool:
    return not value or (name == "PYTHONHASHSEED" and value == "random")


def _is_utf8(environment: Mapping[str, str]) -> bool:
    value = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG") or "C"
    # An interpreter takes UTF-8 for the C locale (PEP 538, 540).
    return value in {"C", "POSIX"} or value.lower().replace("-", "").endswith("utf8")


def thread_limits(environment: Mapping[str, str]) -> tuple[int | None, int | None]:
    """The limits of OpenMP and of BLAS, None where the environment sets none."""
    openmp = _positive(environment.get("OMP_NUM_THREADS"))
    blas = _positive(environment.get("OPENBLAS_NUM_THREADS")) or _positive(environment.get("MKL_NUM_THREADS"))
    return openmp, blas or openmp


def _positive(value: str | None) -> int | None:
    return int(value) if value and value.isdecimal() and int(value) > 0 else None
