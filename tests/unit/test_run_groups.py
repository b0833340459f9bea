"""What `make test` calls: the exit code, the closing lines, and an end that lets the tests clean up."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "run_groups.py"
WAITS = """
import pathlib, time
def test_waits():
    here = pathlib.Path(__file__).parent
    (here / "begun").touch()
    try:
        time.sleep(60)
    finally:
        (here / "cleaned").touch()
"""


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    folder = tmp_path / "tests"
    for group, text in {
        "good": "def test_a(): pass\ndef test_b(): pass\n",
        "bad": "def test_c(): assert not 'this'\n",
        "long": WAITS,
    }.items():
        (folder / group).mkdir(parents=True)
        (folder / group / f"test_{group}.py").write_text(text)
    (folder / "good" / "test_more.py").write_text("def test_d(): pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:randomly -p no:cacheprovider\n")
    shutil.copy(SCRIPT, folder)
    return folder


def command(tests: Path, *words: str) -> list[str]:
    return [sys.executable, str(tests / SCRIPT.name), *words]


def run(tests: Path, *words: str) -> tuple[int, list[str]]:
    done = subprocess.run(command(tests, *words), capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout.splitlines()


def test_one_bad_group_fails_all_and_every_closing_line_is_at_the_end(tests: Path) -> None:
    code, lines = run(tests, "good:2", "bad")
    assert code == 1
    assert any("assert not 'this'" in line for line in lines)
    first, second, third, last = lines[lines.index("== all groups") + 1 :]
    assert first.startswith("good 1/2: 2 passed in ")
    assert second.startswith("good 2/2: 1 passed in ")
    assert third.startswith("bad: 1 failed in ")
    assert last == "failed: bad"


def test_a_group_without_a_chosen_test_is_well(tests: Path) -> None:
    code, lines = run(tests, "good", "bad", "--", "-k", "test_a or test_d")
    assert code == 0
    assert lines[-2].startswith("good: 2 passed, 1 deselected in ")
    assert lines[-1].startswith("bad: 1 deselected in ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_end_the_tests_still_clean_up_and_nothing_else_begins(tests: Path, number: signal.Signals) -> None:
    # SIGINT is ignored as it is in what a script's shell starts with `&`.
    words = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command(tests, "--jobs", "1", "long", "good")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 30
        while not (tests / "long" / "begun").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(process.pid, number)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (tests / "long" / "cleaned").exists()
    assert "good (" not in output
