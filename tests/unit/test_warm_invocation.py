"""Reading ``python`` command lines, and which environments a forked interpreter can honour."""

from __future__ import annotations

import pytest

from mlparity.engine.warm.invocation import Invocation, Mode, honours, parse, thread_limits


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["a.py", "-x"], Invocation(Mode.SCRIPT, "a.py", ("-x",))),
        (["-u", "a.py"], Invocation(Mode.SCRIPT, "a.py", (), unbuffered=True)),
        (["-uB", "-m", "pkg", "-u"], Invocation(Mode.MODULE, "pkg", ("-u",), unbuffered=True, no_bytecode=True)),
        (["-uc", "pass", "a"], Invocation(Mode.COMMAND, "pass", ("a",), unbuffered=True)),
        (["-cpass"], Invocation(Mode.COMMAND, "pass", ())),
        (["-mpip", "list"], Invocation(Mode.MODULE, "pip", ("list",))),
        (["-W", "error", "-Wignore", "a.py"], Invocation(Mode.SCRIPT, "a.py", (), warnings=("error", "ignore"))),
    ],
)
def test_honoured(words: list[str], expected: Invocation) -> None:
    assert parse(["python3", *words]) == expected


@pytest.mark.parametrize(
    "words", [[], ["-"], ["-c"], ["-m"], ["-V"], ["--version"], ["-I", "a.py"], ["-uO", "a.py"], ["-X", "dev", "a.py"]]
)
def test_left_to_a_real_interpreter(words: list[str]) -> None:
    assert parse(["python3", *words]) is None


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"PYTHONUNBUFFERED": "1", "PYTHONPATH": "/x", "PYTHONIOENCODING": "UTF-8"},
        {"PYTHONHASHSEED": "random", "PYTHONHOME": ""},
        {"LC_ALL": "en_US.UTF-8"},
        {"LANG": "C"},
        {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "1", "LD_LIBRARY_PATH": ""},
    ],
)
def test_environment_is_honoured(environment: dict[str, str]) -> None:
    assert honours(environment)


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONHASHSEED": "0"},
        {"PYTHONOPTIMIZE": "1"},
        {"PYTHONUTF8": "0"},
        {"PYTHONIOENCODING": "no-such-codec"},
        {"LC_ALL": "de_DE.ISO-8859-1"},
        {"LD_PRELOAD": "x.so"},
        {"OMP_SCHEDULE": "static"},
        {"MLPARITY_COLD_PYTHON": "1"},
    ],
)
def test_environment_needs_a_real_start(environment: dict[str, str]) -> None:
    assert not honours(environment)


def test_thread_limits() -> None:
    assert thread_limits({}) == (None, None)
    assert thread_limits({"OMP_NUM_THREADS": "3"}) == (3, 3)
    assert thread_limits({"OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "1"}) == (3, 1)
    assert thread_limits({"OMP_NUM_THREADS": "2,1"}) == (None, None)
