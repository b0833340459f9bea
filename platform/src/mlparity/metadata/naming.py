"""How an API writes the ids of nodes in its filters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def _same(name: str) -> str:
    return name


@dataclass(frozen=True)
class Naming:
    """``prefix`` stands before a listed node's id in its name; without one, the id is the name.

    ``context_id`` gives the id of a context that a filter names, and raises ``InvalidRequestError`` for what is no
    context's name; None where the context lies in another store.
    """

    prefix: str = ""
    context_id: Callable[[str], str | None] = _same


PLAIN = Naming()
