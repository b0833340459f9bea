"""``mlparity scenarios``."""

from __future__ import annotations

from mlparity.cli import output
from mlparity.profiles.locate import shipped
from mlparity.scenarios.catalogue import scenarios


def list_scenarios(*, as_json: bool) -> None:
    """The reference systems in their true state."""
    known = scenarios(shipped("scenarios"))
    if as_json:
        output.as_json(
            [
                {
                    "name": scenario.name,
                    "there": scenario.there,
                    "title": scenario.title,
                    "system": scenario.system,
                    "profiles": scenario.profiles,
                    "summary": scenario.summary,
                    "parts": scenario.parts,
                }
                for scenario in known
            ]
        )
        return
    rows = [
        (scenario.name, ", ".join(scenario.profiles) if scenario.there else "not there yet", scenario.system)
        for scenario in known
    ]
    output.table(("scenario", "profiles", "system"), rows)
    output.line(f"there: {sum(scenario.there for scenario in known)} of {len(known)}")
    for scenario in known:
        if scenario.parts:
            output.line(f"parts of {scenario.name} (--parts NAME,NAME or --all):")
            width = max(map(len, scenario.parts))
            for name, text in scenario.parts.items():
                output.line(f"  {name.ljust(width)}  {text}")
