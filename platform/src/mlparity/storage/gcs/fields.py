"""Partial responses: ``fields=items(name,size),nextPageToken``.

https://cloud.google.com/storage/docs/json_api#partial-response
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mlparity.storage.gcs.errors import invalid

_TOKEN = re.compile(r"[\w*.:-]+|[,()/]")
Selection = dict[str, "Selection"]  # name -> what of it; {} is all of it


def select(resource: Mapping[str, Any], fields: str) -> dict[str, Any]:
    """The part of ``resource`` that ``fields`` names. Raises ``invalid`` where it cannot be read."""
    tokens = _TOKEN.findall(fields)
    if "".join(tokens) != fields.replace(" ", ""):
        raise _bad(fields)
    selection = _list(tokens, fields)
    if tokens:
        raise _bad(fields)
    picked: dict[str, Any] = _pick(resource, selection)
    return picked


def _list(tokens: list[str], fields: str) -> Selection:
    selection: Selection = {}
    while True:
        _item(tokens, fields, selection)
        if not tokens or tokens[0] != ",":
            return selection
        tokens.pop(0)


def _item(tokens: list[str], fields: str, selection: Selection) -> None:
    if not tokens or tokens[0] in ",()/":
        raise _bad(fields)
    inner = selection.setdefault(tokens.pop(0), {})
    if tokens and tokens[0] == "/":
        tokens.pop(0)
        _item(tokens, fields, inner)
    elif tokens and tokens[0] == "(":
        tokens.pop(0)
        inner.update(_list(tokens, fields))
        if not tokens or tokens.pop(0) != ")":
            raise _bad(fields)


def _pick(value: Any, selection: Selection) -> Any:
    if not selection or ("*" in selection and not selection["*"]):
        return value
    if isinstance(value, list):
        return [_pick(item, selection) for item in value]
    if not isinstance(value, Mapping):
        return value
    every = selection.get("*")
    return {
        name: _pick(item, selection.get(name, every or {}))
        for name, item in value.items()
        if name in selection or every is not None
    }


def _bad(fields: str) -> Exception:
    return invalid(f"Invalid field selection {fields}", "parameter", "fields")
