"""The parts of the sandbox that are plain values: folders to rebuild, sessions, what to do where it is denied."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mlparity.engine.sandbox import layout, probing
from mlparity.engine.sandbox.probing import Mode, SandboxReport, probe
from mlparity.engine.sandbox.session import Session
from mlparity.errors import SandboxUnavailableError


def test_rebuilt_folders_come_parents_first() -> None:
    assert layout.rebuilt_folders(["/opt/ml", "/mnt/a/b", "/gcs"]) == ["/", "/mnt", "/opt", "/mnt/a"]


def test_outermost_and_within() -> None:
    assert layout.outermost(["/a/b", "/a", "/ab", "/c/d"]) == ["/a", "/ab", "/c/d"]
    assert layout.is_within("/a/b", "/a")
    assert layout.is_within("/a", "/a")
    assert not layout.is_within("/ab", "/a")


def test_sessions_keep_each_others_and_remove_dead_ones(tmp_path: Path) -> None:
    first, second = Session(tmp_path, "one"), Session(tmp_path, "two")
    assert first.folder.is_dir()
    assert first.job_folder("job").name == "job"
    assert first.job_folder("job").name == "job.1"
    dead = tmp_path / "dead"
    dead.mkdir()
    (dead / "lock").touch()
    third = Session(tmp_path, "three")
    assert not dead.exists()
    for session in (first, second, third):
        session.close()
        session.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")
def test_probe_says_how_jobs_run_or_why_not() -> None:
    report = probe()
    assert report.mode in {*Mode, None}
    assert report.mode is not None or (report.why and report.hint)


def test_a_report_without_a_mode_raises_its_lines() -> None:
    with pytest.raises(SandboxUnavailableError) as caught:
        SandboxReport(None, "denied", "allow it").require()
    assert caught.value.lines()[1:] == ("denied", "allow it")
    assert SandboxReport(Mode.ROOT).require() is Mode.ROOT


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("_APPARMOR", "1", "apparmor_restrict_unprivileged_userns=0"),
        ("_CLONE", "0", "unprivileged_userns_clone=1"),
        ("_MAX_NAMESPACES", "0", "max_user_namespaces="),
        ("_CLONE", "1", "seccomp=unconfined"),
    ],
)
def test_hints(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str, expected: str) -> None:
    for each in ("_APPARMOR", "_CLONE", "_MAX_NAMESPACES"):
        monkeypatch.setattr(probing, each, tmp_path / each)
    (tmp_path / name).write_text(value + "\n")
    monkeypatch.setattr(probing, "_try", lambda _: {"why": "Operation not permitted"})
    report = probe()
    assert report.mode is None
    assert "Operation not permitted" in report.why
    assert expected in report.hint


def test_elsewhere_than_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing.sys, "platform", "darwin")
    report = probe()
    assert report.mode is None
    assert "darwin" in report.why
