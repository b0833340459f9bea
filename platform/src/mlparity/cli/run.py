"""``mlparity run``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from mlparity.cli import output
from mlparity.cli.choice import Choice
from mlparity.cli.cloud_checks import cloud_checks
from mlparity.cli.ctrl_c import unwind
from mlparity.cli.google_checks import google_checks, pipelines_checks
from mlparity.cli.up import bring_up
from mlparity.errors import ConfigurationError, ScenarioError
from mlparity.profiles.environment import client_environment
from mlparity.profiles.locate import shipped
from mlparity.profiles.model import Profile
from mlparity.scenarios import plan as plans
from mlparity.scenarios.catalogue import Scenario, find_scenario
from mlparity.scenarios.plan import Plan
from mlparity.scenarios.planning import place_of, plan_of
from mlparity.scenarios.platform import Parts
from mlparity.stack.folder import DataFolder
from mlparity.stack.packages import extras_of, require_extras

_GRACE_SECONDS = 10.0  # for the scenario to end after Ctrl-C


@dataclass(frozen=True)
class Wish:
    """What the person asked for."""

    scenario: str
    arguments: Sequence[str] = ()  # the scenario's own
    parts: str = ""  # names, with commas
    everything: bool = False
    plan_only: bool = False
    agreed: bool = False  # to the plan of a cloud profile


def run_scenario(choice: Choice, wish: Wish) -> int:
    """Run the scenario in a process of its own with the profile's environment; its exit code (0, 1 or 130).

    For a cloud profile its plan is printed first, and nothing is created until the person has agreed.
    """
    scenario = find_scenario(shipped("scenarios"), wish.scenario)
    options, parts = _parts(scenario, wish)
    profile = choice.load().profile
    _require_profile(scenario, profile)
    plan = _plan(scenario, profile, parts, wish)
    if wish.plan_only:
        _print_plan(scenario, profile, plan)
        return 0
    require_extras((*extras_of(profile), "scenarios"))
    if profile.local:
        bring_up(profile)
    else:
        _print_plan(scenario, profile, plan)
        _require_cloud(profile)
        _require_agreement(wish)
        DataFolder(profile.data_dir).prepare()
    unwind()  # the scenario that is started now is to be waited for
    environment = client_environment(profile, os.environ).applied_to(os.environ)
    command = [sys.executable, "-m", "mlparity.scenarios.runner", str(scenario.folder), *options, *wish.arguments]
    return _wait(subprocess.Popen(command, env={**environment, "PYTHONUNBUFFERED": "1"}), scenario.name)  # noqa: S603


def _parts(scenario: Scenario, wish: Wish) -> tuple[list[str], Parts]:
    """The runner's options, and what they stand for. Raises ``ConfigurationError``, ``NotFoundError``."""
    if wish.everything and wish.parts:
        raise ConfigurationError("--all and --parts exclude each other", "--all is the story and every part")
    if wish.everything:
        return ["--all"], Parts(tuple(scenario.parts))
    if wish.parts:
        names = scenario.chosen_parts([name.strip() for name in wish.parts.split(",")])
        return ["--parts", ",".join(names)], Parts(names, story=False)
    return [], Parts()


def _require_profile(scenario: Scenario, profile: Profile) -> None:
    if profile.name not in scenario.profiles:
        raise ConfigurationError(
            f"the scenario {scenario.name} does not run with the profile {profile.name}",
            f"it runs with: {', '.join(scenario.profiles)}",
            "choose one with --profile",
        )


def _plan(scenario: Scenario, profile: Profile, parts: Parts, wish: Wish) -> Plan | None:
    """The scenario's plan, which also looks at its arguments; None where it has none and needs none."""
    found = plan_of(scenario.folder, place_of(profile), parts, wish.arguments) if scenario.folder else None
    if found is None and (wish.plan_only or not profile.local):
        raise ConfigurationError(
            f"the scenario {scenario.name} has no plan",
            "it cannot say what it would create" + ("" if profile.local else ", so it does not run in a cloud"),
        )
    return found


def _print_plan(scenario: Scenario, profile: Profile, plan: Plan | None) -> None:
    if plan is not None:
        output.line(plans.text(plan, place_of(profile), scenario.title))


def _require_cloud(profile: Profile) -> None:
    """Tell what is missing before anything starts."""
    found = (*cloud_checks(profile, os.environ), *google_checks(profile, os.environ), *pipelines_checks(profile))
    failed = [check for check in found if check.ok is False]
    if failed:
        raise ConfigurationError(
            f"the profile {profile.name} is not set up: {failed[0].name}",
            "; ".join(check.detail for check in failed),
            f"see `mlparity doctor --profile {profile.name}`",
        )


def _require_agreement(wish: Wish) -> None:
    """Go on with ``--yes`` or a person's own yes. Raises ``ConfigurationError``."""
    if wish.agreed:
        return
    why = "nothing asks here: standard input is no terminal"
    if sys.stdin.isatty():
        sys.stderr.write("Create all of this? Only `yes` goes on: ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() == "yes":
            return
        why = "the answer was not `yes`"
    raise ConfigurationError("nothing was created", why, "say --yes to agree to the plan beforehand")


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
