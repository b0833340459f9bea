"""Running a scenario as `mlparity run` does: in a process of its own, against the stack of the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mlparity.testing.stack import RunningStack

_SCENARIOS = Path(__file__).parents[2] / "scenarios"
HELD = "everything was checked and held"


def told(stack: RunningStack, name: str, *arguments: str, seconds: int = 480, closing: str = HELD) -> str:
    """What the scenario says until its end; fails with all of it where a check of the scenario did not hold."""
    done = subprocess.run(
        [sys.executable, "-m", "mlparity.scenarios.runner", str(_SCENARIOS / name), *arguments],
        env={**os.environ, **stack.environment()},
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert closing in done.stdout
    return done.stdout
