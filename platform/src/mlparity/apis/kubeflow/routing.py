"""Which operation a request is for: the routes of ``server_api``, and the paths that clients put before them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote

from mlparity.apis.kubeflow import messages
from mlparity.apis.kubeflow.errors import Code, KubeflowError
from mlparity.apis.kubeflow.operations import EXTRA
from mlparity.apis.kubeflow.server_api import Route, server_api

# As in a cluster behind a gateway ("/pipeline/apis/…"), where the UI's server hands it on.
_BEFORE = re.compile(r"^(/pipeline)?(?=/)")
_OLD = "/apis/v1beta1/"


@dataclass(frozen=True)
class Matched:
    """A route and the values in its path."""

    route: Route
    path: Mapping[str, str]


@lru_cache(maxsize=1)
def routes() -> Sequence[tuple[Route, re.Pattern[str]]]:
    """Every route, the most literal first: "/pipelines/upload" before "/pipelines/{pipeline_id}"."""
    found = [*server_api().routes.values(), *EXTRA]
    ordered = sorted(found, key=lambda route: (route.path.count("{"), -len(route.path)))
    return [(route, route.pattern) for route in ordered]


def match(method: str, path: str) -> Matched:
    """The operation of a request; ``path`` as sent. Raises ``KubeflowError``."""
    path = without_prefix(path)
    if path.startswith(_OLD):
        raise KubeflowError(Code.NOT_FOUND, "the v1beta1 API is not served by mlparity: use kfp 2 and the v2beta1 API")
    others: list[str] = []
    for route, pattern in routes():
        matched = pattern.fullmatch(path)
        if matched is not None and route.method == method:
            values = dict(zip(route.path_parameters, map(unquote, matched.groups()), strict=True))
            return Matched(route, values)
        if matched is not None:
            others.append(route.method)
    if others:
        raise KubeflowError(Code.UNIMPLEMENTED, "Method Not Allowed")
    raise KubeflowError(Code.NOT_FOUND, "Not Found")


def without_prefix(path: str) -> str:
    """The path behind what a gateway puts before it."""
    return _BEFORE.sub("", path, count=1)


def read_query(route: Route, query: str) -> dict[str, Any]:
    """The query's parameters, by type; unknown ones are dropped. Raises ``KubeflowError``."""
    known = {**route.query, **{_camel(name): kind for name, kind in route.query.items()}}
    by_camel = {_camel(name): name for name in route.query}
    found: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        wire = by_camel.get(name, name)
        if known.get(name) == "list[str]":
            found.setdefault(wire, []).append(text)
        elif name in known:
            found[wire] = messages.read_text(known[name], name, text)
    return found


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
