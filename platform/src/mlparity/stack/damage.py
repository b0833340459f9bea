"""What is wrong with a file of the stack's own, in a person's words instead of Python's."""

from __future__ import annotations

import json


def in_words(error: Exception) -> str:
    """A phrase for what reading a JSON document and its values raised."""
    if isinstance(error, json.JSONDecodeError):
        return "it is empty" if not error.doc.strip() else f"it is not JSON (line {error.lineno})"
    if isinstance(error, UnicodeDecodeError):
        return "it is not text"
    if isinstance(error, OSError):
        return error.strerror or "it cannot be read"
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]!r}" if error.args else "something is missing in it"
    return "its values are of another kind or number"
