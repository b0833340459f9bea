"""``mlparity parity``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from mlparity.cli import output
from mlparity.cli.coverage import OTHERS, Coverage, apis
from mlparity.errors import NotFoundError
from mlparity.stack.packages import require_extras

_STATES = ("works", "partial", "refused", "absent")


def parity(api: str, *, as_json: bool, as_markdown: bool, with_absent: bool) -> None:
    """Print the coverage of one API or of all."""
    require_extras(("aws", "gcp"))
    known = apis()
    if api and api not in known:
        raise NotFoundError(f"there is no API {api!r}", f"there are: {', '.join(known)}", "see `mlparity parity`")
    rows = [row for name in ([api] if api else known) for row in known[name]()]
    if as_json:
        output.as_json([asdict(row) for row in rows])
        return
    shown = [row for row in rows if with_absent or row.state != "absent"]
    if as_markdown:
        output.line(markdown(shown, rows))
        return
    output.table(("api", "operation", "state", "note"), [(r.api, r.operation, r.state, r.note) for r in shown])
    by_moto = {row.api for row in rows if row.operation == OTHERS}
    for name, counts in totals(rows).items():
        shown_counts = [f"{counts[state]} {state}" for state in _STATES if counts[state]]
        output.line(f"{name}: {', '.join([*shown_counts, *(['the others by moto'] if name in by_moto else [])])}")


def totals(rows: Sequence[Coverage]) -> dict[str, Counter[str]]:
    """How many named operations of each API are in each state."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        counts = found.setdefault(row.api, Counter())
        if row.operation != OTHERS:
            counts[row.state] += 1
    return found


def markdown(shown: Sequence[Coverage], rows: Sequence[Coverage]) -> str:
    """The totals, then the operations, as two Markdown tables."""
    lines = ["| API | works | in part | refused | absent | the others |", "|---|---|---|---|---|---|"]
    by_moto = {row.api for row in rows if row.operation == OTHERS}
    for name, counts in totals(rows).items():
        others = "by moto, journaled" if name in by_moto else ""
        lines.append("| " + " | ".join([name, *(str(counts[state]) for state in _STATES), others]) + " |")
    lines += ["", "| API | operation | state | note |", "|---|---|---|---|"]
    for row in shown:
        note = row.note.replace("|", "\\|")
        lines.append(f"| {row.api} | {row.operation} | {row.state} | {note} |")
    return "\n".join(lines)
