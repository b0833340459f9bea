"""Google's ``order_by``: "display_name, create_time desc".

https://google.aip.dev/132#ordering; "asc" is understood as well, as Vertex AI's documentation writes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from mlparity.errors import InvalidRequestError

_CAMEL = re.compile(r"(?<=[a-z0-9])([A-Z])")
_MOST_WORDS = 2
Item = TypeVar("Item")


@dataclass(frozen=True)
class Order:
    """One field to sort by."""

    name: str
    descending: bool


def parse_order_by(order_by: str, fields: Collection[str]) -> Sequence[Order]:
    """The terms, most significant first; none where it is empty. Raises ``InvalidRequestError``.

    ``fields`` are the snake_case names that may be sorted by; camelCase is understood as well.
    """
    if not order_by.strip():
        return ()
    return tuple(_order(order_by, term.split(), fields) for term in order_by.split(","))


def in_order(items: Iterable[Item], orders: Sequence[Order], lookup: Callable[[Item, str], Any]) -> Sequence[Item]:
    """The items sorted, equal ones as they came; an item without a value comes before those with one."""
    found = list(items)
    for order in reversed(orders):

        def key(item: Item, name: str = order.name) -> tuple[bool, Any]:
            value = lookup(item, name)
            return (value is not None, value)

        found.sort(key=key, reverse=order.descending)
    return found


def _order(order_by: str, words: Sequence[str], fields: Collection[str]) -> Order:
    if not words or len(words) > _MOST_WORDS or (len(words) == _MOST_WORDS and words[1] not in {"asc", "desc"}):
        raise InvalidRequestError(f"Invalid order_by {order_by!r}", 'a field is followed by "desc", "asc" or a comma')
    for name in (words[0], _CAMEL.sub(r"_\1", words[0]).lower()):
        if name in fields:
            return Order(name, words[-1] == "desc")
    raise InvalidRequestError(f"Invalid order_by {order_by!r}", f"sorting by {words[0]!r} is not supported")
