"""The coverage tables in the repository are those of the code."""

from __future__ import annotations

from pathlib import Path

from mlparity.cli.coverage_pages import pages

ROOT = Path(__file__).parents[2]


def test_the_pages_are_up_to_date() -> None:
    stale = [path.name for path, text in pages(ROOT).items() if path.read_text("utf-8") != text]
    assert not stale, "run `make coverage`"
