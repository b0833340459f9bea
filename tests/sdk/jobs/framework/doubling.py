"""A module beside the script."""

from __future__ import annotations


def doubled(word: str) -> str:
    """The word twice."""
    return word * 2
