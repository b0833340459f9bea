"""The glob language of object lists.

https://cloud.google.com/storage/docs/json_api/v1/objects/list#list-objects-and-prefixes-using-glob
"""

from __future__ import annotations

import re

from mlparity.storage.gcs.errors import invalid

_SPECIAL = "*?[{"


def literal_prefix(glob: str) -> str:
    """What every match begins with."""
    end = next((index for index, character in enumerate(glob) if character in _SPECIAL + "\\"), len(glob))
    return glob[:end]


def compile_glob(glob: str) -> re.Pattern[str]:
    """A pattern for whole names. ``*`` and ``?`` stop at "/", ``**`` does not. Raises ``invalid``."""
    try:
        return re.compile(_translate(glob), re.DOTALL)
    except (re.error, IndexError):
        raise invalid(f"Invalid matchGlob: {glob}", "parameter", "matchGlob") from None


def _translate(glob: str) -> str:
    out: list[str] = []
    index = depth = 0
    while index < len(glob):
        rest, character = glob[index:], glob[index]
        if rest.startswith("**/") and (index == 0 or glob[index - 1] == "/"):
            out.append("(?:.*/)?")
            index += 3
            continue
        if rest.startswith("**"):
            out.append(".*")
            index += 2
            continue
        if character == "[":
            end = glob.index("]", index + 2) if "]" in glob[index + 2 :] else -1
            if end < 0:
                raise IndexError
            negated = glob[index + 1] in "!^"
            inside = glob[index + 1 + negated : end].replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
            out.append(f"[{'^/' if negated else ''}{inside}]")
            index = end + 1
            continue
        if character == "\\":
            out.append(re.escape(glob[index + 1]))
            index += 2
            continue
        depth += (character == "{") - (character == "}" and depth > 0)
        out.append(_plain(character, depth, closing=character == "}" and "{" in glob[:index]))
        index += 1
    return "".join(out)


def _plain(character: str, depth: int, *, closing: bool) -> str:
    if character == "*":
        return "[^/]*"
    if character == "?":
        return "[^/]"
    if character == "{":
        return "(?:"
    if closing:
        return ")"
    if character == "," and depth:
        return "|"
    return re.escape(character)
