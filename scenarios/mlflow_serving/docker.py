"""The `docker` command."""

from __future__ import annotations

import subprocess

from mlparity.errors import ScenarioError

_SECONDS = 120.0


def docker(*arguments: str, seconds: float = _SECONDS) -> subprocess.CompletedProcess[str]:
    """Run it to its end, whatever that is. Raises ``ScenarioError`` where it takes longer."""
    command = ["docker", *arguments]
    try:
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise ScenarioError(f"docker {arguments[0]} took longer than {seconds:.0f} s") from None


def told(*arguments: str) -> str:
    """What it wrote. Raises ``ScenarioError`` where it failed."""
    done = docker(*arguments)
    if done.returncode:
        raise ScenarioError(f"docker {arguments[0]} failed", (done.stderr or done.stdout).strip()[-500:])
    return done.stdout.strip()
