"""What a scenario would do in a cloud account, as values: told before anything is created.

A scenario that runs on a cloud profile has ``scenarios/<name>/plan.py`` with
``plan(place: Place, parts: Parts, arguments: Sequence[str]) -> Plan``. It must need neither the network nor a vendor's
SDK, and raise ``ConfigurationError`` for arguments that the scenario would refuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NOT_SET = "(not set)"
NOT_ESTIMATED = "not estimated: prices differ by region and day, and this project keeps no dated list of them"


@dataclass(frozen=True)
class Place:
    """Where the scenario would run. What the person has not configured is ``NOT_SET``."""

    profile: str
    local: bool
    account: str
    region: str
    role_arn: str
    bucket: str


@dataclass(frozen=True)
class Resource:
    """Something that is made, or of which more is made: "pipeline", its name, and what it is for."""

    kind: str
    name: str
    note: str = ""


@dataclass(frozen=True)
class Machines:
    """Jobs that take machines: ``jobs`` in all, each on ``count`` of ``instance_type``, at most ``at_once``."""

    purpose: str
    kind: str  # "training", "processing", "transform", "tuning"
    jobs: int
    instance_type: str
    count: int = 1
    at_once: int = 1


@dataclass(frozen=True)
class Plan:
    """Everything that a run would create, what of it is removed again, and what stays."""

    creates: Sequence[Resource]
    machines: Sequence[Machines]
    removed: Sequence[str]  # by the scenario itself, before it ends
    left: Sequence[str]  # what is there afterwards
    remove_with: str = ""  # how to remove that
    cost: str = NOT_ESTIMATED
    charged: str = ""  # what is charged, without amounts


def text(plan: Plan, place: Place, title: str) -> str:
    """The plan as plain lines."""
    width = max((len(resource.kind) for resource in plan.creates), default=0)
    names = max((len(resource.name) for resource in plan.creates), default=0)
    where = "on this machine" if place.local else "in the cloud"
    lines = [
        f"The plan: {title}, {where}",
        f"  profile  {place.profile}",
        f"  account  {place.account}",
        f"  region   {place.region}",
        f"  role     {place.role_arn}",
        f"  bucket   {place.bucket}",
        "It would create, or add to:",
        *(f"  {each.kind.ljust(width)}  {each.name.ljust(names)}  {each.note}".rstrip() for each in plan.creates),
        "It would run these jobs:",
        *_machine_lines(plan.machines),
        "It removes before it ends:",
        *(f"  {each}" for each in plan.removed or ("nothing",)),
        "It leaves behind:",
        *(f"  {each}" for each in plan.left or ("nothing",)),
    ]
    if plan.remove_with:
        lines.append(f"  to remove it: {plan.remove_with}")
    if place.local:
        lines.append("Cost: none; the instance types are names, and the jobs run here")
    else:
        lines.append(f"Cost: {plan.cost}")
        if plan.charged:
            lines.append(f"  charged are: {plan.charged}")
    return "\n".join(lines)


def _machine_lines(machines: Sequence[Machines]) -> list[str]:
    rows = [
        (f"{each.jobs} x {each.kind}", f"{each.count} x {each.instance_type}", f"{each.at_once} at once", each.purpose)
        for each in machines
    ]
    if not rows:
        return ["  none"]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        "  " + "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip()
        for row in rows
    ]
