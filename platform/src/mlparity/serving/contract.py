"""The seam between HTTP and a model: a vendor's container contract as a table of routes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from mlparity.serving.exchange import Reply
from mlparity.serving.model import Servable


@dataclass(frozen=True)
class HttpRequest:
    """What a route is given. Header names are in lower case."""

    headers: Mapping[str, str]
    body: bytes


Route = Callable[[HttpRequest], Reply]


class Contract(Protocol):
    """What a vendor promises that a model container answers.

    The fleet and the router ask every worker at ``/ping`` and ``/invocations``, whatever its vendor's routes are:
    a contract has these beside its own.
    """

    def load(self, environment: Mapping[str, str]) -> Servable:
        """The container's model. Raises ``RefusedError`` where it cannot be loaded."""
        ...

    def routes(self, model: Servable) -> Mapping[tuple[str, str], Route]:
        """(method, path) -> what answers it. A route may raise ``RefusedError``."""
        ...
