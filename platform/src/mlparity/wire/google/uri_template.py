"""URI templates of google.api.http: ``/v1/{name=projects/*/locations/*/models/*}:listVersions``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

_VARIABLE = re.compile(r"\{([\w.]+)(?:=([^}]*))?\}")
_STARS = re.compile(r"\*\*|\*")


@dataclass(frozen=True)
class UriTemplate:
    """One template: what paths it matches, and the patterns of its variables."""

    text: str
    pattern: re.Pattern[str]
    names: tuple[str, ...]
    variables: Mapping[str, re.Pattern[str]]
    formats: Mapping[str, str]  # "projects/*/locations/*", by variable

    @classmethod
    def parse(cls, text: str) -> UriTemplate:
        """Read a template."""
        return _parsed(text)

    def match(self, path: str) -> dict[str, str] | None:
        """The variables' values, percent-decoded, or None. ``path`` is as it came, still encoded."""
        found = self.pattern.fullmatch(path)
        if found is None:
            return None
        return {name: unquote(value) for name, value in zip(self.names, found.groups(), strict=True)}


@lru_cache(maxsize=4096)
def _parsed(text: str) -> UriTemplate:
    pattern, names, at = [], [], 0
    variables, formats = {}, {}
    for found in _VARIABLE.finditer(text):
        pattern.append(_segments(text[at : found.start()]))
        wanted = _segments(found[2] or "*")
        pattern.append(f"({wanted})")
        names.append(found[1])
        variables[found[1]] = re.compile(wanted)
        formats[found[1]] = found[2] or "*"
        at = found.end()
    pattern.append(_segments(text[at:]))
    return UriTemplate(text, re.compile("".join(pattern)), tuple(names), variables, formats)


def _segments(text: str) -> str:
    found, at = [], 0
    for star in _STARS.finditer(text):
        found += [re.escape(text[at : star.start()]), ".+" if star[0] == "**" else "[^/]+"]
        at = star.end()
    return "".join([*found, re.escape(text[at:])])
