"""Asking a scenario for its plan, in this process: its ``plan.py`` imports nothing heavy."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from mlparity.errors import ConfigurationError
from mlparity.profiles.model import Absent, CloudAws, CloudGcp, Profile
from mlparity.scenarios.plan import NOT_SET, Place, Plan
from mlparity.scenarios.platform import Parts


def place_of(profile: Profile) -> Place:
    """Where the profile's scenarios run. Nothing is asked of a cloud: its account is the role's."""
    aws = profile.roles.aws_api
    if isinstance(aws, Absent):
        gcp = profile.roles.gcp_api
        if isinstance(gcp, CloudGcp):
            account = gcp.service_account or "the project's default account"
            names = (gcp.project or NOT_SET, gcp.location or NOT_SET, account, gcp.bucket or NOT_SET)
            return Place(profile.name, profile.local, *names)
        return Place(profile.name, profile.local, NOT_SET, NOT_SET, NOT_SET, NOT_SET)
    region = (aws.region or NOT_SET) if isinstance(aws, CloudAws) else aws.region
    account = aws.role_arn.split(":")[4] if aws.role_arn else NOT_SET
    return Place(profile.name, profile.local, account, region, aws.role_arn or NOT_SET, aws.bucket or NOT_SET)


def plan_of(folder: Path, place: Place, parts: Parts, arguments: Sequence[str]) -> Plan | None:
    """The plan of the scenario in ``folder``; None where it has no ``plan.py``.

    Raises ``ConfigurationError`` for arguments that the scenario refuses, and where the plan is none.
    """
    if not (folder / "plan.py").is_file():
        return None
    root = str(folder.parent.parent)
    if root not in sys.path:
        sys.path.insert(0, root)
    module = importlib.import_module(f"scenarios.{folder.name}.plan")
    plan = module.plan(place, parts, tuple(arguments))
    if not isinstance(plan, Plan):
        raise ConfigurationError(f"the scenario {folder.name} gave no plan", "plan(...) must return a Plan")
    return plan
