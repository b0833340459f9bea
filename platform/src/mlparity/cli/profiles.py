"""``mlparity profile``."""

from __future__ import annotations

import os

from mlparity.cli import output
from mlparity.cli.choice import Choice
from mlparity.profiles import locate
from mlparity.profiles.layers import read_yaml
from mlparity.profiles.load import chosen_name


def list_profiles(*, as_json: bool) -> None:
    """Every profile, the active one marked."""
    stacks, user = locate.shipped("stacks"), locate.user_profiles()
    active = chosen_name(None, os.environ)
    rows = []
    for name in locate.profile_names(stacks, user):
        shipped, own = locate.profile_files(name, stacks, user)
        files = [path for path in (shipped, own) if path is not None]
        merged = {key: value for path in files for key, value in read_yaml(path).items()}
        rows.append(
            {
                "name": name,
                "active": name == active,
                "kind": str(merged.get("kind", "")),
                "title": str(merged.get("title", "")),
                "files": [str(path) for path in files],
            }
        )
    if as_json:
        output.as_json(rows)
        return
    cells = [("*" if row["active"] else "", str(row["name"]), str(row["kind"]), str(row["title"])) for row in rows]
    output.table(("", "profile", "kind", "title"), cells)


def show_profile(choice: Choice, *, as_json: bool) -> None:
    """Every value in force and its origin."""
    loaded = choice.load()
    if as_json:
        values = {value.key: {"value": value.value, "origin": str(value.origin)} for value in loaded.values}
        output.as_json({"profile": loaded.profile.name, "values": values})
        return
    output.line(f"profile {loaded.profile.name}")
    output.table(("key", "value", "from"), [(value.key, value.value, str(value.origin)) for value in loaded.values])
