"""What a scenario hands back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Report:
    """The end of a scenario: what came out, as (label, value) pairs, and where the person can look further."""

    title: str
    facts: Sequence[tuple[str, str]] = ()
    where_to_look: Sequence[str] = field(default=())

    def text(self) -> str:
        """The report as plain lines, labels aligned."""
        width = max((len(label) for label, _ in self.facts), default=0)
        lines = ["", self.title]
        lines += [f"  {label.ljust(width)}  {value}" for label, value in self.facts]
        if self.where_to_look:
            lines += ["", "Where to look"]
            lines += [f"  {place}" for place in self.where_to_look]
        return "\n".join(lines) + "\n"
