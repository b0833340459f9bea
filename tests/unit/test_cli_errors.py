from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlparity.cli import app as commands
from mlparity.cli.ctrl_c import leave_at_once, unwind
from mlparity.cli.main import run
from mlparity.errors import MlparityError


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """Makes ``mlparity version`` raise what is put into the list."""
    raised: list[BaseException] = []

    def version() -> None:
        raise raised[0]

    for command in commands.app.registered_commands:
        if command.name == "version":
            monkeypatch.setattr(command, "callback", version)
    return raised


def test_an_error_is_three_lines_and_exit_code_1(
    failing: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    failing.append(MlparityError("what happened", "why\nin two lines", "what to try"))
    assert run(["version"]) == 1
    captured = capsys.readouterr()
    assert captured.err == "error: what happened\n  why: why\n       in two lines\n  try: what to try\n"
    assert captured.out == ""


def test_an_unexpected_error_is_one_line_and_a_saved_traceback(
    failing: list[BaseException], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "logs").mkdir()
    monkeypatch.setenv("MLPARITY_DATA_DIR", str(tmp_path))
    failing.append(ZeroDivisionError("deep inside"))
    assert run(["version"]) == 1
    log = tmp_path / "logs" / "cli.log"
    error = capsys.readouterr().err
    assert error == f"error: mlparity itself failed (ZeroDivisionError); the traceback is in {log}\n"
    assert "deep inside" in log.read_text()


def test_ctrl_c_is_130(failing: list[BaseException], capsys: pytest.CaptureFixture[str]) -> None:
    failing.append(KeyboardInterrupt())
    assert run(["version"]) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["nope"], "No such command 'nope'"),
        (["up", "--bogus"], "No such option: --bogus"),
        (["run"], "SCENARIO"),
        (["up", "--aws-port", "x"], "--aws-port"),
        (["profile"], "Commands:"),
        (["run", "-p"], "try: mlparity run --help"),  # no context comes with this error
        (["--data-dir", "x", "profile", "show", "--data-dir"], "try: mlparity profile show --help"),
        (["up", "--bogus"], "try: mlparity up --help"),
        (["--bogus"], "try: mlparity --help"),
    ],
)
def test_wrong_usage_is_2(arguments: list[str], what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert what in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["up", "--profile", "nope"], "there is no profile 'nope'"),
        (["up", "--profile", "aws"], "the profile aws starts nothing on this machine"),
        (["run", "nope"], "there is no scenario 'nope'"),
        (["run", "feast_features"], "the scenario feast_features is not there yet"),
        (["run", "sagemaker_training", "--profile", "aws"], "the profile aws is not set up"),
        (["env", "--shell", "tcl"], "--shell tcl"),
        (["logs", "any"], "the stack is not up"),
    ],
)
def test_what_cannot_be_done_is_told(
    arguments: list[str], what: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPARITY_DATA_DIR", str(tmp_path / "data"))
    assert run(arguments) == 1
    error = capsys.readouterr().err
    assert what in error
    assert "Traceback" not in error


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m mlparity.cli.main profile show --json | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["/bin/bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stdout == "{\n"
    assert done.stderr == ""
    assert done.returncode in {0, 141}  # all was written before the reader went, or not


def test_a_reader_that_has_gone_is_sigpipe(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "mlparity.cli.main", "profile", "show"]
    with os.fdopen(writing, "wb") as gone:
        done = subprocess.run(command, stdout=gone, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_closed_output_is_no_error() -> None:
    command = f"{sys.executable} -m mlparity.cli.main profile show >&-"
    done = subprocess.run(["/bin/bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# Sends itself SIGINT when a module is about to be imported, as a person does who thinks better of it at once.
INTERRUPTS_ITSELF = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Finder())
from mlparity.cli.main import main
main(["up"])
"""


@pytest.mark.parametrize("module", ["typer", "yaml", "pydantic", "mlparity.profiles.load", "mlparity.stack.start"])
def test_ctrl_c_before_anything_is_started_is_one_word(module: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTS_ITSELF, module],
        env={**os.environ, "MLPARITY_DATA_DIR": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")
    assert not (tmp_path / "data").exists()


def test_ctrl_c_unwinds_what_was_started() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        leave_at_once()
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        unwind()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell's `&` does
        leave_at_once()
        unwind()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
