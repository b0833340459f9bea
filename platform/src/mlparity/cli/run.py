"""``mlparity run``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from mlparity.cli.choice import Choice
from mlparity.cli.cloud_checks import cloud_checks
from mlparity.cli.up import bring_up
from mlparity.errors import ConfigurationError, ScenarioError
from mlparity.profiles.environment import client_environment
from mlparity.profiles.locate import shipped
from mlparity.profiles.model import Profile
from mlparity.scenarios.catalogue import find_scenario
from mlparity.stack.folder import DataFolder
from mlparity.stack.packages import extras_of, require_extras

_GRACE_SECONDS = 10.0  # for the scenario to end after Ctrl-C


def run_scenario(choice: Choice, name: str, arguments: list[str]) -> int:
    """Run the scenario in a process of its own with the profile's environment; its exit code (0, 1 or 130)."""
    scenario = find_scenario(shipped("scenarios"), name)
    profile = choice.load().profile
    if profile.name not in scenario.profiles:
        raise ConfigurationError(
            f"the scenario {name} does not run with the profile {profile.name}",
            f"it runs with: {', '.join(scenario.profiles)}",
            "choose one with --profile",
        )
    require_extras((*extras_of(profile), "scenarios"))
    if profile.local:
        bring_up(profile)
    else:
        _require_cloud(profile)
    environment = client_environment(profile, os.environ).applied_to(os.environ)
    command = [sys.executable, "-m", "mlparity.scenarios.runner", str(scenario.folder), *arguments]
    return _wait(subprocess.Popen(command, env={**environment, "PYTHONUNBUFFERED": "1"}), name)  # noqa: S603


def _require_cloud(profile: Profile) -> None:
    """Tell what is missing before anything starts."""
    failed = [check for check in cloud_checks(profile, os.environ) if check.ok is False]
    if failed:
        raise ConfigurationError(
            f"the profile {profile.name} is not set up: {failed[0].name}",
            "; ".join(check.detail for check in failed),
            f"see `mlparity doctor --profile {profile.name}`",
        )
    DataFolder(profile.data_dir).prepare()


def _wait(process: subprocess.Popen[bytes], name: str) -> int:
    """Wait for the scenario. Ctrl-C reaches it directly: it is in the same process group."""
    try:
        code = process.wait()
    except KeyboardInterrupt:
        try:
            process.wait(_GRACE_SECONDS)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()
            process.wait()
        raise
    if code < 0:
        raise ScenarioError(f"the scenario {name} was ended by {signal.Signals(-code).name}")
    return code
