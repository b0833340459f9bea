"""How the command prints: aligned columns, JSON, and a line of progress."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any


def line(text: str = "") -> None:
    """One line on standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def as_json(document: Any) -> None:
    """``document`` as indented JSON."""
    line(json.dumps(document, indent=2, default=str))


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table that folds to the terminal's width; plain columns where the output is no terminal."""
    if not sys.stdout.isatty():
        widths = [max(len(row[index]) for row in [headings, *rows]) for index in range(len(headings))]
        for row in [headings, *rows]:
            line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        shown.add_column(heading, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(cell) for cell in row))
    Console().print(shown)


@contextmanager
def progress(text: str) -> Iterator[Callable[[str], None]]:
    """A spinner with a phrase that can be changed; plain lines where standard error is no terminal."""
    if not sys.stderr.isatty():

        def plain(phrase: str) -> None:
            sys.stderr.write(f"{phrase}\n")
            sys.stderr.flush()

        yield plain
        return
    from rich.console import Console

    with Console(stderr=True).status(text) as spinner:
        yield spinner.update


def duration(seconds: float) -> str:
    """Seconds as a person reads them: "3.1 s", "4 min", "2 h 5 min", "3 d 1 h"."""
    minutes = int(seconds // 60)
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    if minutes < 60:  # noqa: PLR2004
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:  # noqa: PLR2004
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"
