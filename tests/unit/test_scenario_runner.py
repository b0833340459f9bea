from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlparity.errors import ConfigurationError
from mlparity.scenarios.catalogue import find_scenario, scenarios

GOOD = """
from mlparity.scenarios import Platform, Report
from scenarios.good.neighbour import ANSWER

def run(platform: Platform) -> Report:
    platform.say(f"arguments {list(platform.arguments)} on {platform.profile}")
    platform.check(ANSWER == 42, "the neighbour is wrong")
    return Report("done", [("answer", str(ANSWER)), ("where", platform.workdir.name)], ["over there"])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "scenarios" / "good"
    path.mkdir(parents=True)
    (path / "scenario.py").write_text(GOOD)
    (path / "neighbour.py").write_text("ANSWER = 42\n")
    (path / "scenario.yaml").write_text("title: t\nsystem: s\nprofiles: [embedded]\nsummary: x\n")
    return path


def run(folder: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, *arguments), env=environment(folder, **changes), capture_output=True, text=True, check=False
    )


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "mlparity.scenarios.runner", str(folder), *arguments]


def environment(folder: Path, **changes: str) -> dict[str, str]:
    return {
        **os.environ,
        "MLPARITY_PROFILE": "embedded",
        "MLPARITY_LOCAL": "true",
        "MLPARITY_DATA_DIR": str(folder.parents[1] / "data"),
        "MLPARITY_ROLE_ARN": "arn:aws:iam::123456789012:role/R",
        "MLPARITY_BUCKET": "bucket",
        "AWS_DEFAULT_REGION": "us-east-1",
        **changes,
    }


def test_a_scenario_gets_its_arguments_and_its_report_is_printed(folder: Path) -> None:
    done = run(folder, "--fast", "2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("arguments ['--fast', '2'] on embedded\n")
    assert "done\n  answer  42\n  where   good\n\nWhere to look\n  over there\n" in done.stdout


def test_parts_are_told_from_the_scenarios_own_arguments(folder: Path) -> None:
    with (folder / "scenario.yaml").open("a") as file:
        file.write("parts: {one: the first, two: the second}\n")
    source = GOOD.replace(
        "{list(platform.arguments)}", "{list(platform.arguments)}, {list(platform.parts)}, {platform.story}"
    )
    (folder / "scenario.py").write_text(source)
    for arguments, said in (
        ((), "arguments [], [], True"),
        (("--all", "x"), "arguments ['x'], ['one', 'two'], True"),
        (("--parts", "two", "x", "--all"), "arguments ['x', '--all'], ['two'], False"),
        (("x", "--parts", "two"), "arguments ['x', '--parts', 'two'], [], True"),
    ):
        assert run(folder, *arguments).stdout.startswith(f"{said} on embedded\n")
    refused = run(folder, "--parts", "three")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("the scenario good has no part 'three'\nits parts: one, two\n")


def test_a_check_that_does_not_hold_is_exit_code_1(folder: Path) -> None:
    (folder / "neighbour.py").write_text("ANSWER = 41\n")
    done = run(folder)
    assert done.returncode == 1
    assert done.stderr.startswith("the neighbour is wrong\n")


def test_a_crash_is_told_in_lines_and_its_traceback_saved(folder: Path) -> None:
    (folder / "neighbour.py").write_text("ANSWER = 1 / 0\n")
    done = run(folder)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "the scenario good failed: ZeroDivisionError" in done.stderr
    assert "ZeroDivisionError" in (folder.parents[1] / "data" / "scenarios" / "good" / "traceback.txt").read_text()


def test_a_second_run_is_refused_until_the_first_has_died(folder: Path) -> None:
    good = (folder / "scenario.py").read_text()
    (folder / "scenario.py").write_text(good.replace("    platform.check(", "    input()\n    platform.check("))
    first = subprocess.Popen(
        command(folder), env=environment(folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with first:
        assert first.stdout is not None
        assert first.stdout.readline().startswith("arguments")  # it is in the middle of its run
        second = run(folder)
        first.kill()
    assert (second.returncode, second.stdout) == (1, "")
    what, why, hint = second.stderr.splitlines()
    assert what == "the scenario good is running already"
    assert str(folder.parents[1] / "data") in why
    assert "--data-dir" in hint
    (folder / "scenario.py").write_text(good)
    assert run(folder).returncode == 0


def test_a_scenario_outside_mlparity_run_is_told_what_is_missing(folder: Path) -> None:
    done = run(folder, MLPARITY_BUCKET="")
    assert done.returncode == 1
    assert "MLPARITY_BUCKET is not set" in done.stderr


def test_a_folder_with_a_scenario_file_is_listed_after_the_twelve(folder: Path) -> None:
    listed = scenarios(folder.parent)
    assert [scenario.name for scenario in listed][12:] == ["good"]
    assert find_scenario(folder.parent, "good").profiles == ("embedded",)


def test_a_scenario_file_that_lacks_something_is_named(folder: Path) -> None:
    (folder / "scenario.yaml").write_text("title: t\n")
    with pytest.raises(ConfigurationError, match="summary"):
        scenarios(folder.parent)
