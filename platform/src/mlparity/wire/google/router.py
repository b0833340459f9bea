"""Which method a REST request calls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mlparity.wire.google.descriptors import HttpRule, Method
from mlparity.wire.google.uri_template import UriTemplate

Route = tuple[UriTemplate, Method, HttpRule]


@dataclass(frozen=True)
class Match:
    """The method, the rule that matched, and the values in the path."""

    method: Method
    rule: HttpRule
    variables: dict[str, str]


class Router:
    """Finds a method by HTTP method and path.

    Routes are sorted by verb, number of segments and custom verb (``:predict``) first, so that few templates are tried.
    """

    def __init__(self, methods: Iterable[Method]) -> None:
        self._routes: dict[tuple[str, int, str], list[Route]] = {}
        self._open: list[Route] = []  # with ``**``: any number of segments
        for method in methods:
            for rule in method.http:
                route = (UriTemplate.parse(rule.uri), method, rule)
                if "**" in rule.uri:
                    self._open.append(route)
                else:
                    self._routes.setdefault(_sorted_by(rule.verb, _plain(rule.uri)), []).append(route)

    def match(self, verb: str, path: str) -> Match | None:
        """The match, or None. ``path`` is as it came, percent-encoded; an encoded colon is a plain one."""
        candidates = self._routes.get(_sorted_by(verb, path), [])
        for template, method, rule in [*candidates, *self._open]:
            if rule.verb != verb.lower():
                continue
            found = template.match(path)
            if found is not None:
                return Match(method, rule, found)
        return None


def _sorted_by(verb: str, path: str) -> tuple[str, int, str]:
    last = path.rpartition("/")[2]
    return verb.lower(), path.count("/"), last.rpartition(":")[2] if ":" in last else ""


def _plain(uri: str) -> str:
    """The template with the variables' patterns in their places."""
    text = uri
    while "{" in text:
        before, _, rest = text.partition("{")
        variable, _, after = rest.partition("}")
        text = before + (variable.partition("=")[2] or "*") + after
    return text
