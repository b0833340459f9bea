"""The short form of ``make soak``: one episode of kills, and everything that must hold afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.episode import Episode


@pytest.mark.slow
@pytest.mark.timeout(420)
@pytest.mark.parametrize("seed", [1])
def test_nothing_acknowledged_is_lost_and_nothing_is_left_running(tmp_path: Path, seed: int) -> None:
    outcome = Episode(tmp_path, seed, seconds=12.0).run()
    assert not outcome.problems, str(outcome)
    assert outcome.kills
    assert outcome.done["jobs succeeded"], str(outcome)
