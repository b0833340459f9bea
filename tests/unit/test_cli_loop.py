"""What ``mlparity loop`` reads and prints; the control plane's side is a loop service's own answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlparity.cli import loop
from mlparity.errors import ConfigurationError

DEFINITION = {
    "endpoint": "prod",
    "model_group": "flights",
    "trigger": {"alarm": "drift", "pattern": {}},
    "retrain": {"pipeline": "train", "cool_down_seconds": 60, "daily_cap": 2},
    "gate": {"metric": "mse", "better": "lower", "threshold": 2700.0, "margin": 0.02},
    "approval": {"mode": "person"},
}
STEP = {"at": "2026-01-01T10:00:00+00:00", "state": "declined", "reason": "rejected by ana: odd in May"}
CYCLE = {"number": 3, "state": "declined", "history": [STEP]}
LOOP = {"name": "flights", "paused": False, "definition": DEFINITION, "cycles": [CYCLE], "last": [CYCLE]}


class Answers:
    """In the place of ``Loops``: keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def create(self, definition: Any) -> Any:
        self.asked.append(("create", definition))
        return LOOP

    def list(self) -> Any:
        return [LOOP]

    def show(self, name: str) -> Any:
        assert name == "flights"
        return LOOP

    def act(self, *words: str) -> Any:
        self.asked.append(words)
        return LOOP | {"paused": True} if words[1] == "pause" else CYCLE


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    made = Answers()
    monkeypatch.setattr(loop, "_loops", lambda _choice: made)
    return made


CHOICE: Any = None  # only ``_loops`` looks at it


@pytest.mark.usefixtures("answers")
def test_show_prints_every_step_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    loop.show(CHOICE, "flights", as_json=False)
    printed = capsys.readouterr().out
    assert "gate      mse at most 2700 and better than the champion by 2%" in printed
    assert "cycle 3: declined" in printed
    assert "2026-01-01T10:00:00  declined  rejected by ana: odd in May" in printed


@pytest.mark.usefixtures("answers")
def test_the_list_has_the_last_cycle(capsys: pytest.CaptureFixture[str]) -> None:
    loop.list_loops(CHOICE, as_json=False)
    assert capsys.readouterr().out.splitlines()[1].split() == ["flights", "prod", "yes", "3:", "declined"]


def test_actions_are_passed_on_and_told(answers: Answers, capsys: pytest.CaptureFixture[str]) -> None:
    loop.act(CHOICE, "flights", "pause")
    loop.act(CHOICE, "flights", "stop", "enough")
    assert answers.asked == [("flights", "pause", ""), ("flights", "stop", "enough")]
    assert capsys.readouterr().out.splitlines() == [
        "loop flights: paused",
        "cycle 3: declined (rejected by ana: odd in May)",
    ]


def test_a_file_is_read_as_yaml(answers: Answers, tmp_path: Path) -> None:
    path = tmp_path / "loop.yaml"
    path.write_text("name: flights\ngate: {threshold: 3}\n", "utf-8")
    loop.create(CHOICE, path)
    assert answers.asked == [("create", {"name": "flights", "gate": {"threshold": 3}})]


@pytest.mark.parametrize(
    ("content", "what"), [(b"gate: [", "is not YAML"), (b"\xff\xfe", "cannot be read"), (None, "cannot be read")]
)
def test_what_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, what: str) -> None:
    path = tmp_path / "loop.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=what):
        loop.create(CHOICE, path)
