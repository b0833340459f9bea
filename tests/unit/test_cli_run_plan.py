"""`mlparity run` in a cloud: the plan first, and nothing at all before it is agreed to."""

from __future__ import annotations

import io
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mlparity.cli import run as run_module
from mlparity.cli.main import run
from mlparity.scenarios.plan import NOT_SET, Machines, Place, Plan, Resource, text

ROLE = "arn:aws:iam::123456789012:role/R"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class StartedError(Exception):
    """The scenario would have been started."""


@pytest.fixture(autouse=True)
def nothing_leaves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """No connection, no name lookup; what would be started is noted instead."""

    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("the network was used")

    started: list[list[str]] = []

    def popen(command: list[str], **_: Any) -> None:
        started.append(command)
        raise StartedError

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.setenv("MLPARITY_DATA_DIR", str(tmp_path / "data"))
    return started


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_REGION": "eu-west-1",
        "SAGEMAKER_ROLE": ROLE,
        "MLPARITY_AWS_BUCKET": "my-bucket",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "not-a-real-one",
    }.items():
        monkeypatch.setenv(name, value)


def test_the_plan_names_the_place_and_everything_that_would_be_made(
    account: None, capsys: pytest.CaptureFixture[str], nothing_leaves: list[list[str]], tmp_path: Path
) -> None:
    assert run(["run", "sagemaker_training", "--profile", "aws", "--all", "--plan"]) == 0
    printed = capsys.readouterr().out
    for line in ("account  123456789012", "region   eu-west-1", f"role     {ROLE}", "bucket   my-bucket"):
        assert f"\n  {line}\n" in printed
    for made in (
        "pipeline",
        "model package group",
        "SQS queue",
        "EventBridge rule",
        "schedule",
        "tuning job",
        "model ",
    ):
        assert f"\n  {made}" in printed
    assert "s3://my-bucket/flights-arrival-delay/" in printed
    assert "5 x processing  1 x ml.m5.xlarge" in printed
    assert "It leaves behind:" in printed
    assert "Cost: not estimated" in printed
    assert "$" not in printed
    assert nothing_leaves == []
    assert not (tmp_path / "data").exists()


def test_without_its_parts_the_plan_is_shorter(account: None, capsys: pytest.CaptureFixture[str]) -> None:
    run(["run", "sagemaker_training", "-p", "aws", "--plan"])
    printed = capsys.readouterr().out
    assert "2 x training    1 x ml.m5.xlarge" in printed
    assert "tuning" not in printed
    assert "schedule" not in printed


def test_the_plan_of_an_account_that_is_not_set_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "sagemaker_training", "-p", "aws", "--plan"]) == 0
    assert f"account  {NOT_SET}" in capsys.readouterr().out
    assert run(["run", "sagemaker_training", "-p", "aws", "--yes"]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("The plan: ")
    assert "the profile aws is not set up: region" in captured.err


def test_a_local_profiles_plan_starts_no_stack(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["run", "sagemaker_training", "--plan", "--parts", "schedule,cached"]) == 0
    printed = capsys.readouterr().out
    assert "on this machine" in printed
    assert "Cost: none" in printed
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("answer", "why"), [(None, "no terminal"), ("no\n", "not `yes`"), ("", "not `yes`")])
def test_without_a_yes_nothing_is_created(
    account: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    nothing_leaves: list[list[str]],
    tmp_path: Path,
    answer: str | None,
    why: str,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n") if answer is None else Terminal(answer))
    assert run(["run", "sagemaker_training", "--profile", "aws"]) == 1
    captured = capsys.readouterr()
    assert "It would create, or add to:" in captured.out
    assert "error: nothing was created" in captured.err
    assert why in captured.err
    assert nothing_leaves == []
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("flags", "answer"), [(["--yes"], ""), ([], "yes\n")])
def test_a_yes_goes_on_after_the_plan(
    account: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    nothing_leaves: list[list[str]],
    flags: list[str],
    answer: str,
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    run(["run", "sagemaker_training", "-p", "aws", "--parts", "tuning, cached", *flags, "--sample", "7"])
    assert "It would create, or add to:" in capsys.readouterr().out
    ((*_, runner, folder, option, names, own, number),) = nothing_leaves
    assert (runner, Path(folder).name) == ("mlparity.scenarios.runner", "sagemaker_training")
    assert (option, names, own, number) == ("--parts", "cached,tuning", "--sample", "7")


@pytest.mark.parametrize(
    ("wish", "what"),
    [
        (["--parts", "cached,nope"], "has no part 'nope'"),
        (["--parts", "cached", "--all"], "--all and --parts exclude each other"),
        (["--parts", "cached", "--sample", "x"], "the scenario's arguments are wrong"),
        (["--parts", "cached", "--sample", "0"], "--sample is 0"),
        (["--sample", "3"], "the story needs every flight"),
        (["--bogus"], "takes no argument '--bogus'"),
    ],
)
@pytest.mark.parametrize("profile", ["embedded", "aws"])
def test_a_wrong_wish_is_refused_before_anything_starts(
    account: None,
    capsys: pytest.CaptureFixture[str],
    nothing_leaves: list[list[str]],
    tmp_path: Path,
    wish: list[str],
    what: str,
    profile: str,
) -> None:
    assert run(["run", "sagemaker_training", "--profile", profile, *wish]) == 1
    captured = capsys.readouterr()
    assert what in captured.err
    assert captured.out == ""
    assert nothing_leaves == []
    assert not (tmp_path / "data").exists()


def test_a_scenario_without_a_plan_runs_in_no_cloud(
    account: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "scenarios" / "bare"
    folder.mkdir(parents=True)
    (folder / "scenario.yaml").write_text("title: t\nsystem: s\nprofiles: [aws]\nsummary: x\n")
    monkeypatch.setattr(run_module, "shipped", lambda _: folder.parent)
    assert run(["run", "bare", "--profile", "aws", "--yes"]) == 1
    assert "the scenario bare has no plan" in capsys.readouterr().err


def test_a_cost_is_told_where_a_scenario_has_one() -> None:
    place = Place("aws", local=False, account="1", region="r", role_arn="role", bucket="b")
    plan = Plan(
        [Resource("thing", "name")], [Machines("work", "training", 2, "ml.x")], [], [], cost="2 EUR (2026-01-01)"
    )
    assert "\nCost: 2 EUR (2026-01-01)" in text(plan, place, "title")
    assert "It removes before it ends:\n  nothing\n" in text(plan, place, "title")
